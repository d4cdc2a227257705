/**
 * What the phone stores, as IndexedDB holds it. Private keys are non-extractable CryptoKeys; pre-shared keys are sealed
 * under one. Nobody outside this folder sees a record.
 */
import type { Bytes } from "../protocol/bytes";
import type { Platform } from "../protocol/messages";
import type { BindingState } from "./types";

/** A pre-shared key under the phone's sealing key: AES-256-GCM, its place as associated data. */
export interface Sealed {
  readonly iv: Bytes;
  readonly ciphertext: Bytes;
}

export interface StoredKey {
  readonly privateKey: CryptoKey;
  /** 65 bytes. */
  readonly publicKey: Bytes;
}

/** The keys made for one activation; they become the binding's. */
export interface PhoneKeys {
  /** s_D: ECDH. */
  readonly agreement: StoredKey;
  /** g_D: ES256. */
  readonly signing: StoredKey;
  /** A non-extractable HMAC key of 32 random bytes. */
  readonly deviceSecret: CryptoKey;
}

/** A first contact that has begun. */
export interface PendingRecord extends PhoneKeys {
  readonly activation: string;
  readonly host: string;
  readonly gatewayStatic: Bytes;
  readonly psk: Sealed;
  readonly rotation: number;
  readonly expiry: number; // Unix seconds, as in the prologue
  /** Whether the gateway has answered: from then on this phone comes again with the same rotation. */
  readonly answered: boolean;
  readonly tenant: string | null;
  readonly label: string | null;
  readonly expiresAt: number; // ms of the phone's clock
  /** ms of the phone's clock; missing in records of older versions. */
  readonly begunAt?: number;
  /** An error frame, which nobody signed, said that it is over: not offered again, erased when its time is over. */
  readonly isSetAside?: boolean;
}

/** The keys S (33 bytes) of the banks at a host, by tenant, as the phone first saw them. */
export interface BanksRecord {
  readonly host: string;
  readonly keys: ReadonlyMap<string, Bytes>;
}

export interface Ratchet {
  readonly index: number;
  readonly psk: Sealed;
  /** bpsk of index + 1, between `ready` and `welcome`. */
  readonly next: Sealed | null;
}

export interface BindingRecord extends PhoneKeys {
  readonly id: string;
  readonly activation: string;
  readonly host: string;
  /** S, 33 bytes, under which the index of the ratchet runs. */
  readonly gatewayStatic: Bytes;
  readonly tenant: string;
  readonly label: string;
  readonly name: string;
  readonly platform: Platform;
  readonly pinDigits: number;
  readonly state: BindingState;
  readonly addedAt: number;
  readonly lastSeenAt: number | null;
  readonly ratchet: Ratchet;
  /** ms of the phone's clock; from then on the hybrid suite. */
  readonly hybridDueAt: number | null;
  /** The device secret of a new PIN whose enrolment was sent and not answered. */
  readonly nextDeviceSecret: CryptoKey | null;
  /** How many offline answers were made: the counter of the next one. */
  readonly offlineAnswers: number;
}
