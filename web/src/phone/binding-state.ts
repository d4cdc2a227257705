/**
 * The state a binding is shown in: what the bank said last over the channel wins over what this phone remembers. `unknown` is
 * what a refusal before the channel says; nobody signed it, so it is shown and nothing is erased for it. Pure.
 */
import { type Binding, type BindingState, PhoneClientError } from "../shared/phone-client/index.js";
import type { LinkView } from "./links.js";

export type ShownName = BindingState | "unknown";

export interface ShownState {
  readonly state: ShownName;
  readonly tone: "ok" | "warn" | "bad";
}

const TONES: Readonly<Record<ShownName, ShownState["tone"]>> = { active: "ok", committing: "warn", suspended: "warn", removed: "bad", unknown: "bad" };

export function bindingState(binding: Binding, link: LinkView): ShownState {
  const settled = binding.state === "active" || binding.state === "suspended";
  const refused = link.channel === null && link.error instanceof PhoneClientError && link.error.code === "unknown";
  if (settled && refused) return { state: "unknown", tone: TONES.unknown };
  const told = binding.state === "active" && link.state !== null ? link.state.state : binding.state;
  return { state: told, tone: TONES[told] };
}
