/** Finds the fragment in a pasted activation link. Pure. Used by the paste screen. */
import { PhoneClientError } from "../shared/phone-client/index.js";

/** Returns `#…` of a link of `origin`. Throws PhoneClientError: code-foreign-host for another origin, code-invalid for no link. */
export function readPastedLink(text: string, origin: string): string {
  const trimmed = text.trim();
  let url: URL;
  try {
    url = new URL(trimmed);
  } catch {
    throw new PhoneClientError("code-invalid");
  }
  if (url.origin !== origin) throw new PhoneClientError("code-foreign-host", { host: url.host });
  if (url.hash.length < 2) throw new PhoneClientError("code-invalid");
  return url.hash;
}
