/**
 * The frames around the handshake (section 2 of the specification): hello, answer, error, and the challenge for a stale
 * ratchet index. After them every frame is a Noise transport message. Nothing here is authenticated: what a frame says is
 * a claim until the handshake verifies.
 */
import { type Bytes, concat, copyBytes, unsigned } from "./bytes";
import { ProtocolError } from "./errors";
import type { Suite } from "./suites";
import { object, oneOf, parseJson } from "./validate";

export const MAX_FRAME_BYTES = 16_384;
export const SUBPROTOCOL = "tessera.v1";
export const CHANNEL_PATH = "/phone/v1/channel";
export const ID_BYTES = 16;
const STALE_NONCE_BYTES = 32;
const SIGNATURE_BYTES = 64;

const ERROR_BODY = object({
  error: oneOf("unknown", "expired", "ended", "refused", "suite", "platform", "suspended", "retired", "busy"),
});

/** The closed list of the unauthenticated error frame. The phone may show it; it never erases anything because of it. */
export type FrameError = ReturnType<typeof ERROR_BODY>["error"];

export type GatewayFrame =
  | { readonly kind: "answer"; readonly message: Bytes }
  | { readonly kind: "error"; readonly error: FrameError }
  | { readonly kind: "stale"; readonly nonce: Bytes };

/** The phone's first frame. `id`: activation or binding, 16 bytes; `counter`: rotation n or ratchet index. */
export function helloFrame(hello: { suite: Suite; id: Bytes; counter: number; message: Bytes }): Bytes {
  const kind = hello.suite <= 2 ? 1 : 2;
  if (hello.id.length !== ID_BYTES || (kind === 1 && hello.counter > 0xffff)) {
    throw new ProtocolError("malformed", "hello: a member does not fit");
  }
  const head = new Uint8Array([0x01, kind, hello.suite]);
  const frame = concat(head, hello.id, unsigned(hello.counter, 4), hello.message);
  if (frame.length > MAX_FRAME_BYTES) throw new ProtocolError("malformed", "hello: too long");
  return frame;
}

/** Parses what the gateway answers to a hello, or to a stale answer. Raises `malformed`. */
export function parseGatewayFrame(frame: Uint8Array): GatewayFrame {
  if (frame.length < 2 || frame.length > MAX_FRAME_BYTES) throw new ProtocolError("malformed", "frame: wrong length");
  const body = copyBytes(frame.subarray(1));
  switch (frame[0]) {
    case 0x02:
      return { kind: "answer", message: body };
    case 0x03:
      if (body.length !== STALE_NONCE_BYTES) throw new ProtocolError("malformed", "stale: wrong length");
      return { kind: "stale", nonce: body };
    case 0x7f:
      return { kind: "error", error: ERROR_BODY(parseJson(body), "error frame").error };
    default:
      throw new ProtocolError("malformed", "frame: unknown type");
  }
}

/** The phone's answer to a stale challenge: its signature over `staleInput`, 64 bytes. */
export function staleAnswerFrame(signature: Bytes): Bytes {
  if (signature.length !== SIGNATURE_BYTES) throw new ProtocolError("malformed", "a signature has 64 bytes");
  return concat(new Uint8Array([0x04]), signature);
}
