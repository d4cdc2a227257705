/** What the phone asks of the browser's WebAuthn, and what becomes of the browser's refusals. */
import { afterEach, describe, expect, it, vi } from "vitest";

import { webAuthn } from "../../src/shared/phone-client/credentials";

class Answered {
  readonly clientDataJSON = new Uint8Array([1]).buffer;
  readonly attestationObject = new Uint8Array([2]).buffer;
  readonly authenticatorData = new Uint8Array([3]).buffer;
  readonly signature = new Uint8Array([4]).buffer;
}

class KeyCredential {
  static available = (): Promise<boolean> => Promise.resolve(true);
  static isUserVerifyingPlatformAuthenticatorAvailable(): Promise<boolean> {
    return KeyCredential.available();
  }
  readonly response = new Answered();
}

const NEW = { rpId: "bank.example", rpName: "Bank", userName: "Account 1", user: new Uint8Array(16), challenge: new Uint8Array(32) };

/** A browser that answers, or refuses by an error of this name. */
function browser(error: string | null = null): { asked: unknown[] } {
  const asked: unknown[] = [];
  const ask = (options: unknown): Promise<KeyCredential> => {
    asked.push(options);
    return error === null ? Promise.resolve(new KeyCredential()) : Promise.reject(new DOMException("", error));
  };
  vi.stubGlobal("PublicKeyCredential", KeyCredential);
  vi.stubGlobal("AuthenticatorAttestationResponse", Answered);
  vi.stubGlobal("AuthenticatorAssertionResponse", Answered);
  vi.stubGlobal("navigator", { credentials: { create: ask, get: ask } });
  return { asked };
}

const signal = new AbortController().signal;

function assertion(): ReturnType<typeof webAuthn.get> {
  return webAuthn.get({ rpId: "bank.example", challenge: new Uint8Array(32), credential: new Uint8Array([9]), signal });
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("the browser's WebAuthn", () => {
  it("makes a credential of this device, which verifies its user and does not list it", async () => {
    const { asked } = browser();
    expect(await webAuthn.available()).toBe(true);
    expect(await webAuthn.create(NEW)).toEqual({ clientData: new Uint8Array([1]), attestationObject: new Uint8Array([2]) });
    const authenticatorSelection = { authenticatorAttachment: "platform", userVerification: "required", residentKey: "discouraged", requireResidentKey: false };
    expect(asked[0]).toMatchObject({ publicKey: { rp: { id: "bank.example", name: "Bank" }, attestation: "none", authenticatorSelection } });
  });

  it("signs with the one credential, after verifying its user", async () => {
    const { asked } = browser();
    expect(await assertion()).toEqual({ clientData: new Uint8Array([1]), authenticatorData: new Uint8Array([3]), signature: new Uint8Array([4]) });
    const allowCredentials = [{ type: "public-key", id: new Uint8Array([9]), transports: ["internal"] }];
    expect(asked[0]).toMatchObject({ signal, publicKey: { rpId: "bank.example", allowCredentials, userVerification: "required" } });
  });

  it.each([
    ["NotAllowedError", "biometric-cancelled", "retry"],
    ["AbortError", "biometric-cancelled", "retry"],
    ["SecurityError", "biometric-unsupported", "use-pin"],
    ["NotSupportedError", "biometric-unsupported", "use-pin"],
  ])("that refuses by %s is %s", async (name, code, next) => {
    browser(name);
    await expect(webAuthn.create(NEW)).rejects.toMatchObject({ code, next });
    await expect(assertion()).rejects.toMatchObject({ code, next });
  });

  it("that is not there, or cannot say, is unsupported", async () => {
    expect(await webAuthn.available()).toBe(false);
    await expect(assertion()).rejects.toMatchObject({ code: "biometric-unsupported" });
    browser();
    KeyCredential.available = () => Promise.reject(new Error("no"));
    expect(await webAuthn.available()).toBe(false);
  });
});
