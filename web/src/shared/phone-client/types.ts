/**
 * What the pages see of the phone client: plain data, events and promises. No framework, no DOM. All times are
 * milliseconds of the phone's own clock (the gateway's clock is taken from each handshake and corrected for).
 */
import type { Lang, Platform } from "../protocol/messages";
import type { Code2, ParsedCode, TypedCode } from "../protocol/code";
import type { EndReason, PhoneClientError } from "./errors";
import type { PhoneEnvironment } from "./environment";
import type { PhoneStore } from "./store";

export type { Code2, Lang, ParsedCode, Platform, TypedCode };

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
  close(): void;
}
