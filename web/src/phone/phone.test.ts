/** Small rules of the phone app: pasted links, camera failures, device facts, the state that is shown, every error's text. */
import { describe, expect, it } from "vitest";
import { PhoneClientError, type Binding } from "../shared/phone-client/index.js";
import { bindingState } from "./binding-state.js";
import { classifyFailure } from "./camera.js";
import { nameOf, readUserAgent } from "./device.js";
import type { LinkView } from "./links.js";
import { readPastedLink } from "./pasted-link.js";
import { pinBlock } from "./pin-block.js";
import { refusePin } from "./pin-choice.js";
import { explainFailure } from "./text/errors.js";

describe("readPastedLink", () => {
  const origin = "https://bank.example";

  it("takes a link of this origin and gives its fragment", () => {
    expect(readPastedLink("  https://bank.example/a#AQID \n", origin)).toBe("#AQID");
    expect(readPastedLink("https://bank.example/phone/#AQID", origin)).toBe("#AQID");
  });

  it.each([
    ["https://evil.example/a#AQID", "code-foreign-host"],
    ["http://bank.example/a#AQID", "code-foreign-host"],
    ["https://bank.example:8443/a#AQID", "code-foreign-host"],
    ["https://bank.example@evil.example/a#AQID", "code-foreign-host"],
    ["https://bank.example/a", "code-invalid"],
    ["https://bank.example/a#", "code-invalid"],
    ["AQID", "code-invalid"],
    ["", "code-invalid"],
    ["javascript:alert(1)#AQID", "code-foreign-host"],
  ])("refuses %s as %s", (link, code) => {
    expect(() => readPastedLink(link, origin)).toThrow(expect.objectContaining({ code }) as Error);
  });
});

describe("classifyFailure", () => {
  it.each([
    ["NotAllowedError", "refused"],
    ["SecurityError", "refused"],
    ["NotFoundError", "absent"],
    ["OverconstrainedError", "absent"],
    ["NotReadableError", "busy"],
    ["AbortError", "busy"],
    ["TypeError", "unsupported"],
  ])("%s is %s", (name, failure) => {
    expect(classifyFailure(name)).toBe(failure);
  });
});

describe("readUserAgent", () => {
  it.each([
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.4 Mobile/15E148 Safari/604.1", "iPhone", "iOS 17.4"],
    ["Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP1A) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36", "Pixel 8", "Android 14"],
    ["Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36", "Android", "Android 10"],
    ["Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0", "Edge", "Windows"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox", "Linux"],
    ["Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Android", "Android 14"],
    ["", "Web", "Web"],
  ])("%s", (ua, model, os) => {
    expect(readUserAgent(ua)).toEqual([model, os]);
  });
});

describe("nameOf", () => {
  const CHROME = "AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36";

  it.each([
    [CHROME, "Pixel 8", "Android 14", "Pixel 8", "Pixel 8"],
    ["AppleWebKit/605.1.15 Version/17.4 Mobile/15E148 Safari/604.1", "iPhone", "iOS 17.4", "iPhone", "iPhone"],
    [CHROME, "Android", "Android 14", "Chrome on Android", "Chrome sous Android"],
    [CHROME, "Chrome", "Linux", "Chrome on Linux", "Chrome sous Linux"],
    [`${CHROME} Edg/126.0`, "Edge", "Windows", "Edge on Windows", "Edge sous Windows"],
    ["", "Web", "Web", "Web", "Web"],
  ])("%s, %s, %s", (ua, model, os, english, french) => {
    expect([nameOf(ua, model, os, "en"), nameOf(ua, model, os, "fr")]).toEqual([english, french]);
  });
});

describe("refusePin", () => {
  const never = (): boolean => false;

  it("refuses the PIN in force at once, and weak ones with the reason", () => {
    expect(refusePin("739154", (pin) => pin === "739154")).toBe("isPresent");
    expect(refusePin("739154", never)).toBeNull();
    expect(refusePin("123456", never)).toBe("weakRun");
    expect(refusePin("000000", never)).toBe("weakAllEqual");
  });
});

describe("bindingState", () => {
  const binding = { state: "active" } as Binding;
  const link = (state: "active" | "suspended" | "removed"): LinkView => ({ status: "online", error: null, channel: null, state: { state, tenant: "", label: "", name: "", pin: { digits: 6, left: 5, blockedUntil: null } } });

  it("believes what the bank said last", () => {
    expect(bindingState(binding, link("suspended"))).toEqual({ state: "suspended", tone: "warn" });
    expect(bindingState({ ...binding, state: "removed" }, link("active")).state).toBe("removed");
  });

  it.each(["unknown", "retired"] as const)("says that it is %s to the bank, once suspended too", (code) => {
    const refused: LinkView = { status: "ended", error: new PhoneClientError(code), channel: null, state: null };
    expect(bindingState(binding, refused)).toEqual({ state: code, tone: "bad" });
    expect(bindingState({ ...binding, state: "suspended" }, refused).state).toBe(code);
    expect(bindingState({ ...binding, state: "committing" }, refused).state).toBe("committing");
  });
});

describe("pinBlock", () => {
  const NOW = 1_000;
  const pin = { digits: 6, left: 0, blockedUntil: null };
  const refused = (until: number | null): PhoneClientError => new PhoneClientError("pin-blocked", { until });

  it("believes the refusal, until its time is over or the bank has told of tries", () => {
    expect(pinBlock(refused(null), pin, NOW)?.code).toBe("pin-blocked");
    expect(pinBlock(refused(NOW + 1), pin, NOW)?.details.until).toBe(NOW + 1);
    expect(pinBlock(refused(NOW), pin, NOW)).toBeNull();
    expect(pinBlock(refused(null), { ...pin, left: 5 }, NOW)).toBeNull();
    expect(pinBlock(new PhoneClientError("pin-wrong", { left: 0, until: null }), pin, NOW)?.code).toBe("pin-wrong");
  });

  it("believes what the bank told when the channel opened", () => {
    expect(pinBlock(null, { ...pin, blockedUntil: NOW + 1 }, NOW)?.details.until).toBe(NOW + 1);
    expect(pinBlock(null, { ...pin, blockedUntil: NOW }, NOW)).toBeNull();
    expect(pinBlock(new PhoneClientError("offline"), { ...pin, left: 5 }, NOW)).toBeNull();
    expect(pinBlock(null, undefined, NOW)).toBeNull();
  });
});

describe("explainFailure", () => {
  it("says why an activation ended", () => {
    expect(explainFailure(new PhoneClientError("ended", { reason: "contested" }), "en").title).toBe("Another phone scanned this code");
    expect(explainFailure(new PhoneClientError("ended"), "fr").title).toBe("Cette activation est terminée");
  });

  it("says that the bank is busy when it slows the phone down", () => {
    const slowed = explainFailure(new PhoneClientError("problem", { problem: "rate-limited" }), "en");
    expect([slowed.title, slowed.next]).toEqual(["Your bank is busy", "retry"]);
  });

  it("has a text for what nobody foresaw, and shows nothing of it", () => {
    const said = explainFailure(new Error("secret otk 0xdeadbeef"), "en");
    expect(`${said.title} ${said.text}`).not.toContain("deadbeef");
    expect(said.next).toBe("retry");
  });
});
