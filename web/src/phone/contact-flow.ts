/**
 * One activation as the phone's screens see it: from the code that was taken in to the bound phone, or to what went wrong.
 * Drives a `FirstContact` of the phone client and turns its promises and events into one view at a time. No DOM.
 *
 *   connecting → confirm → code → [code2] → pin → active        any → failed
 */
import type { Binding, Code2, FirstContact } from "../shared/phone-client/index.js";
import { PhoneClientError } from "../shared/phone-client/index.js";

export type FlowStep = "connecting" | "confirm" | "code" | "code2" | "pin" | "active" | "failed";

export interface FlowOptions {
  readonly start: () => Promise<FirstContact>;
  /** Whether the person has already agreed to this activation before a reload. */
  readonly agreed: (activation: string) => boolean;
  readonly onAgree: (activation: string) => void;
  /** The first code came without a camera: typed or pasted. */
  readonly isByHand?: boolean;
  /** Whether this device knows its user by fingerprint or face. */
  readonly canBiometric?: () => Promise<boolean>;
}

/** Errors after which the same step can be done again. */
function isRepeatable(error: unknown): boolean {
  return (
    error instanceof PhoneClientError &&
    ["code2-invalid", "code2-wrong", "code2-missing", "pin-format", "pin-weak", "offline", "connection-lost", "timeout", "busy", "problem", "storage"].includes(error.code)
  );
}

export class ContactFlow {
  step: FlowStep = "connecting";
  contact: FirstContact | null = null;
  binding: Binding | null = null;
  /** What went wrong for good (step "failed"), or with the last try of the present step. */
  error: unknown = null;
  /** Tries left after a wrong device code, before a reload too; else null. */
  left: number | null = null;
  lost = false;
  /** The device code changed because the connection was taken up again. */
  changed = false;
  busy = false;
  /** Whether fingerprint or face is offered on the bound phone; "required" cannot be left out where the device can. */
  offer: "optional" | "required" | null = null;
  /** What the offer came to. */
  enrolled = false;

  readonly isByHand: boolean;

  readonly #options: FlowOptions;
  readonly #listeners = new Set<() => void>();
  #offs: (() => void)[] = [];
  #closed = false;
  /** The PIN just chosen, while the offer that takes it is open: nobody types it a third time. */
  #pin: string | null = null;

  constructor(options: FlowOptions) {
    this.#options = options;
    this.isByHand = options.isByHand ?? false;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins, or begins again after a failure that allows it. */
  async start(): Promise<void> {
    this.#set({ step: "connecting", error: null, left: null, lost: false });
    try {
      const contact = await this.#options.start();
      if (this.#closed) {
        contact.close();
        return;
      }
      this.contact = contact;
      this.#listen(contact);
      this.#enter(contact);
    } catch (error) {
      this.#fail(error);
    }
  }

  agree(): void {
    if (this.contact === null || this.step !== "confirm") return;
    this.#options.onAgree(this.contact.activation);
    this.#enter(this.contact);
  }

  async code2(code: Uint8Array | Code2 | string): Promise<void> {
    const contact = this.contact;
    if (contact === null) return;
    await this.#attempt(async () => {
      await contact.code2(code);
      this.#set({ step: "pin" });
    });
  }

  async choosePin(pin: string): Promise<void> {
    const contact = this.contact;
    if (contact === null) return;
    await this.#attempt(async () => {
      const binding = await contact.choosePin(pin);
      const { biometric } = contact;
      const offer = biometric === "off" || (await this.#options.canBiometric?.()) !== true ? null : biometric;
      this.#pin = offer === null || this.#closed ? null : pin;
      this.#set({ step: "active", binding, offer });
    });
  }

  /** Takes the offer of fingerprint or face. Call it from a click. */
  async enrolBiometric(): Promise<void> {
    const channel = this.contact?.channel;
    const pin = this.#pin;
    if (pin === null || channel === null || channel === undefined || this.busy) return;
    this.#set({ busy: true, error: null });
    try {
      await channel.enrolBiometric(pin);
      this.#pin = null;
      this.#set({ offer: null, enrolled: true });
    } catch (error) {
      this.#set({ error });
    } finally {
      this.#set({ busy: false });
    }
  }

  /** Whether the offer may be left: it is the person's choice, or this device turned out not to serve. */
  get canSkipOffer(): boolean {
    return this.offer !== "required" || (this.error instanceof PhoneClientError && this.error.code === "biometric-unsupported");
  }

  skipOffer(): void {
    if (!this.canSkipOffer) return;
    this.#pin = null;
    this.#set({ offer: null, error: null });
  }

  /** Leaves; the activation can be taken up again until it expires. */
  close(): void {
    this.#closed = true;
    this.#pin = null;
    this.#stop();
    if (this.step !== "active") this.contact?.close();
  }

  /** Leaves and forgets the keys of this activation. */
  async cancel(): Promise<void> {
    this.#closed = true;
    this.#stop();
    await this.contact?.cancel();
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    this.#set({ busy: true, error: null });
    try {
      await work();
    } catch (error) {
      if (!isRepeatable(error)) {
        this.#fail(error);
        return;
      }
      const back = error instanceof PhoneClientError && error.code === "code2-missing";
      this.#set({ error, ...(back ? { step: "code2" as const } : {}) });
    } finally {
      this.#set({ busy: false });
    }
  }

  #enter(contact: FirstContact): void {
    if (contact.step === "waiting") {
      this.#set({ step: this.#options.agreed(contact.activation) ? "code" : "confirm", left: contact.triesLeft });
    } else if (contact.step === "code2" || contact.step === "pin") {
      this.#set({ step: contact.step });
    }
  }

  #listen(contact: FirstContact): void {
    this.#stop();
    this.#offs = [
      contact.on("wrong-code", ({ left }) => {
        this.#set({ left });
      }),
      contact.on("confirmed", ({ step }) => {
        // Whoever typed the digits had them from the code screen, which opens on the person's yes alone.
        this.#set({ step, left: null, changed: false });
      }),
      contact.on("ended", ({ error }) => {
        if (this.step !== "active") this.#fail(error);
      }),
      contact.on("disconnected", () => {
        this.#set({ lost: true });
      }),
      contact.on("reconnected", ({ step }) => {
        const changed = this.step === "code";
        this.#set({ lost: false, changed, left: contact.triesLeft });
        const onward = step === "code2" || step === "pin";
        if (onward && !this.busy && this.step !== "active") this.#set({ step });
      }),
    ];
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#set({ step: "failed", error, busy: false, lost: false });
  }

  #stop(): void {
    for (const off of this.#offs) off();
    this.#offs = [];
  }

  #set(change: Partial<Pick<ContactFlow, "step" | "binding" | "error" | "left" | "lost" | "changed" | "busy" | "offer" | "enrolled">>): void {
    Object.assign(this, change);
    if (this.#closed) return;
    for (const listener of this.#listeners) listener();
  }
}
