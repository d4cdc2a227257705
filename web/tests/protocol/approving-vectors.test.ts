/** What tests/vectors say of approving: statements, what is signed, OCRA, and codes and answers without a network. */
import { p256 } from "@noble/curves/nist.js";
import { describe, expect, it } from "vitest";

import { answerInput, approvalPinInput, biometricChallenge, parseStatement } from "../../src/shared/protocol/approval";
import { fromUtf8, toBase64Url, utf8 } from "../../src/shared/protocol/bytes";
import { parsePayload, parseScan } from "../../src/shared/protocol/code";
import { encodePhoneMessage } from "../../src/shared/protocol/messages";
import { type OcraInputs, parseSuite, respond } from "../../src/shared/protocol/ocra";
import { offlineAnswer, offlineHint, offlineKeys, openOffline, parseOffline } from "../../src/shared/protocol/offline";
import { offlineVerifier } from "../../src/shared/protocol/pin";
import { hex, toHex } from "./raw-keys";
import { readVectors } from "./vector-files";
import type { OcraVector, TesseraVectors } from "./vector-types";

const all = readVectors("tessera-v1.json") as TesseraVectors;
const published = readVectors("ocra-rfc6287.json") as {
  vectors: { suite: string; key: string; responses: Omit<OcraVector, "suite" | "key">[] }[];
};
const others = readVectors("ocra-python-oath.json") as { responses: OcraVector[] };

describe("statements", () => {
  it.each(all.statements.map(({ what, ...vector }) => [what, vector] as const))("%s", (_, { bytes, members }) => {
    const { id, nonce, fields, ...rest } = parseStatement(hex(bytes));
    expect({ v: 1, id: toBase64Url(id), nonce: toBase64Url(nonce), fields, ...rest }).toEqual(members);
  });

  it("each type has one", () => {
    expect(new Set(all.statements.map(({ members }) => members.type))).toEqual(new Set(["login", "payment", "contact", "free", "device"]));
  });

  it.each(all.wrong_statements.map(({ what, bytes }) => [what, bytes] as const))("refuses %s", (_, bytes) => {
    expect(() => parseStatement(hex(bytes))).toThrow("malformed");
  });
});

describe("answers", () => {
  it("signs the same bytes", () => {
    for (const vector of all.answers) {
      const handshakeHash = hex(vector.handshake_hash);
      const { decision, factor, number } = vector;
      const parts = { binding: hex(vector.binding_id), handshakeHash, statement: hex(vector.statement) };
      const input = answerInput({ decision, factor, number, ...parts });
      expect(toHex(input)).toBe(vector.input);
      expect(p256.verify(hex(vector.signature), input, hex(vector.public), { lowS: false })).toBe(true);
      const pinInput = approvalPinInput(handshakeHash, hex(vector.nonce), input);
      expect(toHex(pinInput)).toBe(vector.pin_input);
      expect(p256.verify(hex(vector.pin_signature), pinInput, hex(vector.pin_public), { lowS: false })).toBe(true);
      expect(toHex(biometricChallenge(input))).toBe(vector.biometric_challenge);
    }
  });

  it("signs no number but two digits, and no hash or id of another length", () => {
    const parts = { decision: "approve", factor: "pin", binding: hex("00".repeat(16)), handshakeHash: hex("00".repeat(32)), statement: hex("") } as const;
    for (const number of [9, 100, 10.5, Number.NaN]) expect(() => answerInput({ ...parts, number })).toThrow("malformed");
    expect(() => answerInput({ ...parts, number: null, binding: hex("00") })).toThrow("malformed");
    expect(() => answerInput({ ...parts, number: null, handshakeHash: hex("00") })).toThrow("malformed");
    expect(() => approvalPinInput(parts.handshakeHash, hex("00"), hex(""))).toThrow("malformed");
  });

  it("writes each message of the phone as the gateway reads it", () => {
    const bytes = (text: string): unknown =>
      JSON.parse(text, (name, value: unknown) =>
        typeof value === "string" && /^(id|before|p256dh|auth|credential|client_data|authenticator_data|signature|pin_.*|attestation_object)$/.test(name)
          ? hex(Buffer.from(value, "base64url").toString("hex"))
          : value,
      );
    const tags = new Set(["answer", "approvals", "inbox", "inbox-read", "push-subscribe", "push-unsubscribe", "biometric-begin", "biometric-enrol", "biometric-remove", "offline-counter"]);
    const texts = all.messages.phone.filter((text) => tags.delete((JSON.parse(text) as { t: string }).t) || text.includes("before") || text.includes("answer"));
    expect(tags.size).toBe(0);
    for (const text of texts) {
      const written = fromUtf8(encodePhoneMessage(bytes(text) as Parameters<typeof encodePhoneMessage>[0]));
      expect(JSON.parse(written)).toEqual(JSON.parse(text));
    }
  });
});

function inputsOf(vector: Omit<OcraVector, "suite" | "key">): OcraInputs {
  return {
    question: vector.question,
    ...(vector.counter === undefined ? {} : { counter: vector.counter }),
    ...(vector.pin_hash === undefined ? {} : { pinHash: hex(vector.pin_hash) }),
    ...(vector.session === undefined ? {} : { session: hex(vector.session) }),
    ...(vector.time_steps === undefined ? {} : { timeSteps: vector.time_steps }),
  };
}

describe("OCRA", () => {
  it.each(published.vectors.map((vector) => [vector.suite, vector] as const))("RFC 6287: %s", (_, vector) => {
    for (const response of vector.responses) {
      expect(respond(parseSuite(vector.suite), inputsOf(response), hex(vector.key))).toBe(response.response);
    }
  });

  it("agrees with another implementation", () => {
    for (const vector of others.responses) {
      expect(respond(parseSuite(vector.suite), inputsOf(vector), hex(vector.key)), vector.suite).toBe(vector.response);
    }
  });

  it("reads suites and refuses others", () => {
    for (const text of all.ocra_suites.suites) expect(parseSuite(text).text).toBe(text);
    for (const text of all.ocra_suites.wrong) expect(() => parseSuite(text), text).toThrow("malformed");
    expect(respond(parseSuite("OCRA-1:HOTP-SHA512-0:QA04"), { question: "abcd" }, utf8("k"))).toMatch(/^[0-9a-f]{128}$/);
  });

  it.each<[string, OcraInputs]>([
    ["QN08", { question: "" }],
    ["QN08", { question: "1".repeat(17) }],
    ["QN08", { question: "12a" }],
    ["QH08", { question: "xyz" }],
    ["QA08", { question: "\u00e9" }],
    ["QN08", { question: "1", counter: 0 }],
    ["QN08", { question: "1", pinHash: hex("00".repeat(20)) }],
    ["C-QN08", { question: "1" }],
    ["C-QN08", { question: "1", counter: -1 }],
    ["QN08-PSHA1", { question: "1", pinHash: hex("00".repeat(32)) }],
    ["QN08-S064", { question: "1", session: hex("00".repeat(63)) }],
    ["QN08-T1M", { question: "1" }],
  ])("refuses inputs that are not those of %s: %j", (data, inputs) => {
    expect(() => respond(parseSuite(`OCRA-1:HOTP-SHA1-6:${data}`), inputs, utf8("k"))).toThrow("malformed");
  });
});

describe("without a network", () => {
  it("opens codes by the key of each index", async () => {
    for (const vector of all.offline_codes) {
      const [binding, payload] = [hex(vector.binding_id), hex(vector.payload)];
      expect(parsePayload(payload)).toEqual({ kind: "offline", payload });
      expect(parseScan(payload, "bank.example")).toEqual({ kind: "offline", payload });
      expect(parseScan(utf8(vector.link), "bank.example")).toEqual({ kind: "offline", payload });
      const code = parseOffline(payload);
      expect(toHex(code.hint)).toBe(vector.hint);
      expect(toHex(offlineHint(binding))).toBe(vector.hint);
      expect(code.slots.map(({ index }) => index)).toEqual(vector.keys.map(({ index }) => index));
      for (const { index, psk, seal_key, answer_key } of vector.keys) {
        const { sealKey, answerKey } = offlineKeys(hex(psk), binding);
        expect([toHex(sealKey), toHex(answerKey)]).toEqual([seal_key, answer_key]);
        expect(toHex(await openOffline(code, { binding, index, sealKey }))).toBe(vector.statement);
      }
    }
  });

  it.each(all.wrong_offline_codes.malformed.map(({ what, payload }) => [what, payload] as const))("refuses %s", (_, payload) => {
    expect(() => parseOffline(hex(payload))).toThrow("malformed");
    expect(() => parsePayload(hex(payload))).toThrow("malformed");
  });

  it.each(all.wrong_offline_codes.unopened.map(({ what, ...wrong }) => [what, wrong] as const))("does not open: %s", async (_, wrong) => {
    const opening = { binding: hex(wrong.binding_id), index: wrong.index, sealKey: hex(wrong.seal_key) };
    await expect(openOffline(parseOffline(hex(wrong.payload)), opening)).rejects.toThrow("decrypt");
  });

  it("makes the verifier and the digits", async () => {
    for (const vector of all.offline_answers) {
      const hmac = { name: "HMAC", hash: "SHA-256" };
      const secret = await crypto.subtle.importKey("raw", hex(vector.device_secret), hmac, false, ["sign"]);
      const verifier = await offlineVerifier(secret, hex(vector.binding_id), vector.pin);
      expect(toHex(verifier)).toBe(vector.verifier);
      const { counter } = vector;
      const parts = { answerKey: hex(vector.answer_key), counter, statement: hex(vector.statement), verifier };
      expect(offlineAnswer(parts)).toBe(vector.answer);
    }
  });
});
