/**
 * The symmetric half of Noise: one direction's cipher (section 5.1), and the chaining key, hash and cipher of a
 * handshake (section 5.2). `noise.ts` drives it. Every replaced key is wiped.
 */
import { type Bytes, concat, copyBytes, EMPTY, utf8, wipe } from "./bytes";
import { ProtocolError } from "./errors";
import { hmacSha256, sha256 } from "./primitives";

export interface CipherKey {
  encrypt(counter: number, associated: Bytes, plaintext: Bytes): Promise<Bytes>;
  decrypt(counter: number, associated: Bytes, ciphertext: Bytes): Promise<Bytes>;
}

export interface Cipher {
  /** Takes 32 bytes and wipes them. */
  importKey(raw: Bytes): Promise<CipherKey>;
}

/** After the last message. `chainingKey` is the receiver's to wipe. */
export interface HandshakeResult {
  readonly send: CipherState;
  readonly receive: CipherState;
  readonly handshakeHash: Bytes;
  readonly chainingKey: Bytes;
}

/** One direction of a cipher: a key and its counter (section 5.1). */
export class CipherState {
  #key: CipherKey | null = null;
  #counter = 0;
  readonly #cipher: Cipher;

  constructor(cipher: Cipher) {
    this.#cipher = cipher;
  }

  get keyed(): boolean {
    return this.#key !== null;
  }

  async initialize(raw: Bytes): Promise<void> {
    this.#key = await this.#cipher.importKey(raw);
    this.#counter = 0;
  }

  async encrypt(associated: Bytes, plaintext: Bytes): Promise<Bytes> {
    if (this.#key === null) return copyBytes(plaintext);
    return this.#key.encrypt(this.#next(), associated, plaintext);
  }

  /** Raises `decrypt` when the ciphertext does not verify. */
  async decrypt(associated: Bytes, ciphertext: Bytes): Promise<Bytes> {
    if (this.#key === null) return copyBytes(ciphertext);
    try {
      return await this.#key.decrypt(this.#next(), associated, ciphertext);
    } catch (cause) {
      throw new ProtocolError("decrypt", "does not verify", { cause });
    }
  }

  #next(): number {
    if (this.#counter >= Number.MAX_SAFE_INTEGER) throw new ProtocolError("state", "counter exhausted");
    this.#counter += 1;
    return this.#counter - 1;
  }
}

/** Section 4.3: two or three 32-byte outputs of a chaining key and some input. */
function noiseHkdf(chainingKey: Bytes, input: Uint8Array): [Bytes, Bytes, Bytes] {
  const temporary = hmacSha256(chainingKey, input);
  const first = hmacSha256(temporary, new Uint8Array([1]));
  const second = hmacSha256(temporary, first, new Uint8Array([2]));
  const third = hmacSha256(temporary, second, new Uint8Array([3]));
  wipe(temporary);
  return [first, second, third];
}

/** Chaining key, handshake hash and the handshake's cipher (section 5.2). */
export class SymmetricState {
  #chainingKey: Bytes;
  #hash: Bytes;
  readonly #cipherState: CipherState;
  readonly #cipher: Cipher;

  constructor(protocolName: string, cipher: Cipher) {
    const name = utf8(protocolName);
    this.#hash = name.length <= 32 ? concat(name, new Uint8Array(32 - name.length)) : sha256(name);
    this.#chainingKey = copyBytes(this.#hash);
    this.#cipher = cipher;
    this.#cipherState = new CipherState(cipher);
  }

  get keyed(): boolean {
    return this.#cipherState.keyed;
  }

  mixHash(data: Uint8Array): void {
    this.#hash = sha256(this.#hash, data);
  }

  async mixKey(input: Bytes): Promise<void> {
    const [chainingKey, key, unused] = noiseHkdf(this.#chainingKey, input);
    wipe(this.#chainingKey, unused);
    this.#chainingKey = chainingKey;
    await this.#cipherState.initialize(key);
  }

  async mixKeyAndHash(input: Bytes): Promise<void> {
    const [chainingKey, mixed, key] = noiseHkdf(this.#chainingKey, input);
    wipe(this.#chainingKey);
    this.#chainingKey = chainingKey;
    this.mixHash(mixed);
    wipe(mixed);
    await this.#cipherState.initialize(key);
  }

  async encryptAndHash(plaintext: Bytes): Promise<Bytes> {
    const ciphertext = await this.#cipherState.encrypt(this.#hash, plaintext);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  async decryptAndHash(ciphertext: Bytes): Promise<Bytes> {
    const plaintext = await this.#cipherState.decrypt(this.#hash, ciphertext);
    this.mixHash(ciphertext);
    return plaintext;
  }

  async split(initiator: boolean): Promise<HandshakeResult> {
    const [first, second, unused] = noiseHkdf(this.#chainingKey, EMPTY);
    wipe(unused);
    const states = [new CipherState(this.#cipher), new CipherState(this.#cipher)] as const;
    await states[0].initialize(first);
    await states[1].initialize(second);
    const [send, receive] = initiator ? states : ([states[1], states[0]] as const);
    return { send, receive, handshakeHash: copyBytes(this.#hash), chainingKey: this.#chainingKey };
  }

  wipe(): void {
    wipe(this.#chainingKey);
  }
}
