/** The shape of tests/vectors/tessera-v1.json, as its README tells it: bytes are lower-case hexadecimal. */
import type { Decision, Factor } from "../../src/shared/protocol/messages";
import type { Suite } from "../../src/shared/protocol/suites";

interface KeyVector {
  private: string;
  public: string;
}

export interface HandshakeVector {
  name: string;
  suite: Suite;
  host: string;
  activation_id?: string;
  rotation?: number;
  expiry?: number;
  binding_id?: string;
  index?: number;
  psk: string;
  gateway_static: KeyVector;
  phone_static: KeyVector;
  initiator_ephemeral: KeyVector;
  responder_ephemeral: KeyVector;
  mlkem768: { seed: string; m: string } | null;
  prologue: string;
  hello: string;
  m1: string;
  m1_payload: string;
  m2: string;
  m2_payload: string;
  answer_frame: string;
  handshake_hash: string;
  chaining_key: string;
  exports: Record<string, string>;
  transport: { from: "initiator" | "responder"; plaintext: string; message: string }[];
  device_code?: string;
  next_psk?: string;
}

export interface WrongHandshake {
  of: string;
  what: string;
  fails: "m1" | "m2";
  change?: Partial<HandshakeVector>;
  message?: "m1" | "m2";
  flip?: number[];
}

export interface OcraVector {
  suite: string;
  key: string;
  question: string;
  counter?: number;
  pin_hash?: string;
  session?: string;
  time_steps?: number;
  response: string;
}

export interface AnswerVector {
  statement: string;
  decision: Decision;
  factor: Factor;
  number: number | null;
  binding_id: string;
  handshake_hash: string;
  input: string;
  public: string;
  signature: string;
  nonce: string;
  pin_input: string;
  pin_public: string;
  pin_signature: string;
  biometric_challenge: string;
}

export interface OfflineCodeVector {
  binding_id: string;
  keys: { index: number; psk: string; seal_key: string; answer_key: string }[];
  statement: string;
  hint: string;
  payload: string;
  link: string;
}

export interface TesseraVectors {
  first_contact: HandshakeVector[];
  resume: HandshakeVector[];
  wrong_handshakes: WrongHandshake[];
  one_time_keys: { seed: string; activation_id: string; rotation: number; otk: string }[];
  activation_codes: {
    activation_id: string;
    otk: string;
    gateway_public: string;
    expiry: number;
    rotation: number;
    payload: string;
    host: string;
    link: string;
  }[];
  typed_codes: {
    typed: string;
    also_typed_as: string[];
    locator: string;
    secret: string;
    activation_id: string;
    psk: string;
  }[];
  second_codes: {
    key: string;
    binding_id: string;
    nonce: string;
    label: string;
    payload: string;
    link: string;
    typed: string;
  }[];
  wrong_codes: {
    payloads: string[];
    links: string[];
    foreign_links: { own_host: string; link: string }[];
    typed: { text: string }[];
    second_codes: { key: string; payload: string; binding_id?: string }[];
  };
  pin_keys: {
    pin: string;
    binding_id: string;
    oprf_input: string;
    blind: string;
    blinded: string;
    evaluated: string;
    oprf_output: string;
    device_secret: string;
    pin_key: KeyVector;
  }[];
  pins: { pin: string; digits: number; weak: string | null }[];
  common_pins: string[];
  signatures: {
    what: string;
    handshake_hash?: string;
    nonce?: string;
    binding_id?: string;
    index?: number;
    prologue?: string;
    hello?: string;
    input: string;
    public: string;
    signature: string;
  }[];
  frames: {
    errors: { code: string; frame: string }[];
    stale_challenge: { nonce: string; frame: string };
    stale_answer: { signature: string; frame: string };
    wrong_gateway_frames: string[];
  };
  statements: { what: string; bytes: string; members: { type: string; fields: Record<string, string> } & Record<string, unknown> }[];
  wrong_statements: { what: string; bytes: string }[];
  answers: AnswerVector[];
  offline_codes: OfflineCodeVector[];
  wrong_offline_codes: {
    malformed: { what: string; payload: string }[];
    unopened: { what: string; binding_id: string; index: number; seal_key: string; payload: string }[];
  };
  offline_answers: {
    device_secret: string;
    binding_id: string;
    pin: string;
    verifier: string;
    answer_key: string;
    counter: number;
    statement: string;
    answer: string;
  }[];
  ocra_suites: { suites: string[]; wrong: string[] };
  messages: { phone: string[]; gateway: string[]; wrong_phone: string[]; wrong_gateway: string[] };
}
