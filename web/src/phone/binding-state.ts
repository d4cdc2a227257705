/**
 * The state a binding is shown in: what the bank said last over the channel wins over what this phone remembers. `unknown` and
 * `retired` are what a refusal before the channel says; nobody signed it, so it is shown and nothing is erased for it. Pure.
 */
import { type Binding, type BindingState, PhoneClientError } from "../shared/phone-client/index.js";
import type { LinkView } from "./links.js";

export type ShownName = BindingState | "unknown" | "retired";

export interface ShownState {
  readonly state: ShownName;
  readonly tone: "ok" | "warn" | "bad";
}

const TONES: Readonly<Record<ShownName, ShownState["tone"]>> = { active: "ok", committing: "warn", suspended: "warn", removed: "bad", unknown: "bad", retired: "bad" };

export function bindingState(binding: Binding, link: LinkView): ShownState {
  const settled = binding.state === "active" || binding.state === "suspended";
  const refusal = link.channel === null && link.error instanceof PhoneClientError ? link.error.code : null;
  if (settled && (refusal === "unknown" || refusal === "retired")) return { state: refusal, tone: TONES[refusal] };
  const told = binding.state === "active" && link.state !== null ? link.state.state : binding.state;
  return { state: told, tone: TONES[told] };
}
