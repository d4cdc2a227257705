/** The demo bank's pages for a customer, by the fragment of the address. */

export type View = "accounts" | "devices" | "add";

const VIEWS: Readonly<Record<string, View>> = { "#/accounts": "accounts", "#/devices": "devices", "#/devices/add": "add" };

export function viewOf(hash: string): View {
  return VIEWS[hash] ?? "accounts";
}
