/** The Noise engine over the published vectors, both roles, and what it refuses. */
import { describe, expect, it } from "vitest";

import { type Bytes, equalBytes } from "../../src/shared/protocol/bytes";
import { Handshake, type HandshakeOptions } from "../../src/shared/protocol/noise";
import { AES_GCM, P256 } from "../../src/shared/protocol/primitives";
import { SUITES } from "../../src/shared/protocol/suites";
import type { CipherState } from "../../src/shared/protocol/symmetric";
import { publishedPattern } from "./published-patterns";
import { CIPHERS, DHS, hex, toHex } from "./raw-keys";
import { listVectors, readVectors } from "./vector-files";

interface NoiseVector {
  protocol_name: string;
  init_prologue: string;
  resp_prologue: string;
  init_psks?: string[];
  resp_psks?: string[];
  init_static?: string;
  resp_static?: string;
  init_ephemeral?: string;
  resp_ephemeral?: string;
  init_remote_static?: string;
  resp_remote_static?: string;
  handshake_hash?: string;
  messages: { payload: string; ciphertext: string }[];
}

function party(vector: NoiseVector, role: "init" | "resp"): HandshakeOptions {
  const [, pattern, dhName, cipher] = vector.protocol_name.split("_");
  const { dh, raw } = DHS[dhName!]!;
  const key = (name: string | undefined): ReturnType<typeof raw> | undefined => (name === undefined ? undefined : raw(hex(name)));
  const staticKey = key(vector[`${role}_static`]);
  const ephemeralKey = key(vector[`${role}_ephemeral`]);
  const remoteStatic = vector[`${role}_remote_static`];
  return {
    protocolName: vector.protocol_name,
    pattern: publishedPattern(pattern!),
    initiator: role === "init",
    dh,
    cipher: CIPHERS[cipher!]!,
    prologue: hex(vector[`${role}_prologue`]),
    psks: (vector[`${role}_psks`] ?? []).map(hex),
    ...(staticKey === undefined ? {} : { staticKey }),
    ...(ephemeralKey === undefined ? {} : { ephemeralKey }),
    ...(remoteStatic === undefined ? {} : { remoteStatic: hex(remoteStatic) }),
  };
}

async function run(vector: NoiseVector): Promise<void> {
  const initiator = new Handshake(party(vector, "init"));
  const responder = new Handshake(party(vector, "resp"));
  const length = publishedPattern(vector.protocol_name.split("_")[1]!).messages.length;
  const oneWay = length === 1;
  for (const [index, { payload, ciphertext }] of vector.messages.slice(0, length).entries()) {
    const [writer, reader] = index % 2 === 0 ? [initiator, responder] : [responder, initiator];
    const message = await writer.write(hex(payload));
    expect(toHex(message)).toBe(ciphertext);
    expect(toHex(await reader.read(message))).toBe(payload);
  }
  const ends = { initiator: await initiator.split(), responder: await responder.split() };
  expect(equalBytes(ends.initiator.handshakeHash, ends.responder.handshakeHash)).toBe(true);
  if (vector.handshake_hash !== undefined) expect(toHex(ends.initiator.handshakeHash)).toBe(vector.handshake_hash);
  const none = hex("");
  for (const [index, { payload, ciphertext }] of vector.messages.slice(length).entries()) {
    const fromInitiator = oneWay || (index + length) % 2 === 0;
    const pair: [CipherState, CipherState] = fromInitiator
      ? [ends.initiator.send, ends.responder.receive]
      : [ends.responder.send, ends.initiator.receive];
    expect(toHex(await pair[0].encrypt(none, hex(payload)))).toBe(ciphertext);
    expect(toHex(await pair[1].decrypt(none, hex(ciphertext)))).toBe(payload);
  }
}

const files = listVectors("noise");

describe.skipIf(files.length === 0)("published Noise vectors", () => {
  for (const file of files) {
    const { vectors } = readVectors(file) as { vectors: NoiseVector[] };
    it.each(vectors.map((vector) => [vector.protocol_name, vector] as const))(`${file}: %s`, async (_, vector) => {
      await run(vector);
    });
    it(`${file}: has vectors`, () => {
      expect(vectors.length).toBeGreaterThan(0);
    });
  }
});

interface Pair {
  initiator: Handshake;
  responder: Handshake;
}

async function pair(changed: Partial<HandshakeOptions> = {}): Promise<Pair> {
  const suite = SUITES[1];
  const [phone, gateway] = [await P256.generate(), await P256.generate()];
  const common = {
    protocolName: suite.protocolName,
    pattern: suite.pattern,
    dh: P256,
    cipher: AES_GCM,
    kem: suite.kem!,
    prologue: hex("00"),
    psks: [hex("11".repeat(32))],
  };
  return {
    initiator: new Handshake({ ...common, initiator: true, staticKey: phone, remoteStatic: gateway.publicKey, ...changed }),
    responder: new Handshake({ ...common, initiator: false, staticKey: gateway }),
  };
}

describe("the hybrid suite", () => {
  it("ends with the same keys on both sides, and shows the responder the phone's key", async () => {
    const { initiator, responder } = await pair();
    const m1 = await initiator.write(hex("aa"));
    expect(m1.length).toBe(65 + (1184 + 16) + (65 + 16) + 1 + 16);
    expect(toHex(await responder.read(m1))).toBe("aa");
    const m2 = await responder.write(hex("bb"));
    expect(m2.length).toBe(65 + (1088 + 16) + 1 + 16);
    expect(toHex(await initiator.read(m2))).toBe("bb");
    const [left, right] = [await initiator.split(), await responder.split()];
    expect(toHex(left.chainingKey)).toBe(toHex(right.chainingKey));
    expect(responder.remoteStatic?.length).toBe(65);
  });

  it.each([
    ["another psk", { psks: [hex("22".repeat(32))] }],
    ["another prologue", { prologue: hex("01") }],
  ])("refuses %s", async (_, changed) => {
    const { initiator, responder } = await pair(changed);
    await expect(initiator.write(hex("")).then((m1) => responder.read(m1))).rejects.toMatchObject({ code: "handshake" });
  });

  it("refuses another S", async () => {
    const { initiator, responder } = await pair({ remoteStatic: (await P256.generate()).publicKey });
    await expect(initiator.write(hex("")).then((m1) => responder.read(m1))).rejects.toMatchObject({ code: "handshake" });
  });

  it("refuses a flipped bit anywhere in m1 and m2, and is dead afterwards", async () => {
    for (const place of [0, 1, 40, 64, 65, 700, 1264, 1265, 1300, 1345, 1346, 1360]) {
      const { initiator, responder } = await pair();
      const m1 = flip(await initiator.write(hex("")), place);
      await expect(responder.read(m1)).rejects.toMatchObject({ code: "handshake" });
      await expect(responder.read(m1)).rejects.toMatchObject({ code: "state" });
    }
    for (const place of [0, 64, 65, 1000, 1168, 1169, 1184]) {
      const { initiator, responder } = await pair();
      await responder.read(await initiator.write(hex("")));
      const m2 = flip(await responder.write(hex("")), place);
      await expect(initiator.read(m2)).rejects.toMatchObject({ code: "handshake" });
      await expect(initiator.split()).rejects.toMatchObject({ code: "state" });
    }
  });

  it("refuses to be called out of turn", async () => {
    const { initiator, responder } = await pair();
    await expect(initiator.read(hex("00"))).rejects.toMatchObject({ code: "state" });
    await expect(responder.write(hex("00"))).rejects.toMatchObject({ code: "state" });
    await expect(initiator.split()).rejects.toMatchObject({ code: "state" });
    await expect(responder.read(hex("00"))).rejects.toMatchObject({ code: "handshake" });
  });
});

function flip(message: Bytes, place: number): Bytes {
  const flipped = message.slice();
  flipped[place % flipped.length]! ^= 1;
  return flipped;
}
