/**
 * The four suites of the binding protocol (section 2 of the specification): protocol names verbatim and their message
 * patterns (section 3). `handshake.ts` picks one; nothing else runs in the product.
 */
import type { HandshakePattern, Kem } from "./noise";
import { ML_KEM_768 } from "./primitives";

export type Suite = 1 | 2 | 3 | 4;

export interface SuiteDefinition {
  readonly protocolName: string;
  readonly pattern: HandshakePattern;
  readonly kem: Kem | null;
}

export const SUITES: Readonly<Record<Suite, SuiteDefinition>> = {
  1: {
    protocolName: "Noise_IKpsk0+hfs_P256+MLKEM768_AESGCM_SHA256",
    kem: ML_KEM_768,
    pattern: {
      initiatorKnown: false,
      responderKnown: true,
      messages: [
        ["psk", "e", "es", "e1", "s", "ss"],
        ["e", "ee", "ekem1", "se"],
      ],
    },
  },
  2: {
    protocolName: "Noise_IKpsk0_P256_AESGCM_SHA256",
    kem: null,
    pattern: {
      initiatorKnown: false,
      responderKnown: true,
      messages: [
        ["psk", "e", "es", "s", "ss"],
        ["e", "ee", "se"],
      ],
    },
  },
  3: {
    protocolName: "Noise_KKpsk0_P256_AESGCM_SHA256",
    kem: null,
    pattern: {
      initiatorKnown: true,
      responderKnown: true,
      messages: [
        ["psk", "e", "es", "ss"],
        ["e", "ee", "se"],
      ],
    },
  },
  4: {
    protocolName: "Noise_KKpsk0+hfs_P256+MLKEM768_AESGCM_SHA256",
    kem: ML_KEM_768,
    pattern: {
      initiatorKnown: true,
      responderKnown: true,
      messages: [
        ["psk", "e", "es", "e1", "ss"],
        ["e", "ee", "ekem1", "se"],
      ],
    },
  },
};
