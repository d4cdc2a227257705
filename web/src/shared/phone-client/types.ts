/**
 * What the pages see of the phone client: plain data, events and promises. No framework, no DOM. All times are
 * milliseconds of the phone's own clock (the gateway's clock is taken from each handshake and corrected for).
 */
import type { Bytes } from "../protocol/bytes";
import type { Code2, OfflineCode, ParsedCode, TypedCode } from "../protocol/code";
import type { Decision, Factor, Lang, Platform } from "../protocol/messages";
import type { EndReason, PhoneClientError } from "./errors";
import type { PhoneEnvironment } from "./environment";
import type { PhoneStore } from "./store";

export type { Bytes, Code2, Decision, Factor, Lang, OfflineCode, ParsedCode, Platform, TypedCode };

/** What the phone tells of itself, each at most 64 characters. */
export interface DeviceFacts {
  readonly name: string;
  readonly model: string;
  readonly platform: Platform;
  readonly os: string;
  readonly app: string;
}

/** committing: the last step's answer was lost; `openChannel` settles it. */
export type BindingState = "committing" | "active" | "suspended" | "removed";

/** A binding as the pages list it. Holds no key. */
export interface Binding {
  readonly id: string; // bnd_ and 22 base64url characters
  readonly host: string;
  readonly tenant: string;
  readonly label: string;
  readonly name: string;
  readonly pinDigits: number;
  readonly state: BindingState;
  readonly addedAt: number;
  readonly lastSeenAt: number | null;
}

/** A first contact that was begun here and can be taken up again, for instance after the page was reloaded. */
export interface PendingContact {
  readonly kind: "pending";
  readonly activation: string; // act_ and 22 base64url characters
  readonly host: string;
  readonly tenant: string | null;
  readonly label: string | null;
  readonly begunAt: number | null;
  readonly expiresAt: number;
}

export interface StartOptions {
  readonly store: PhoneStore;
  readonly host: string; // this page's own host, with the port when it is not 443: `location.host`
  readonly code: ParsedCode | TypedCode | PendingContact;
  readonly device: DeviceFacts;
  readonly lang: Lang;
  readonly environment?: PhoneEnvironment;
}

export interface OpenOptions {
  readonly store: PhoneStore;
  readonly bindingId: string;
  readonly host: string;
  readonly lang: Lang;
  readonly app: string;
  readonly environment?: PhoneEnvironment;
}

/**
 * waiting: the device code is on this screen, to be typed on the bank's page; code2: confirmed, the bank's page shows
 * code 2; pin: confirmed, the PIN can be chosen; active; ended: nothing more comes.
 */
export type ContactStep = "waiting" | "code2" | "pin" | "active" | "ended";

export interface ContactEvents {
  "wrong-code": { readonly left: number };
  /** The device code was right. With `step` "code2", `code2()` comes next; with "pin", `choosePin()`. */
  confirmed: { readonly step: "code2" | "pin" };
  ended: { readonly reason: EndReason; readonly error: PhoneClientError };
  /** The connection is lost and is being taken up again; `waitMs` until the next try, null while offline. */
  disconnected: { readonly waitMs: number | null };
  /** Taken up again: **`deviceCode` is a new one**, so show it anew; `step` says where it stands. */
  reconnected: { readonly deviceCode: string; readonly step: ContactStep };
}

export type ApprovalEnd = "approved" | "refused" | "reported" | "expired" | "cancelled" | "failed";

/** From which browser, and from where as far as the bank knows ("" when it does not). */
export interface LoginFields {
  readonly browser: string;
  readonly place: string;
}

export interface PaymentFields {
  readonly amount: string; // decimal text, such as "1250.00", never a number
  readonly currency: string; // ISO 4217, such as "EUR"
  readonly payee: string;
  readonly account: string;
  readonly purpose: string; // may be "", may hold line breaks
}

export interface ContactFields {
  readonly kind: "email" | "phone" | "address";
  readonly value: string; // the new one
  readonly previous: string; // "" when there was none
}

export interface FreeFields {
  readonly title: string;
  readonly text: string; // may hold line breaks
}

/** Another phone: beside this one, or in place of it. */
export interface DeviceFields {
  readonly mode: "add" | "move";
  readonly browser: string;
  readonly place: string;
}

interface StatementOf<Type extends string, Fields> {
  readonly id: string; // of the request: 22 base64url characters
  readonly bank: string;
  readonly user: string;
  readonly type: Type;
  readonly created: number;
  readonly expires: number;
  readonly fields: Fields;
  /** The bytes that are signed. */
  readonly raw: Bytes;
}

/** What the bank asks, to be shown as it stands: these are the bytes that are signed. `type` says which `fields` it has. */
export type Statement =
  | StatementOf<"login", LoginFields>
  | StatementOf<"payment", PaymentFields>
  | StatementOf<"contact", ContactFields>
  | StatementOf<"free", FreeFields>
  | StatementOf<"device", DeviceFields>;

/** A request that waits for an answer. */
export interface Ask {
  readonly id: string; // 22 base64url characters
  readonly bindingId: string;
  /** null: this app is too old to show it, so it cannot be answered here. */
  readonly statement: Statement | null;
  /** The factors of which one is needed to approve. Refusing and reporting need none. */
  readonly factors: readonly Factor[];
  /** Whether approving needs the two digits of the bank's page: chosen among `numbers`, or typed. */
  readonly number: "none" | "choose" | "type";
  readonly numbers: readonly number[];
  readonly expiresAt: number;
}

/** `number`, and one of `pin` and `biometric`, go with "approve" alone. Without either the factor is possession. */
export interface AnswerWish {
  readonly decision: Decision;
  readonly number?: number;
  readonly pin?: string;
  readonly biometric?: true;
}

export interface PastApproval {
  readonly id: string;
  readonly statement: Statement | null;
  readonly state: ApprovalEnd;
  readonly at: number;
  /** Whether it was answered on this phone. */
  readonly here: boolean;
}

/** A message of the bank: plain text. */
export interface InboxMessage {
  readonly id: string;
  readonly title: string;
  readonly body: string; // may hold line breaks
  readonly at: number;
  readonly expires: number | null;
  readonly read: boolean;
}

export interface Page<Item> {
  /** Newest first; the last one's id is the next page's `before`. */
  readonly items: readonly Item[];
  readonly more: boolean;
}

export type BiometricPolicy = "off" | "optional" | "required";

/** What of the browser's subscription is used: any `PushSubscription`. */
export type PushTarget = Pick<PushSubscription, "endpoint" | "getKey">;

export interface OpenOfflineOptions {
  readonly store: PhoneStore;
  readonly host: string;
  /** As scanned, as `parseScanned` gave it (`payload`), or the link. */
  readonly payload: Uint8Array | string;
}

/** What an offline code asks of one of this phone's bindings. `expires` is by the bank's clock, `tenant` the bank's name. */
export interface OfflineAsk {
  readonly bindingId: string;
  readonly name: string;
  readonly tenant: string;
  readonly pinDigits: number;
  readonly statement: Statement;
}

export interface AnswerOfflineOptions {
  readonly store: PhoneStore;
  readonly ask: OfflineAsk;
  readonly pin: string;
}

export interface ChannelState {
  readonly state: "active" | "suspended" | "removed";
  readonly tenant: string;
  readonly label: string;
  readonly name: string;
  readonly pin: { readonly digits: number; readonly left: number; readonly blockedUntil: number | null };
}

export interface ChannelEvents {
  /** Something the page shows has changed: the bank suspended or removed the phone, the PIN counter moved, a new name. */
  state: ChannelState;
  disconnected: { readonly waitMs: number | null };
  reconnected: ChannelState;
  /** `asks` has changed. */
  asks: Readonly<Record<string, never>>;
  /** A request has come. "asks" is told too. */
  asked: { readonly ask: Ask };
  /** A request that was in `asks` is over: answered here or elsewhere, cancelled, expired, failed. */
  settled: { readonly id: string; readonly state: ApprovalEnd };
  unread: { readonly count: number };
  /** `biometric`, or `push`, has changed. */
  biometric: Readonly<Record<string, never>>;
  push: Readonly<Record<string, never>>;
  /** For good: closed by its owner, suspended, removed, or an error that no retry mends. */
  closed: { readonly error: PhoneClientError | null };
}

/** Listening to typed events; the returned function stops it. */
export interface Emits<Events> {
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;
}

/** One first contact, from the shown device code to the active binding. Made by `startFirstContact`. */
export interface FirstContact extends Emits<ContactEvents> {
  readonly activation: string;
  readonly tenant: string;
  readonly label: string;
  readonly twoStep: boolean;
  readonly pinDigits: number;
  /** "required": once the PIN is chosen, `channel.enrolBiometric` is due. */
  readonly biometric: BiometricPolicy;
  readonly deviceCode: string; // "1234 5678"
  readonly expires: number;
  /** Tries of the device code that are left, once the gateway has told of fewer than all. */
  readonly triesLeft: number | null;
  readonly step: ContactStep;
  readonly channel: Channel | null;
  /** Two-step: give code 2, as scanned bytes, parsed, or as typed. */
  code2(code: Uint8Array | Code2 | string): Promise<void>;
  /** Enrols the PIN and commits the binding. Takes lost connections up again by itself. */
  choosePin(pin: string): Promise<Binding>;
  close(): void;
  cancel(): Promise<void>;
}

/** An open channel of an active binding. Made by `openChannel`; takes a lost connection up again by itself. */
export interface Channel extends Emits<ChannelEvents> {
  readonly bindingId: string;
  readonly state: ChannelState;
  readonly connected: boolean;
  ping(): Promise<number>;
  /** Takes the channel up anew, so that `state` is what the gateway knows now; "reconnected" says when. */
  renew(): Promise<void>;
  provePin(pin: string): Promise<void>;
  changePin(oldPin: string, newPin: string): Promise<void>;
  rename(name: string): Promise<string>;
  remove(): Promise<void>;

  /** The requests that wait for an answer, the one that ends first in front. */
  readonly asks: readonly Ask[];
  /**
   * Answers a request; takes a lost connection up again by itself until the request is over. Resolves with "approved",
   * "refused" or "reported". Raises `answer-wrong` {left, until, bank, last}, `approval-ended` {state},
   * `answer-incomplete`, `approval-unreadable`, `pin-format`, `pin-wrong`, `pin-blocked`, `biometric-…`, `offline`.
   */
  answer(id: string, wish: AnswerWish): Promise<ApprovalEnd>;
  /** What this phone was asked before. */
  approvals(before?: string): Promise<Page<PastApproval>>;

  readonly inboxUnread: number;
  inbox(before?: string): Promise<Page<InboxMessage> & { readonly unread: number }>;
  /** How many are unread then. */
  markRead(id: string): Promise<number>;

  /** The key for `pushManager.subscribe`, and whether the bank can wake this phone; null until told, or without push. */
  readonly push: { readonly key: Bytes; readonly subscribed: boolean } | null;
  subscribePush(subscription: PushTarget): Promise<void>;
  unsubscribePush(): Promise<void>;

  /** What the bank wants, and whether this binding has a credential; null until told. */
  readonly biometric: { readonly policy: BiometricPolicy; readonly enrolled: boolean } | null;
  /** Makes a credential, after the PIN; it takes the place of an older one. Call it from a click. */
  enrolBiometric(pin: string): Promise<void>;
  removeBiometric(): Promise<void>;

  close(): void;
}
