/**
 * The phone's half of both handshakes: first contact (suites 1, 2) and later contacts (3, 4). Each gives the hello frame
 * to send and a function that takes the gateway's m2. The phone client runs them; they open no connection.
 */
import type { Bytes } from "./bytes";
import { helloFrame } from "./frames";
import { firstContactPrologue, resumePrologue } from "./keys";
import { decodeFirstAnswer, decodeResumeAnswer, encodeFacts, type Facts, type FirstAnswer, type ResumeAnswer } from "./messages";
import { type DhKey, Handshake, type HandshakeOptions, type KemKey } from "./noise";
import { AES_GCM, P256, uncompressPoint } from "./primitives";
import { Session } from "./session";
import { type Suite, SUITES } from "./suites";

export interface Established<Answer> {
  readonly answer: Answer;
  readonly session: Session;
}

/** A handshake whose hello is written. `finish` takes the Noise m2, once; it raises `handshake` or `malformed`. */
export interface Started<Answer> {
  readonly hello: Bytes;
  readonly prologue: Bytes;
  finish(message: Bytes): Promise<Established<Answer>>;
}

/** Ephemeral keys are for test vectors; a handshake makes its own. */
export interface TestKeys {
  readonly ephemeralKey?: DhKey;
  readonly kemKey?: KemKey;
}

export interface FirstContactInput extends TestKeys {
  readonly suite: 1 | 2;
  readonly host: string;
  readonly activation: Bytes;
  readonly rotation: number;
  readonly expiry: number;
  readonly psk: Bytes;
  readonly gatewayStatic: Bytes;
  readonly phoneKey: DhKey;
  readonly facts: Facts;
}

export interface ResumeInput extends TestKeys {
  readonly suite: 3 | 4;
  readonly host: string;
  readonly binding: Bytes;
  readonly index: number;
  readonly psk: Bytes;
  readonly gatewayStatic: Bytes;
  readonly phoneKey: DhKey;
  readonly facts: Facts;
}

interface Common extends TestKeys {
  readonly suite: Suite;
  readonly psk: Bytes;
  readonly gatewayStatic: Bytes;
  readonly phoneKey: DhKey;
}

function open(input: Common, prologue: Bytes): Handshake {
  const { protocolName, pattern, kem } = SUITES[input.suite];
  const options: HandshakeOptions = {
    protocolName,
    pattern,
    initiator: true,
    dh: P256,
    cipher: AES_GCM,
    prologue,
    psks: [input.psk],
    staticKey: input.phoneKey,
    remoteStatic: uncompressPoint(input.gatewayStatic),
    ...(kem === null ? {} : { kem }),
    ...(input.ephemeralKey === undefined ? {} : { ephemeralKey: input.ephemeralKey }),
    ...(input.kemKey === undefined ? {} : { kemKey: input.kemKey }),
  };
  return new Handshake(options);
}

async function finish<Answer>(
  handshake: Handshake,
  message: Bytes,
  decode: (payload: Bytes) => Answer,
): Promise<Established<Answer>> {
  const answer = decode(await handshake.read(message));
  return { answer, session: await Session.of(await handshake.split()) };
}

/** Begins a first contact. `gatewayStatic` is S, 33 or 65 bytes. The caller wipes `psk`. */
export async function beginFirstContact(input: FirstContactInput): Promise<Started<FirstAnswer>> {
  const prologue = firstContactPrologue(input.suite, input);
  const handshake = open(input, prologue);
  const message = await handshake.write(encodeFacts(input.facts));
  return {
    prologue,
    hello: helloFrame({ suite: input.suite, id: input.activation, counter: input.rotation, message }),
    finish: (answer) => finish(handshake, answer, decodeFirstAnswer),
  };
}

/** Begins a later contact with ratchet key `psk` of `index`. The caller wipes `psk`. */
export async function beginResume(input: ResumeInput): Promise<Started<ResumeAnswer>> {
  const prologue = resumePrologue(input.suite, input);
  const handshake = open(input, prologue);
  const message = await handshake.write(encodeFacts(input.facts));
  return {
    prologue,
    hello: helloFrame({ suite: input.suite, id: input.binding, counter: input.index, message }),
    finish: (answer) => finish(handshake, answer, decodeResumeAnswer),
  };
}
