/** The gateway's REST objects and events as the browser sees them (openapi.json has the full contract). Times are RFC 3339 UTC. */

export type ActivationState =
  | "waiting"
  | "present"
  | "confirmed"
  | "active"
  | "expired"
  | "cancelled"
  | "refused"
  | "contested";

export interface DeviceFacts {
  readonly name: string;
  readonly model: string;
  readonly platform: string;
  readonly os: string;
  readonly place: string | null;
}

export interface Activation {
  readonly id: string;
  readonly user: string;
  readonly label: string;
  readonly state: ActivationState;
  readonly two_step: boolean;
  readonly created_at: string;
  readonly expires_at: string;
  readonly device: DeviceFacts | null;
  readonly tries_left: number;
  readonly binding: string | null;
  readonly ended_reason: string | null;
}

export type CodeForm = "colour" | "qr";

/** What the screen shows at this moment. `next_in_ms` says when the code changes, null when it doesn't. */
export interface CodeView {
  readonly kind: "activation" | "code2";
  readonly form: CodeForm;
  readonly rotation: number | null;
  readonly next_in_ms: number | null;
  readonly expires_at: string;
  readonly svg: string;
  readonly alt: { readonly fr: string; readonly en: string };
  readonly link: string;
  readonly typed: string;
}

export type BindingState = "active" | "suspended" | "removed";
/** Who or what suspended a phone. The customer resumes only what the customer suspended. */
export type Suspender = "customer" | "bank" | "clone";

export interface Binding {
  readonly id: string;
  readonly user: string;
  readonly label: string;
  readonly name: string;
  readonly model: string;
  readonly platform: string;
  readonly os: string;
  readonly state: BindingState;
  /** Null unless suspended; absent from gateways that do not tell. */
  readonly suspended_by?: Suspender | null;
  readonly added_at: string;
  readonly last_seen_at: string | null;
  readonly pin: { readonly blocked: boolean; readonly blocked_until: string | null };
}

export type ApprovalState = "pending" | "approved" | "refused" | "reported" | "failed" | "expired" | "cancelled";
export type ApprovalType = "login" | "payment" | "contact" | "free" | "device";

/** A request for approval. `number` is to be compared with the phone, while the request waits. */
export interface Approval {
  readonly id: string;
  readonly user: string;
  readonly type: ApprovalType;
  readonly fields: Readonly<Record<string, string>>;
  readonly state: ApprovalState;
  readonly number: number | null;
  readonly number_match: "none" | "choose" | "type";
  readonly created_at: string;
  readonly expires_at: string;
  readonly answered_at: string | null;
  readonly binding: string | null;
  readonly tries_left: number;
  readonly online: boolean;
  readonly offline: boolean;
}

/** A code for a phone without a network, sealed for one phone. */
export interface OfflineCode {
  readonly form: CodeForm;
  readonly svg: string;
  readonly alt: { readonly fr: string; readonly en: string };
  readonly link: string;
  readonly binding: string;
  readonly name: string;
  readonly expires_at: string;
  readonly bindings: readonly { readonly id: string; readonly name: string }[];
}

export interface InboxText {
  readonly title: string;
  readonly body: string;
}

/** A message of the bank; one language at least. */
export interface InboxMessage {
  readonly id: string;
  readonly texts: { readonly fr?: InboxText | null; readonly en?: InboxText | null };
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly read_at: string | null;
}

export interface InboxPage extends Page<InboxMessage> {
  readonly unread: number | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

/** The reasons an activation can end with, for the screens that say so. */
export const END_STATES = ["expired", "cancelled", "refused", "contested"] as const;
export type EndState = (typeof END_STATES)[number];

/** Returns whether the activation can go no further. */
export function isEnded(state: ActivationState): state is EndState {
  return (END_STATES as readonly string[]).includes(state);
}

/** Returns whether a phone is suspended in a way that the customer cannot lift. */
export function isHeld(binding: Pick<Binding, "state" | "suspended_by">): boolean {
  return binding.state === "suspended" && binding.suspended_by !== undefined && binding.suspended_by !== "customer";
}
