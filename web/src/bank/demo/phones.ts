/** Whether the customer has a phone at the bank, for the pages that say so outside the element with the list. */
import { GatewayClient, type BindingState } from "../../shared/api/index.js";
import type { BankApi } from "./api.js";

/** Asks the gateway as the page may, with a token of its own. Raises BankError, ApiError. */
export async function hasPhone(
  api: Pick<BankApi, "pageToken">,
  open: (token: string) => Pick<GatewayClient, "bindings"> = openGateway,
  counts: (state: BindingState) => boolean = (state) => state !== "removed",
): Promise<boolean> {
  const bindings = await open(await api.pageToken()).bindings();
  return bindings.some(({ state }) => counts(state));
}

function openGateway(token: string): GatewayClient {
  return new GatewayClient({ base: "", token });
}
