/**
 * What the protocol refuses, as one error with a closed set of codes. Everything in this folder that checks, raises
 * this; nothing answers a check with a boolean that a caller could forget.
 */

export type ProtocolErrorCode =
  | "malformed" // bytes, text or JSON that is not what the specification says
  | "foreign-host" // a link that belongs to another host; `detail` is that host
  | "typed-check" // a typed code whose length, alphabet or check character is wrong
  | "point" // not a valid P-256 point
  | "handshake" // a Noise message that does not verify
  | "decrypt" // a transport message or a code 2 that does not verify
  | "state"; // called out of order, or after a failure

export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;
  readonly detail: string;

  constructor(code: ProtocolErrorCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.name = "ProtocolError";
    this.code = code;
    this.detail = detail;
  }
}
