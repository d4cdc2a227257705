/** Statements for the tests of the phone's pages: the fields matter, the bytes do not. */
import type { Statement } from "../shared/phone-client/index.js";

const BASE = { id: "a", bank: "Banque des Halles", user: "claire", created: 0, expires: 60_000, raw: new Uint8Array() };

export function loginOf(place = "Lyon"): Statement {
  return { ...BASE, type: "login", fields: { browser: "Firefox", place } };
}

export function paymentOf(purpose = "Rent"): Statement {
  return { ...BASE, type: "payment", fields: { amount: "1250.00", currency: "EUR", payee: "Jean <b>Martin</b>", account: "FR7630006000011234567890189", purpose } };
}

export const ALL: readonly Statement[] = [
  loginOf(),
  paymentOf(),
  { ...BASE, type: "contact", fields: { kind: "email", value: "new@mail.example", previous: "" } },
  { ...BASE, type: "free", fields: { title: "Contract", text: "First line\nsecond line" } },
  { ...BASE, type: "device", fields: { mode: "add", browser: "Chrome", place: "Lyon" } },
  { ...BASE, type: "device", fields: { mode: "move", browser: "Chrome", place: "" } },
];
