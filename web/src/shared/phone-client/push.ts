/** Waking up: the browser's push subscription, told to the gateway over an open channel (Push API, RFC 8291, RFC 8292). */
import { type Bytes, copyBytes } from "../protocol/bytes";
import type { GatewayMessageOf } from "../protocol/messages";
import { PhoneClientError } from "./errors";
import type { Line } from "./line";
import type { Channel, PushTarget } from "./types";

const LONGEST_ENDPOINT = 2_048;
const KEY_BYTES = 65;
const AUTH_BYTES = 16;

export class Push {
  readonly #line: Line;
  readonly #told: () => void;
  state: Channel["push"] = null;

  /** `told` hears of each change of `state`. */
  constructor(line: Line, told: () => void) {
    this.#line = line;
    this.#told = told;
  }

  onKey({ key, subscribed }: GatewayMessageOf<"push-key">): void {
    this.state = { key, subscribed };
    this.#told();
  }

  async subscribe(subscription: PushTarget): Promise<void> {
    const { endpoint } = subscription;
    const p256dh = keyOf(subscription, "p256dh", KEY_BYTES);
    const auth = keyOf(subscription, "auth", AUTH_BYTES);
    if (endpoint.length > LONGEST_ENDPOINT || !endpoint.startsWith("https://")) throw new PhoneClientError("push-invalid");
    await this.#line.inTurn(async () => {
      const request = { t: "push-subscribe", endpoint, p256dh, auth } as const;
      this.#change(await this.#line.conversation.request(request, "push-subscribed"));
    });
  }

  async unsubscribe(): Promise<void> {
    await this.#line.inTurn(async () => {
      this.#change(await this.#line.conversation.request({ t: "push-unsubscribe" }, "push-subscribed"));
    });
  }

  #change({ subscribed }: GatewayMessageOf<"push-subscribed">): void {
    if (this.state === null || this.state.subscribed === subscribed) return;
    this.state = { ...this.state, subscribed };
    this.#told();
  }
}

function keyOf(subscription: PushTarget, name: PushEncryptionKeyName, length: number): Bytes {
  const key = subscription.getKey(name);
  if (key?.byteLength !== length) throw new PhoneClientError("push-invalid");
  return copyBytes(new Uint8Array(key));
}
