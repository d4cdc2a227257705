/**
 * A Noise engine (revision 34) with pre-shared keys (section 9) and the hfs extension as snow places it: `e1` sends a
 * KEM key, `ekem1` its ciphertext, both through EncryptAndHash. Hash: SHA-256. The Diffie-Hellman function, the KEM and
 * the cipher come in as objects, since the phone's static key is a non-extractable CryptoKey. `handshake.ts` runs it
 * for the suites of the binding protocol; the tests run it over the published vectors. It opens no connection and keeps
 * no key beyond its own handshake. After any failure it is dead.
 */
import { type Bytes, concat, copyBytes, EMPTY, wipe } from "./bytes";
import { ProtocolError } from "./errors";
import { type Cipher, type HandshakeResult, SymmetricState } from "./symmetric";

/** A key pair of which only the agreement is used: the private half may be out of reach. */
export interface DhKey {
  readonly publicKey: Bytes;
  agree(remote: Bytes): Promise<Bytes>;
}

export interface Dh {
  readonly publicLength: number;
  /** Raises unless the bytes are a public key that may be used. */
  check(publicKey: Bytes): void;
  generate(): Promise<DhKey>;
}

export interface KemKey {
  readonly publicKey: Bytes;
  decapsulate(ciphertext: Bytes): Bytes;
}

export interface Kem {
  readonly publicLength: number;
  readonly ciphertextLength: number;
  generate(): KemKey;
  encapsulate(publicKey: Bytes): { ciphertext: Bytes; secret: Bytes };
}

export type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk" | "e1" | "ekem1";

export interface HandshakePattern {
  /** What each side knew of the other beforehand. */
  readonly initiatorKnown: boolean;
  readonly responderKnown: boolean;
  /** The tokens of each message, the initiator's first; then the sides take turns. */
  readonly messages: readonly (readonly Token[])[];
}

export const TAG_BYTES = 16;
export const MAX_MESSAGE_BYTES = 65_535;

export interface HandshakeOptions {
  readonly protocolName: string;
  readonly pattern: HandshakePattern;
  readonly initiator: boolean;
  readonly dh: Dh;
  readonly cipher: Cipher;
  readonly kem?: Kem;
  readonly prologue: Bytes;
  /** 32 bytes for each psk token, in the order of the tokens. The caller's copies are the caller's to wipe. */
  readonly psks?: readonly Bytes[];
  readonly staticKey?: DhKey;
  /** For test vectors; a handshake makes its own. */
  readonly ephemeralKey?: DhKey;
  readonly kemKey?: KemKey;
  readonly remoteStatic?: Bytes;
}

/** Reads a message from its front. */
class Cursor {
  #rest: Bytes;

  constructor(message: Bytes) {
    this.#rest = message;
  }

  take(length: number): Bytes {
    if (this.#rest.length < length) throw new ProtocolError("handshake", "message too short");
    const head = copyBytes(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return head;
  }

  rest(): Bytes {
    return copyBytes(this.#rest);
  }
}

/** One handshake (section 5.3). `write` and `read` alternate; after the last message `split` gives the result once. */
export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #symmetric: SymmetricState;
  readonly #psks: Bytes[];
  readonly #withPsk: boolean;
  #ephemeral: DhKey | null;
  #kemKey: KemKey | null;
  #remoteEphemeral: Bytes | null = null;
  #remoteStatic: Bytes | null;
  #remoteKem: Bytes | null = null;
  #next = 0;
  #usable = true;

  constructor(options: HandshakeOptions) {
    this.#options = options;
    this.#symmetric = new SymmetricState(options.protocolName, options.cipher);
    this.#psks = (options.psks ?? []).map(copyBytes);
    this.#withPsk = options.pattern.messages.some((tokens) => tokens.includes("psk"));
    this.#ephemeral = options.ephemeralKey ?? null;
    this.#kemKey = options.kemKey ?? null;
    this.#remoteStatic = options.remoteStatic ?? null;
    this.#symmetric.mixHash(options.prologue);
    const { initiatorKnown, responderKnown } = options.pattern;
    if (initiatorKnown) this.#symmetric.mixHash(this.#knownStatic(options.initiator));
    if (responderKnown) this.#symmetric.mixHash(this.#knownStatic(!options.initiator));
  }

  #knownStatic(own: boolean): Bytes {
    const key = own ? this.#options.staticKey?.publicKey : this.#remoteStatic;
    if (key === undefined || key === null) throw new ProtocolError("state", "a static key is missing");
    this.#options.dh.check(key);
    return key;
  }

  /** Writes the next message around `payload`. */
  async write(payload: Bytes): Promise<Bytes> {
    return this.#step(true, async (tokens) => {
      const parts: Bytes[] = [];
      for (const token of tokens) parts.push(await this.#writeToken(token));
      parts.push(await this.#symmetric.encryptAndHash(payload));
      const message = concat(...parts);
      if (message.length > MAX_MESSAGE_BYTES) throw new ProtocolError("state", "message too long");
      return message;
    });
  }

  /** Reads the next message and returns its payload. Raises `handshake` when it does not verify. */
  async read(message: Bytes): Promise<Bytes> {
    return this.#step(false, async (tokens) => {
      if (message.length > MAX_MESSAGE_BYTES) throw new ProtocolError("handshake", "message too long");
      const cursor = new Cursor(message);
      for (const token of tokens) await this.#readToken(token, cursor);
      return this.#symmetric.decryptAndHash(cursor.rest());
    });
  }

  /** The transport ciphers, h and ck, after the last message. */
  async split(): Promise<HandshakeResult> {
    if (!this.#usable || this.#next !== this.#options.pattern.messages.length) {
      throw new ProtocolError("state", "the handshake is not finished");
    }
    this.#usable = false;
    return this.#symmetric.split(this.#options.initiator);
  }

  /** Runs one message; the handshake cannot be used meanwhile, nor after a failure. */
  async #step(writing: boolean, run: (tokens: readonly Token[]) => Promise<Bytes>): Promise<Bytes> {
    const tokens = this.#options.pattern.messages[this.#next];
    const ours = (this.#next % 2 === 0) === this.#options.initiator;
    if (!this.#usable || tokens === undefined || ours !== writing) {
      throw new ProtocolError("state", "the handshake does not expect this");
    }
    this.#usable = false;
    try {
      const result = await run(tokens);
      this.#next += 1;
      this.#usable = true;
      return result;
    } catch (cause) {
      this.#symmetric.wipe();
      wipe(...this.#psks);
      if (writing || (cause instanceof ProtocolError && cause.code === "state")) throw cause;
      throw new ProtocolError("handshake", "does not verify", { cause });
    }
  }

  async #writeToken(token: Token): Promise<Bytes> {
    switch (token) {
      case "e": {
        this.#ephemeral ??= await this.#options.dh.generate();
        await this.#mixEphemeral(this.#ephemeral.publicKey);
        return this.#ephemeral.publicKey;
      }
      case "s":
        return this.#symmetric.encryptAndHash(this.#required(this.#options.staticKey).publicKey);
      case "e1": {
        this.#kemKey ??= this.#required(this.#options.kem).generate();
        return this.#symmetric.encryptAndHash(this.#kemKey.publicKey);
      }
      case "ekem1": {
        const { ciphertext, secret } = this.#required(this.#options.kem).encapsulate(this.#required(this.#remoteKem));
        const sent = await this.#symmetric.encryptAndHash(ciphertext);
        await this.#mixSecret(secret);
        return sent;
      }
      default:
        await this.#mixAgreement(token);
        return EMPTY;
    }
  }

  async #readToken(token: Token, cursor: Cursor): Promise<void> {
    const tag = this.#symmetric.keyed ? TAG_BYTES : 0;
    const { dh, kem } = this.#options;
    switch (token) {
      case "e":
        this.#remoteEphemeral = cursor.take(dh.publicLength);
        dh.check(this.#remoteEphemeral);
        return this.#mixEphemeral(this.#remoteEphemeral);
      case "s":
        this.#remoteStatic = await this.#symmetric.decryptAndHash(cursor.take(dh.publicLength + tag));
        dh.check(this.#remoteStatic);
        return;
      case "e1":
        this.#remoteKem = await this.#symmetric.decryptAndHash(cursor.take(this.#required(kem).publicLength + tag));
        return;
      case "ekem1": {
        const length = this.#required(kem).ciphertextLength + tag;
        const ciphertext = await this.#symmetric.decryptAndHash(cursor.take(length));
        return this.#mixSecret(this.#required(this.#kemKey).decapsulate(ciphertext));
      }
      default:
        return this.#mixAgreement(token);
    }
  }

  async #mixEphemeral(publicKey: Bytes): Promise<void> {
    this.#symmetric.mixHash(publicKey);
    // Section 9.2: with pre-shared keys an ephemeral key is mixed into the key too.
    if (this.#withPsk) await this.#symmetric.mixKey(publicKey);
  }

  async #mixAgreement(token: "ee" | "es" | "se" | "ss" | "psk"): Promise<void> {
    if (token === "psk") {
      const psk = this.#required(this.#psks.shift());
      if (psk.length !== 32) throw new ProtocolError("state", "a pre-shared key has 32 bytes");
      await this.#symmetric.mixKeyAndHash(psk);
      wipe(psk);
      return;
    }
    const [initiatorKey, responderKey] = token;
    const [own, remote] = this.#options.initiator ? [initiatorKey, responderKey] : [responderKey, initiatorKey];
    const ownKey = this.#required(own === "e" ? this.#ephemeral : this.#options.staticKey);
    const remoteKey = this.#required(remote === "e" ? this.#remoteEphemeral : this.#remoteStatic);
    await this.#mixSecret(await ownKey.agree(remoteKey));
  }

  async #mixSecret(secret: Bytes): Promise<void> {
    await this.#symmetric.mixKey(secret);
    wipe(secret);
  }

  #required<T>(value: T | null | undefined): T {
    if (value === undefined || value === null) throw new ProtocolError("state", "a key is missing");
    return value;
  }

  /** The other side's static key, once the handshake has shown it. */
  get remoteStatic(): Bytes | null {
    return this.#remoteStatic;
  }
}
