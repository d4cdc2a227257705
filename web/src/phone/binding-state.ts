/** The state a binding is shown in: what the bank said last over the channel wins over what this phone remembers. Pure. */
import type { Binding, BindingState } from "../shared/phone-client/index.js";
import type { LinkView } from "./links.js";

export interface ShownState {
  readonly state: BindingState;
  readonly tone: "ok" | "warn" | "bad";
}

const TONES: Readonly<Record<BindingState, ShownState["tone"]>> = { active: "ok", committing: "warn", suspended: "warn", removed: "bad" };

export function bindingState(binding: Binding, link: LinkView): ShownState {
  const told = binding.state === "active" && link.state !== null ? link.state.state : binding.state;
  return { state: told, tone: TONES[told] };
}
