/** tests/vectors/tessera-v1.json, which the Python side writes: every byte of the handshakes, and all that is refused. */
import { p256 } from "@noble/curves/nist.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { describe, expect, it } from "vitest";

import { type Bytes, concat, equalBytes, fromUtf8, unsigned, utf8 } from "../../src/shared/protocol/bytes";
import { openCode2, parseLink, parsePayload, parseScan, parseTypedCode, parseTypedCode2 } from "../../src/shared/protocol/code";
import { parseGatewayFrame, staleAnswerFrame } from "../../src/shared/protocol/frames";
import { beginFirstContact, beginResume, type Established, type Started, type TestKeys } from "../../src/shared/protocol/handshake";
import * as keys from "../../src/shared/protocol/keys";
import { decodeGatewayMessage, type Lang, type Platform } from "../../src/shared/protocol/messages";
import { blind, finalize } from "../../src/shared/protocol/oprf";
import { derivePinKey, pinInput, weakness } from "../../src/shared/protocol/pin";
import { compressPoint, hkdfSha256, mlKemKey } from "../../src/shared/protocol/primitives";
import { type ExportLabel, Session } from "../../src/shared/protocol/session";
import { hex, rawP256, toHex } from "./raw-keys";
import { fixedKem, respond } from "./responder";
import { readVectors } from "./vector-files";
import type { HandshakeVector, TesseraVectors, WrongHandshake } from "./vector-types";

const vectors = readVectors("tessera-v1.json") as TesseraVectors | null;
const all = vectors ?? ({} as TesseraVectors);

function prologue(vector: HandshakeVector): Bytes {
  const { suite, host } = vector;
  if (vector.activation_id === undefined) {
    return keys.resumePrologue(suite, { host, binding: hex(vector.binding_id!), index: vector.index! });
  }
  const activation = hex(vector.activation_id);
  return keys.firstContactPrologue(suite, { host, activation, rotation: vector.rotation!, expiry: vector.expiry! });
}

function testKeys(vector: HandshakeVector): TestKeys {
  const ephemeralKey = rawP256(hex(vector.initiator_ephemeral.private));
  if (vector.mlkem768 === null) return { ephemeralKey };
  const { publicKey, secretKey } = ml_kem768.keygen(hex(vector.mlkem768.seed));
  return { ephemeralKey, kemKey: mlKemKey(publicKey, secretKey) };
}

async function begin(vector: HandshakeVector): Promise<Started<unknown>> {
  const { v, ...facts } = JSON.parse(vector.m1_payload) as { v: 1; app: string; platform: Platform; lang: Lang };
  expect(v).toBe(1);
  const common = {
    host: vector.host,
    psk: hex(vector.psk),
    gatewayStatic: compressPoint(hex(vector.gateway_static.public)),
    phoneKey: rawP256(hex(vector.phone_static.private)),
    facts,
    ...testKeys(vector),
  };
  if (vector.suite === 1 || vector.suite === 2) {
    const activation = hex(vector.activation_id!);
    const { suite, rotation, expiry } = vector;
    return beginFirstContact({ ...common, suite, activation, rotation: rotation!, expiry: expiry! });
  }
  return beginResume({ ...common, suite: vector.suite, binding: hex(vector.binding_id!), index: vector.index! });
}

function responder(vector: HandshakeVector): ReturnType<typeof respond> {
  return respond(vector.suite, {
    prologue: prologue(vector),
    psk: hex(vector.psk),
    staticKey: rawP256(hex(vector.gateway_static.private)),
    ephemeralKey: rawP256(hex(vector.responder_ephemeral.private)),
    ...(vector.mlkem768 === null ? {} : { kem: fixedKem(hex(vector.mlkem768.m)) }),
    ...(vector.activation_id === undefined ? { phoneStatic: hex(vector.phone_static.public) } : {}),
  });
}

async function checkExports(session: Session, vector: HandshakeVector): Promise<void> {
  expect(toHex(session.handshakeHash)).toBe(vector.handshake_hash);
  for (const [label, value] of Object.entries(vector.exports)) {
    expect(toHex(await session.export(label as ExportLabel))).toBe(value);
  }
  if (vector.device_code !== undefined) expect(await session.deviceCode()).toBe(vector.device_code);
  if (vector.next_psk !== undefined) expect(toHex(await session.export("ratchet"))).toBe(vector.next_psk);
}

async function runHandshake(vector: HandshakeVector): Promise<void> {
  expect(toHex(prologue(vector))).toBe(vector.prologue);
  const phone = await begin(vector);
  expect(toHex(phone.hello)).toBe(vector.hello);
  const gateway = responder(vector);
  expect(fromUtf8(await gateway.read(hex(vector.m1)))).toBe(vector.m1_payload);
  expect(toHex(await gateway.write(utf8(vector.m2_payload)))).toBe(vector.m2);
  const frame = parseGatewayFrame(hex(vector.answer_frame));
  if (frame.kind !== "answer") throw new Error("not an answer");
  const { session } = await phone.finish(frame.message);
  const result = await gateway.split();
  expect(toHex(result.chainingKey)).toBe(vector.chaining_key);
  const other = await Session.of(result);
  await checkExports(session, vector);
  await checkExports(other, vector);
  for (const { from, plaintext, message } of vector.transport) {
    const [sender, receiver] = from === "initiator" ? [session, other] : [other, session];
    expect(toHex(await sender.encrypt(utf8(plaintext)))).toBe(message);
    expect(fromUtf8(await receiver.decrypt(hex(message)))).toBe(plaintext);
  }
}

function flipped(message: string, place: number): Bytes {
  const bytes = hex(message);
  bytes[place]! ^= 1;
  return bytes;
}

async function runWrong(wrong: WrongHandshake, vector: HandshakeVector): Promise<void> {
  const refused = { code: "handshake" };
  if (wrong.change !== undefined) {
    await expect(responder({ ...vector, ...wrong.change }).read(hex(vector.m1))).rejects.toMatchObject(refused);
    return;
  }
  for (const place of wrong.flip!) {
    if (wrong.message === "m1") {
      await expect(responder(vector).read(flipped(vector.m1, place))).rejects.toMatchObject(refused);
    } else {
      const finish = async (): Promise<Established<unknown>> => (await begin(vector)).finish(flipped(vector.m2, place));
      await expect(finish()).rejects.toMatchObject(refused);
    }
  }
}

describe.skipIf(vectors === null)("tests/vectors/tessera-v1.json", () => {
  const handshakes = vectors === null ? [] : [...all.first_contact, ...all.resume];

  it("has all four suites", () => {
    expect(handshakes.map(({ suite }) => suite).sort()).toEqual([1, 2, 3, 4]);
  });

  it.each(handshakes.map((vector) => [vector.name, vector] as const))("%s", async (_, vector) => {
    await runHandshake(vector);
  });

  it.each((vectors?.wrong_handshakes ?? []).map((wrong) => [`${wrong.of}: ${wrong.what} (${wrong.fails})`, wrong] as const))(
    "refuses %s",
    async (_, wrong) => {
      await runWrong(wrong, handshakes.find(({ name }) => name === wrong.of)!);
    },
  );

  it("derives one-time keys as the gateway does", () => {
    for (const { seed, activation_id, rotation, otk } of all.one_time_keys) {
      const info = concat(utf8("tessera otk"), unsigned(rotation, 2));
      expect(toHex(hkdfSha256(hex(seed), hex(activation_id), info, 32))).toBe(otk);
    }
  });

  it("parses activation codes from either form", () => {
    for (const vector of all.activation_codes) {
      const expected = {
        kind: "activation",
        activation: hex(vector.activation_id),
        psk: hex(vector.otk),
        gatewayStatic: hex(vector.gateway_public),
        expiry: vector.expiry,
        rotation: vector.rotation,
      };
      expect(parsePayload(hex(vector.payload))).toEqual(expected);
      expect(parseScan(hex(vector.payload), vector.host)).toEqual(expected);
      expect(parseScan(utf8(vector.link), vector.host)).toEqual(expected);
    }
  });

  it("parses typed codes however they are typed", () => {
    for (const vector of all.typed_codes) {
      for (const text of [vector.typed, ...vector.also_typed_as]) {
        const { locator, secret } = parseTypedCode(text);
        expect({ locator, secret }).toEqual({ locator: vector.locator, secret: vector.secret });
        expect(toHex(keys.typedPsk(secret, hex(vector.activation_id)))).toBe(vector.psk);
      }
    }
  });

  it("opens code 2 from every form", async () => {
    for (const vector of all.second_codes) {
      const code = parsePayload(hex(vector.payload));
      expect(parseLink(vector.link, "bank.example")).toEqual(code);
      if (code.kind !== "code2") throw new Error("not a code 2");
      const opened = await openCode2(hex(vector.key), code, hex(vector.binding_id));
      expect({ nonce: toHex(opened.nonce), label: opened.label }).toEqual({ nonce: vector.nonce, label: vector.label });
      expect(toHex(parseTypedCode2(vector.typed))).toBe(vector.nonce);
    }
  });

  it("refuses wrong codes", async () => {
    const { payloads, links, foreign_links, typed, second_codes } = all.wrong_codes;
    for (const payload of payloads) expect(() => parsePayload(hex(payload)), payload).toThrow("malformed");
    for (const link of links) expect(() => parseLink(link, "bank.example"), link).toThrow("malformed");
    for (const { own_host, link } of foreign_links) expect(() => parseLink(link, own_host)).toThrow("foreign-host");
    for (const { text } of typed) expect(() => parseTypedCode(text), text).toThrow("typed-check");
    for (const { key, payload, binding_id } of second_codes) {
      const open = async (): Promise<unknown> => {
        const code = parsePayload(hex(payload));
        if (code.kind !== "code2") throw new Error("malformed");
        return openCode2(hex(key), code, hex(binding_id ?? all.second_codes[0]!.binding_id));
      };
      await expect(open()).rejects.toThrow(/malformed|decrypt/);
    }
  });

  it("derives the PIN key through the whole chain", async () => {
    for (const vector of all.pin_keys) {
      const binding = hex(vector.binding_id);
      const input = pinInput(binding, vector.pin);
      expect(toHex(input)).toBe(vector.oprf_input);
      const wide = hex((BigInt(`0x${vector.blind}`) - 1n).toString(16).padStart(96, "0"));
      const blinded = blind(input, () => wide);
      expect(toHex(blinded.blind)).toBe(vector.blind);
      expect(toHex(blinded.element)).toBe(vector.blinded);
      const output = finalize(input, blinded.blind, hex(vector.evaluated));
      expect(toHex(output)).toBe(vector.oprf_output);
      const hmac = { name: "HMAC", hash: "SHA-256" };
      const secret = await crypto.subtle.importKey("raw", hex(vector.device_secret), hmac, false, ["sign"]);
      const key = await derivePinKey(output, secret, binding);
      expect(toHex(key.publicKey)).toBe(vector.pin_key.public);
      expect(p256.verify(key.sign(utf8("x")), utf8("x"), key.publicKey, { lowS: false })).toBe(true);
    }
  });

  it("judges PINs as the specification does", () => {
    for (const { pin, digits, weak } of all.pins) {
      if (weak === "length" || weak === "not-digits") expect(new RegExp(`^[0-9]{${digits}}$`).test(pin)).toBe(false);
      else expect(weakness(pin), pin).toBe(weak);
    }
    for (const pin of all.common_pins) expect(weakness(pin), pin).not.toBeNull();
  });

  it("signs the same bytes", () => {
    for (const vector of all.signatures) {
      const [hash, nonce] = [hex(vector.handshake_hash ?? ""), hex(vector.nonce ?? "")];
      const inputs: Record<string, () => Bytes> = {
        bind: () => keys.bindInput(hash),
        commit: () => keys.commitInput(hash, nonce),
        "pin-enrol": () => keys.pinEnrolInput(hash, nonce),
        "pin-proof": () => keys.pinProofInput(hash, nonce),
        stale: () => {
          const challenged = { prologue: hex(vector.prologue!), hello: hex(vector.hello!) };
          return keys.staleInput(hex(vector.binding_id!), vector.index!, nonce, challenged);
        },
      };
      const input = inputs[vector.what]!();
      expect(toHex(input)).toBe(vector.input);
      expect(p256.verify(hex(vector.signature), input, hex(vector.public), { lowS: false })).toBe(true);
    }
  });

  it("parses the gateway's frames and refuses others", () => {
    const { errors, stale_challenge, stale_answer, wrong_gateway_frames } = all.frames;
    for (const { code, frame } of errors) expect(parseGatewayFrame(hex(frame))).toEqual({ kind: "error", error: code });
    const stale = parseGatewayFrame(hex(stale_challenge.frame));
    expect(stale.kind === "stale" && equalBytes(stale.nonce, hex(stale_challenge.nonce))).toBe(true);
    expect(toHex(staleAnswerFrame(hex(stale_answer.signature)))).toBe(stale_answer.frame);
    for (const frame of wrong_gateway_frames) expect(() => parseGatewayFrame(hex(frame)), frame).toThrow("malformed");
  });

  it("decodes the gateway's messages and refuses others", () => {
    for (const message of all.messages.gateway) {
      const decoded = decodeGatewayMessage(utf8(message)) as unknown as Record<string, unknown>;
      expect(Object.keys(decoded).sort()).toEqual(Object.keys(JSON.parse(message) as object).sort());
    }
    for (const message of all.messages.wrong_gateway) {
      expect(() => decodeGatewayMessage(utf8(message)), message.slice(0, 80)).toThrow("malformed");
    }
  });
});
