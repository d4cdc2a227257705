/** An activation as the screens see it, driven by a phone client of the test's own. */
import { describe, expect, it } from "vitest";
import { PhoneClientError, type Binding, type BiometricPolicy, type Channel, type ContactEvents, type ContactStep, type FirstContact } from "../shared/phone-client/index.js";
import { ContactFlow, type FlowStep } from "./contact-flow.js";

class FakeContact implements FirstContact {
  readonly activation = "act_1";
  readonly tenant = "Banque des Halles";
  readonly label = "Claire Martin";
  readonly pinDigits = 6;
  readonly expires = 0;
  readonly channel: Channel | null = null;
  readonly biometric: BiometricPolicy = "off";
  deviceCode = "1234 5678";
  step: ContactStep = "waiting";
  triesLeft: number | null = null;
  closed = false;
  cancelled = false;
  pinFailures: PhoneClientError[] = [];
  readonly #listeners = new Map<string, ((event: never) => void)[]>();

  constructor(readonly twoStep = false) {}

  on<Name extends keyof ContactEvents>(name: Name, listener: (event: ContactEvents[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? [];
    listeners.push(listener);
    this.#listeners.set(name, listeners);
    return () => {
      listeners.splice(listeners.indexOf(listener), 1);
    };
  }

  tell<Name extends keyof ContactEvents>(name: Name, event: ContactEvents[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) (listener as (event: ContactEvents[Name]) => void)(event);
  }

  code2(code: unknown): Promise<void> {
    return code === "right" ? Promise.resolve() : Promise.reject(new PhoneClientError("code2-wrong"));
  }

  choosePin(): Promise<Binding> {
    const failure = this.pinFailures.shift();
    return failure === undefined ? Promise.resolve({ id: "bnd_1" } as Binding) : Promise.reject(failure);
  }

  close(): void {
    this.closed = true;
  }

  cancel(): Promise<void> {
    this.cancelled = true;
    return Promise.resolve();
  }
}

function flowOf(contact: FakeContact, agreed = false): { flow: ContactFlow; steps: FlowStep[]; agreements: string[] } {
  const agreements: string[] = [];
  const flow = new ContactFlow({
    start: () => Promise.resolve(contact),
    agreed: () => agreed || agreements.length > 0,
    onAgree: (activation) => agreements.push(activation),
  });
  const steps: FlowStep[] = [];
  flow.subscribe(() => {
    if (steps.at(-1) !== flow.step) steps.push(flow.step);
  });
  return { flow, steps, agreements };
}

describe("ContactFlow", () => {
  it("goes the one-step way, showing the digits only after the person agreed", async () => {
    const contact = new FakeContact();
    const { flow, steps, agreements } = flowOf(contact);
    await flow.start();
    expect(flow.step).toBe("confirm");
    flow.agree();
    expect(agreements).toEqual(["act_1"]);
    contact.tell("wrong-code", { left: 2 });
    expect(flow.left).toBe(2);
    contact.tell("confirmed", { step: "pin" });
    expect(flow.left).toBeNull();
    await flow.choosePin("739154");
    expect(flow.binding?.id).toBe("bnd_1");
    expect(steps).toEqual(["connecting", "confirm", "code", "pin", "active"]);
  });

  it("asks for the second code, again when it was the wrong one", async () => {
    const contact = new FakeContact(true);
    const { flow } = flowOf(contact, true);
    await flow.start();
    contact.tell("confirmed", { step: "code2" });
    await flow.code2("wrong");
    expect([flow.step, (flow.error as PhoneClientError).code, flow.busy]).toEqual(["code2", "code2-wrong", false]);
    await flow.code2("right");
    expect([flow.step, flow.error]).toEqual(["pin", null]);
  });

  it("goes back to the second code when a reconnection made it stale", async () => {
    const contact = new FakeContact(true);
    const { flow } = flowOf(contact, true);
    await flow.start();
    contact.tell("confirmed", { step: "code2" });
    await flow.code2("right");
    contact.pinFailures = [new PhoneClientError("code2-missing")];
    await flow.choosePin("739154");
    expect(flow.step).toBe("code2");
  });

  it("keeps to the PIN step after a failure that can be repeated", async () => {
    const contact = new FakeContact();
    contact.pinFailures = [new PhoneClientError("connection-lost")];
    const { flow } = flowOf(contact, true);
    await flow.start();
    contact.tell("confirmed", { step: "pin" });
    await flow.choosePin("739154");
    expect([flow.step, flow.busy]).toEqual(["pin", false]);
    await flow.choosePin("739154");
    expect(flow.step).toBe("active");
  });

  it("skips what was done before a reload", async () => {
    const contact = new FakeContact();
    contact.step = "pin";
    const { flow } = flowOf(contact);
    await flow.start();
    expect(flow.step).toBe("pin");
  });

  it("shows new digits after a reconnection, and says that they changed", async () => {
    const contact = new FakeContact();
    const { flow } = flowOf(contact, true);
    await flow.start();
    contact.tell("disconnected", { waitMs: 100 });
    expect(flow.lost).toBe(true);
    contact.deviceCode = "8765 4321";
    contact.tell("reconnected", { deviceCode: "8765 4321", step: "waiting" });
    expect([flow.lost, flow.changed, flow.step]).toEqual([false, true, "code"]);
  });

  it("tells the tries that are left when the phone comes again", async () => {
    const contact = new FakeContact();
    contact.triesLeft = 2;
    const { flow } = flowOf(contact, true);
    await flow.start();
    expect([flow.step, flow.left]).toEqual(["code", 2]);
    contact.triesLeft = 1;
    contact.tell("reconnected", { deviceCode: "8765 4321", step: "waiting" });
    expect(flow.left).toBe(1);
  });

  it("ends on every screen when a second phone came", async () => {
    const contact = new FakeContact();
    const { flow } = flowOf(contact, true);
    await flow.start();
    const error = new PhoneClientError("ended", { reason: "contested" });
    contact.tell("ended", { reason: "contested", error });
    expect([flow.step, flow.error]).toEqual(["failed", error]);
  });

  it("can be left while it connects, and leaves nothing open", async () => {
    const contact = new FakeContact();
    const { flow, steps } = flowOf(contact);
    const started = flow.start();
    flow.close();
    await started;
    expect(contact.closed).toBe(true);
    expect(steps).toEqual(["connecting"]);
  });

  it("forgets the keys when it is cancelled", async () => {
    const contact = new FakeContact();
    const { flow } = flowOf(contact);
    await flow.start();
    await flow.cancel();
    expect(contact.cancelled).toBe(true);
  });
});

describe("fingerprint or face after binding", () => {
  function boundBy(policy: BiometricPolicy, { can = true, failure = null as PhoneClientError | null } = {}) {
    const contact = new FakeContact();
    const enrolments: string[] = [];
    const channel = {
      enrolBiometric: (pin: string) => {
        enrolments.push(pin);
        return failure === null ? Promise.resolve() : Promise.reject(failure);
      },
    };
    Object.assign(contact, { step: "pin", biometric: policy, channel });
    const flow = new ContactFlow({ start: () => Promise.resolve(contact), agreed: () => true, onAgree: () => undefined, canBiometric: () => Promise.resolve(can) });
    const bind = async (): Promise<void> => {
      await flow.start();
      await flow.choosePin("739154");
    };
    return { flow, bind, enrolments };
  }

  it.each([
    ["off", true, null],
    ["optional", false, null],
    ["required", false, null],
    ["optional", true, "optional"],
    ["required", true, "required"],
  ] as const)("policy %s on a device that can (%s) offers %s", async (policy, can, offer) => {
    const { flow, bind } = boundBy(policy, { can });
    await bind();
    expect([flow.step, flow.offer]).toEqual(["active", offer]);
  });

  it("takes the PIN just chosen, once", async () => {
    const { flow, bind, enrolments } = boundBy("required");
    await bind();
    await flow.enrolBiometric();
    await flow.enrolBiometric();
    expect([enrolments, flow.offer, flow.enrolled]).toEqual([["739154"], null, true]);
  });

  it("cannot be left when the bank requires it, but can be tried again", async () => {
    const { flow, bind, enrolments } = boundBy("required", { failure: new PhoneClientError("biometric-cancelled") });
    await bind();
    flow.skipOffer();
    await flow.enrolBiometric();
    flow.skipOffer();
    await flow.enrolBiometric();
    expect([flow.offer, flow.canSkipOffer, enrolments.length]).toEqual(["required", false, 2]);
  });

  it("can be left where the device turns out to have none, and where it is free", async () => {
    const required = boundBy("required", { failure: new PhoneClientError("biometric-unsupported") });
    await required.bind();
    await required.flow.enrolBiometric();
    required.flow.skipOffer();
    const optional = boundBy("optional");
    await optional.bind();
    optional.flow.skipOffer();
    await optional.flow.enrolBiometric();
    expect([required.flow.offer, optional.flow.offer, optional.enrolments]).toEqual([null, null, []]);
  });
});
