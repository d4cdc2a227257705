/** What the bank asks, from the bytes that are signed to what pages show. Times become the phone's own clock's. */
import { parseStatement } from "../protocol/approval";
import { type Bytes, equalBytes, toBase64Url } from "../protocol/bytes";
import { ProtocolError } from "../protocol/errors";
import { PhoneClientError } from "./errors";
import type { Statement } from "./types";

/**
 * The statement of these bytes; null when its form is not one that this app knows, so that it cannot be shown. Raises
 * `protocol` when it is not the one of the request that it came with.
 */
export function showStatement(raw: Bytes, toLocal: (seconds: number) => number, request?: Bytes): Statement | null {
  try {
    const statement = parseStatement(raw);
    const { id, created, expires } = statement;
    if (request !== undefined && !equalBytes(id, request)) throw new PhoneClientError("protocol");
    return { ...statement, id: toBase64Url(id), created: toLocal(created), expires: toLocal(expires), raw };
  } catch (cause) {
    if (cause instanceof ProtocolError) return null;
    throw cause;
  }
}
