/**
 * A gateway in memory that speaks the wire specification with the test's own engine: one tenant, one activation, its
 * binding. It checks every signature and every rule of the ratchet, and loses what a test tells it to lose: `faults`
 * holds "before commit" (the phone's message does not arrive) or "after active" (what the gateway says does not arrive).
 */
import { p256_oprf } from "@noble/curves/nist.js";

import { type Bytes, concat, copyBytes, equalBytes, fromBase64Url, toBase64Url, unsigned, utf8 } from "../../src/shared/protocol/bytes";
import { helloFrame } from "../../src/shared/protocol/frames";
import * as keys from "../../src/shared/protocol/keys";
import { compressPoint, P256, randomBytes } from "../../src/shared/protocol/primitives";
import type { DhKey } from "../../src/shared/protocol/noise";
import { Session } from "../../src/shared/protocol/session";
import { answerFrame, type Hello, parseHello, respond } from "../protocol/responder";
import { FakeDesk, type FakeRequest, type Json, verify } from "./fake-desk";
import type { MemorySocket } from "./fake-environment";
import { Hangup, Line } from "./fake-line";

export const HOST = "bank.example";
export const TIME = 1_800_000_100;

export interface FakeBinding {
  phoneStatic: Bytes;
  signingKey: Bytes;
  index: number;
  psk: Bytes;
  nextPsk: Bytes | null;
  /** S that `index` runs under, and the one of the index after it. */
  s: DhKey;
  nextS: DhKey;
  pinKey: Bytes;
  oprfKey: Bytes;
  /** What offline answers are checked against. */
  verifier: Bytes;
  state: "active" | "suspended" | "removed";
}

/** The PIN's conversation on one channel. */
interface PinTurn {
  readonly nonce: Bytes;
  evaluated: boolean;
  proved: boolean;
  change: Bytes | null;
}

function resumePrologue({ suite, id, counter }: Hello): Bytes {
  return keys.resumePrologue(suite, { host: HOST, binding: id, index: counter });
}

export class FakeGateway {
  readonly faults = new Set<string>();
  /** Messages that are refused once, since the gateway's key store is away. */
  readonly outages = new Set<string>();
  readonly heard: string[] = [];
  /** What somebody on the wire does to a hello. */
  garble = (hello: Bytes): Bytes => hello;
  readonly hellos: { suite: number; counter: number }[] = [];
  readonly bindingId = randomBytes(16);
  readonly activation = randomBytes(16);
  readonly otk = randomBytes(32);
  readonly expiry = 1_800_000_400;
  rotation = 3;
  twoStep = false;
  tries = 3;
  policy: "hybrid" | "classical" = "hybrid";
  hybridDue = TIME + 86_400;
  binding: FakeBinding | null = null;
  clone = false;
  left = 5;
  blockedUntil: number | null = null;
  /** What the bank's page would be shown. */
  deviceCode = "";
  code2: Bytes = new Uint8Array(0);
  nonce = randomBytes(10);
  confirmed = false;
  ended: string | null = null;
  failure: unknown = null;
  readonly desk = new FakeDesk(TIME);
  biometric = "optional";
  /** What `welcome` tells in place of the point of the next S. */
  falsePoint: Bytes | null = null;
  /** S in force, and what was retired. */
  #s: DhKey;
  readonly #retired = new Set<DhKey>();
  #phoneStatic: Bytes | null = null;
  #line: Line | null = null;
  #socket: MemorySocket | null = null;

  private constructor(s: DhKey) {
    this.#s = s;
  }

  static async make(): Promise<FakeGateway> {
    return new FakeGateway(await P256.generate());
  }

  /** Another S comes in force; who is bound moves to it at the next contact. */
  async rotate(): Promise<void> {
    this.#s = await P256.generate();
  }

  /** The S that a binding's next contact runs under goes away. */
  retire(): void {
    this.#retired.add(this.binding!.s);
  }

  get code(): Bytes {
    const s = compressPoint(this.#s.publicKey);
    return concat(new Uint8Array([1]), this.activation, this.otk, s, unsigned(this.expiry, 4), unsigned(this.rotation, 2));
  }

  get s(): Bytes {
    return compressPoint(this.#s.publicKey);
  }

  /** The socket side of the phone's door. */
  readonly accept = (socket: MemorySocket): void => {
    this.#socket = socket;
    this.#serve(socket).catch((error: unknown) => {
      socket.close();
      const expected = error instanceof Hangup || (error instanceof Error && error.message === "connection-lost");
      if (!expected) this.failure ??= error;
    });
  };

  lose(fault: string): void {
    if (this.faults.delete(fault)) throw new Hangup(fault);
  }

  /** The customer typed the right device code on the bank's page. */
  async confirm(): Promise<void> {
    this.confirmed = true;
    await this.#tell(this.#confirmation());
  }

  async wrongCode(left: number): Promise<void> {
    await this.#tell({ t: "wrong-code", left });
  }

  async end(reason: string): Promise<void> {
    this.ended = reason;
    await this.#tell({ t: "ended", reason });
    this.#socket?.close();
  }

  async setState(state: "active" | "suspended" | "removed"): Promise<void> {
    this.binding!.state = state;
    await this.#tell({ t: "state", state });
    if (state !== "active") this.#socket?.close();
  }

  async say(message: Json): Promise<void> {
    await this.#line?.say(message);
  }

  /** The bank asks, on the open channel if there is one. */
  async ask(...made: Parameters<FakeDesk["make"]>): Promise<FakeRequest> {
    const request = this.desk.make(...made);
    await this.#tell(this.desk.askOf(request));
    return request;
  }

  /** A request ends without this phone. */
  async settle(request: FakeRequest, state: "approved" | "refused" | "expired" | "cancelled" | "failed"): Promise<void> {
    request.state = state;
    await this.#tell({ t: "settled", id: toBase64Url(request.id), state });
  }

  /** The process dies: the socket closes, nothing of it is kept. */
  hangUp(): void {
    this.#socket?.close();
  }

  async #tell(message: Json): Promise<void> {
    try {
      await this.#line?.say(message);
    } catch (error) {
      if (!(error instanceof Hangup)) throw error;
      this.#socket?.close();
    }
  }

  #confirmation(): Json {
    return this.twoStep ? { t: "confirmed" } : { t: "confirmed", nonce: toBase64Url(this.nonce) };
  }

  async #serve(socket: MemorySocket): Promise<void> {
    const hello = parseHello(this.garble(await socket.receive()));
    this.hellos.push({ suite: hello.suite, counter: hello.counter });
    this.lose("before hello");
    const line = hello.kind === 1 ? await this.#firstContact(socket, hello) : await this.#resume(socket, hello);
    if (line === null) socket.close();
    else await this.#openChannel(line);
  }

  #refuse(socket: MemorySocket, error: string): null {
    socket.send(concat(new Uint8Array([0x7f]), utf8(JSON.stringify({ error }))));
    return null;
  }

  async #firstContact(socket: MemorySocket, hello: Hello): Promise<Line | null> {
    if (!equalBytes(hello.id, this.activation)) return this.#refuse(socket, "unknown");
    if (this.binding !== null || this.ended !== null) return this.#refuse(socket, "ended");
    if (hello.suite !== (this.policy === "hybrid" ? 1 : 2)) return this.#refuse(socket, "suite");
    if (hello.counter !== this.rotation) return this.#refuse(socket, "expired");
    const contact = { host: HOST, activation: hello.id, rotation: hello.counter, expiry: this.expiry };
    const prologue = keys.firstContactPrologue(hello.suite, contact);
    const handshake = respond(hello.suite, { prologue, psk: this.otk, staticKey: this.#s });
    await handshake.read(hello.message);
    const phoneStatic = copyBytes(handshake.remoteStatic!);
    if (this.#phoneStatic !== null && !equalBytes(this.#phoneStatic, phoneStatic)) return this.#refuse(socket, "ended");
    this.#phoneStatic = phoneStatic;
    const answer = { binding: toBase64Url(this.bindingId), tenant: "Bank", label: "Account 1", pin: { digits: 6 }, biometric: this.biometric };
    const payload = { ...answer, two_step: this.twoStep, time: TIME, expires: this.expiry };
    const m2 = await handshake.write(utf8(JSON.stringify(payload)));
    const line = new Line(this, socket, await Session.of(await handshake.split()));
    this.lose("after m2");
    socket.send(answerFrame(m2));
    const signingKey = await this.#readBind(line);
    return this.#converse(line, phoneStatic, signingKey);
  }

  async #readBind(line: Line): Promise<Bytes> {
    const bind = await line.read();
    const key = fromBase64Url(String(bind["key"]));
    verify(key, keys.bindInput(line.session.handshakeHash), bind["signature"]);
    this.#line = line;
    this.deviceCode = await line.session.deviceCode();
    this.code2 = await this.sealCode2();
    if (this.outages.delete("bind")) {
      await line.say({ t: "problem", code: "unavailable" });
      throw new Hangup("bind");
    }
    await line.say(this.confirmed ? this.#confirmation() : { t: "pending", tries: this.tries });
    return key;
  }

  /** Code 2 of the present connection. */
  async sealCode2(label = "Account 1"): Promise<Bytes> {
    const secret = await this.#line!.session.export("code2");
    const key = await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt"]);
    const iv = randomBytes(12);
    const plain = concat(this.bindingId, this.nonce, utf8(label));
    const parameters = { name: "AES-GCM", iv, additionalData: utf8("TSR1 code2") };
    return concat(new Uint8Array([2]), iv, new Uint8Array(await crypto.subtle.encrypt(parameters, key, plain)));
  }

  async #converse(line: Line, phoneStatic: Bytes, signingKey: Bytes): Promise<Line> {
    const oprfKey = copyBytes(p256_oprf.oprf.generateKeyPair().secretKey);
    for (;;) {
      const message = await line.read();
      if (this.outages.delete(String(message["t"]))) {
        await line.say({ t: "problem", code: "unavailable" });
        continue;
      }
      if (message["t"] === "pin-evaluate" && this.confirmed) {
        await line.say({ t: "pin-evaluated", element: evaluate(oprfKey, message), left: 4 });
        continue;
      }
      if (message["t"] === "cancel") {
        this.ended = "cancelled";
        await line.say({ t: "ended", reason: "cancelled" });
        line.socket.close();
        throw new Hangup("cancel");
      }
      const nonce = fromBase64Url(String(message["nonce"]));
      if (message["t"] !== "commit" || !equalBytes(nonce, this.nonce)) {
        await line.say({ t: "problem", code: "signature-invalid" });
        continue;
      }
      const h = line.session.handshakeHash;
      const pinKey = fromBase64Url(String(message["pin_key"]));
      verify(signingKey, keys.commitInput(h, nonce), message["signature"]);
      verify(pinKey, keys.pinEnrolInput(h, new Uint8Array(0)), message["pin_signature"]);
      const psk = await line.session.export("binding-psk");
      const verifier = fromBase64Url(String(message["pin_verifier"]));
      this.binding = { phoneStatic, signingKey, index: 0, psk, nextPsk: null, s: this.#s, nextS: this.#s, pinKey, oprfKey, verifier, state: "active" };
      await line.say({ t: "active", added: TIME });
      return line;
    }
  }

  async #resume(socket: MemorySocket, hello: Hello): Promise<Line | null> {
    const { binding } = this;
    if (binding === null || !equalBytes(hello.id, this.bindingId) || binding.state === "removed") {
      return this.#refuse(socket, "unknown");
    }
    if (binding.state === "suspended") return this.#refuse(socket, "suspended");
    if (hello.suite === 3 && TIME >= this.hybridDue) return this.#refuse(socket, "suite");
    const psk = hello.counter === binding.index ? binding.psk : hello.counter === binding.index + 1 ? binding.nextPsk : null;
    if (psk === null) return this.#challenge(socket, hello, binding);
    const prologue = resumePrologue(hello);
    const phoneStatic = binding.phoneStatic;
    const s = hello.counter === binding.index ? binding.s : binding.nextS;
    if (this.#retired.has(s)) return this.#refuse(socket, "retired");
    const handshake = respond(hello.suite, { prologue, psk, staticKey: s, phoneStatic });
    await handshake.read(hello.message);
    const m2 = await handshake.write(utf8(JSON.stringify({ time: TIME })));
    const line = new Line(this, socket, await Session.of(await handshake.split()));
    this.lose("after m2");
    socket.send(answerFrame(m2));
    const ready = await line.read();
    if (ready["t"] !== "ready") throw new Error("ready was due");
    Object.assign(binding, { psk, index: hello.counter, s, nextS: this.#s });
    binding.nextPsk = await line.session.export("ratchet");
    if (hello.suite === 4) this.hybridDue = TIME + 86_400;
    this.#line = line;
    await line.say(this.#welcome(hello.counter + 1, this.#s === s ? {} : { gateway_key: toBase64Url(this.falsePoint ?? this.#s.publicKey) }));
    return line;
  }

  #welcome(next: number, moved: Json): Json {
    const pin = { digits: 6, left: this.left, blocked_until: this.blockedUntil };
    const names = { tenant: "Bank", label: "Account 1" };
    return { t: "welcome", next, state: "active", ...names, hybrid_due: this.hybridDue, pin, ...moved };
  }

  async #challenge(socket: MemorySocket, hello: Hello, binding: FakeBinding): Promise<null> {
    const nonce = randomBytes(32);
    socket.send(concat(new Uint8Array([3]), nonce));
    const answer = await socket.receive();
    const signature = toBase64Url(answer.subarray(1));
    const challenged = { prologue: resumePrologue(hello), hello: helloFrame(hello) };
    try {
      verify(binding.signingKey, keys.staleInput(hello.id, hello.counter, nonce, challenged), signature);
    } catch {
      return this.#refuse(socket, "refused");
    }
    this.clone = true;
    binding.state = "suspended";
    return this.#refuse(socket, "suspended");
  }

  async #openChannel(line: Line): Promise<void> {
    const pin: PinTurn = { nonce: randomBytes(16), evaluated: false, proved: false, change: null };
    for (const message of this.desk.opening()) await line.say(message);
    for (;;) {
      const message = await line.read();
      const answer = this.#answer(message, line, pin);
      if (answer["t"] === "removed") this.binding!.state = "removed";
      for (const told of this.desk.beforeAnswer(message)) await line.say(told);
      await line.say(answer);
    }
  }

  #answer(message: Json, line: Line, pin: PinTurn): Json {
    const binding = this.binding!;
    const h = line.session.handshakeHash;
    if (message["t"] !== "ping" && binding.nextPsk !== null) {
      // Whoever acts has stored the next key.
      Object.assign(binding, { index: binding.index + 1, psk: binding.nextPsk, nextPsk: null, s: binding.nextS });
    }
    switch (message["t"]) {
      case "ping":
        return { t: "pong", time: TIME };
      case "pin-evaluate":
        if (this.left === 0) return { t: "pin-blocked", until: this.blockedUntil };
        if (pin.change === null) this.left -= 1;
        pin.evaluated = true;
        return { t: "pin-evaluated", element: evaluate(pin.change ?? binding.oprfKey, message), left: this.left, nonce: toBase64Url(pin.nonce) };
      case "pin-prove":
        try {
          verify(binding.pinKey, keys.pinProofInput(h, pin.nonce), message["signature"]);
        } catch {
          if (this.left === 0) this.blockedUntil = TIME + 300;
          return { t: "pin-wrong", left: this.left, until: this.blockedUntil };
        }
        this.left = 5;
        pin.proved = true;
        return { t: "pin-proved" };
      case "pin-change":
        if (!pin.proved) return { t: "problem", code: "out-of-turn" };
        pin.change = copyBytes(p256_oprf.oprf.generateKeyPair().secretKey);
        return { t: "pin-change-ready" };
      case "pin-enrol": {
        const key = fromBase64Url(String(message["pin_key"]));
        verify(key, keys.pinEnrolInput(h, pin.nonce), message["pin_signature"]);
        binding.pinKey = key;
        binding.verifier = fromBase64Url(String(message["pin_verifier"]));
        binding.oprfKey = pin.change!;
        pin.change = null;
        return { t: "pin-enrolled" };
      }
      case "rename":
        return { t: "renamed", name: message["name"] };
      case "remove":
        return { t: "removed" };
      default:
        return this.#answerByDesk(message, h, pin) ?? { t: "problem", code: "out-of-turn" };
    }
  }

  #answerByDesk(message: Json, handshakeHash: Bytes, pin: PinTurn): Json | null {
    const { signingKey, pinKey } = this.binding!;
    const take = (member: "evaluated" | "proved"): boolean => {
      const held = pin[member];
      pin[member] = false;
      return held;
    };
    const answer = this.desk.answer(message, {
      bindingId: this.bindingId,
      signingKey,
      pinKey,
      handshakeHash,
      takeNonce: () => (take("evaluated") ? pin.nonce : null),
      takeProof: () => take("proved"),
    });
    if (message["factor"] === "pin" && answer?.["t"] === "answered") this.left = 5;
    return answer;
  }
}

function evaluate(key: Bytes, message: Json): string {
  return toBase64Url(p256_oprf.oprf.blindEvaluate(key, fromBase64Url(String(message["blinded"]))));
}
