/** The codes as pages meet them: what a camera, the address bar or a keyboard gives. Raises PhoneClientError. */
import { type Code2, type OfflineCode, type ParsedCode, parseLink, parseScan, parseTypedCode, parseTypedCode2, type TypedCode } from "../protocol/code";
import type { Bytes } from "../protocol/bytes";
import { ProtocolError } from "../protocol/errors";
import { PhoneClientError, type PhoneErrorCode } from "./errors";

function reading<T>(read: () => T, otherwise: PhoneErrorCode): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ProtocolError && cause.code === "foreign-host") {
      throw new PhoneClientError("code-foreign-host", { host: cause.detail }, { cause });
    }
    throw new PhoneClientError(otherwise, {}, { cause });
  }
}

/** What either symbol carried: the payload or the link. `ownHost` is `location.host`. */
export function parseScanned(scanned: Uint8Array, ownHost: string): ParsedCode | Code2 | OfflineCode {
  return reading(() => parseScan(scanned, ownHost), "code-invalid");
}

/** `location.hash`, with or without its `#`, of a page that a link opened. */
export function parseFragment(fragment: string, ownHost: string): ParsedCode | Code2 | OfflineCode {
  return reading(() => parseLink(`https://${ownHost}/a#${fragment.replace(/^#/, "")}`, ownHost), "code-invalid");
}

/** The typed form of the activation code. */
export function parseTyped(typed: string): TypedCode {
  return reading(() => parseTypedCode(typed), "typed-invalid");
}

/** The typed form of code 2: its nonce, to be handed to `FirstContact.code2` as the text itself is. */
export function parseCode2Typed(typed: string): Bytes {
  return reading(() => parseTypedCode2(typed), "code2-invalid");
}

/** A scanned code 2. */
export function readCode2(scanned: Uint8Array, ownHost: string): Code2 {
  const code = parseScanned(scanned, ownHost);
  if (code.kind !== "code2") throw new PhoneClientError("code2-invalid");
  return code;
}
