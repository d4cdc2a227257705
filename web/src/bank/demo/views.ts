/** The demo bank's pages for a customer, by the fragment of the address. */

export type View = "accounts" | "transfer" | "messages" | "devices" | "add" | "move" | "lost";

const VIEWS: Readonly<Record<string, View>> = {
  "": "accounts",
  "#/": "accounts",
  "#/accounts": "accounts",
  "#/transfer": "transfer",
  "#/messages": "messages",
  "#/devices": "devices",
  "#/devices/add": "add",
  "#/devices/move": "move",
};

/** Returns the page of an address; "lost" when no page has it. */
export function viewOf(hash: string): View {
  return Object.hasOwn(VIEWS, hash) ? (VIEWS[hash] ?? "lost") : "lost";
}
