/**
 * The client of RFC 9497 OPRF(P-256, SHA-256) in mode 0, by @noble/curves: the gateway helps to hash the PIN under a key
 * that it keeps, and learns neither the PIN nor the output. `pin.ts` makes the PIN key of the output.
 */
import { p256_oprf } from "@noble/curves/nist.js";

import { type Bytes, copyBytes } from "./bytes";
import { ProtocolError } from "./errors";
import { COMPRESSED_BYTES } from "./primitives";

export interface Blinded {
  /** The secret blind, 32 bytes; wiped by `finalize`'s caller. */
  readonly blind: Bytes;
  /** RFC 9497 BlindedElement, 33 bytes. */
  readonly element: Bytes;
}

/** Blinds an input under a fresh random blind; `random` is for test vectors. */
export function blind(input: Bytes, random?: (length?: number) => Bytes): Blinded {
  const made = random === undefined ? p256_oprf.oprf.blind(input) : p256_oprf.oprf.blind(input, random);
  return { blind: copyBytes(made.blind), element: copyBytes(made.blinded) };
}

/** The 32-byte output of the evaluated element (33 bytes). Raises `point` when it is not a usable point. */
export function finalize(input: Bytes, blinding: Bytes, evaluated: Bytes): Bytes {
  try {
    if (evaluated.length !== COMPRESSED_BYTES) throw new RangeError("length");
    return copyBytes(p256_oprf.oprf.finalize(input, blinding, evaluated));
  } catch (cause) {
    throw new ProtocolError("point", "not a usable evaluated element", { cause });
  }
}
