/**
 * An established channel's cryptography: transport messages in both directions and the keys exported from the
 * handshake. The phone client moves its frames. It never shows a key except by `export`, and the chaining key itself
 * becomes a non-extractable WebCrypto key at once.
 */
import { type Bytes, EMPTY, concat, utf8, wipe } from "./bytes";
import { ProtocolError } from "./errors";
import { TAG_BYTES } from "./noise";
import { hmacSha256 } from "./primitives";
import type { CipherState, HandshakeResult } from "./symmetric";

export type ExportLabel = "device-code" | "code2" | "binding-psk" | "ratchet";

export class Session {
  readonly handshakeHash: Bytes;
  readonly #send: CipherState;
  readonly #receive: CipherState;
  readonly #master: CryptoKey;
  #alive = true;

  private constructor(result: HandshakeResult, master: CryptoKey) {
    this.handshakeHash = result.handshakeHash;
    this.#send = result.send;
    this.#receive = result.receive;
    this.#master = master;
  }

  /** Takes a finished handshake and wipes its chaining key. */
  static async of(result: HandshakeResult): Promise<Session> {
    const ask = hmacSha256(result.chainingKey, utf8("ask"), result.handshakeHash);
    wipe(result.chainingKey);
    const master = await crypto.subtle.importKey("raw", ask, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    wipe(ask);
    return new Session(result, master);
  }

  /** A transport message of `plaintext`. Messages must be sent in the order of these calls. */
  async encrypt(plaintext: Bytes): Promise<Bytes> {
    this.#check();
    return this.#send.encrypt(EMPTY, plaintext);
  }

  /** The plaintext of the next transport message. After one that does not verify the session is dead. */
  async decrypt(ciphertext: Bytes): Promise<Bytes> {
    this.#check();
    try {
      if (ciphertext.length < TAG_BYTES) throw new ProtocolError("decrypt", "too short");
      return await this.#receive.decrypt(EMPTY, ciphertext);
    } catch (cause) {
      this.#alive = false;
      throw cause;
    }
  }

  /** The 32-byte key of a label (section 3). The caller wipes it. */
  async export(label: ExportLabel): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.#master, concat(utf8(label), new Uint8Array([1]))));
  }

  /** The eight digits that the customer types on the bank's page. */
  async deviceCode(): Promise<string> {
    const key = await this.export("device-code");
    const value = new DataView(key.buffer).getBigUint64(0) % 100_000_000n;
    wipe(key);
    return value.toString().padStart(8, "0");
  }

  /** No message goes or comes after this. */
  close(): void {
    this.#alive = false;
  }

  #check(): void {
    if (!this.#alive) throw new ProtocolError("state", "the session is over");
  }
}
