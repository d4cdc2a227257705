/**
 * The binding's biometric credential: what the gateway knows of it, making another one after the PIN, and giving it up.
 * The device keeps finger and face to itself; the gateway gets a public key.
 */
import type { Bytes } from "../protocol/bytes";
import type { GatewayMessageOf } from "../protocol/messages";
import { rpId } from "./answer";
import type { ChannelPin } from "./channel-pin";
import { browserEnvironment, type PhoneEnvironment } from "./environment";
import type { Line } from "./line";
import type { Channel } from "./types";

/** Whether this device can verify its user by itself. */
export async function supportsBiometric(environment: PhoneEnvironment = browserEnvironment()): Promise<boolean> {
  return environment.credentials.available();
}

export class Biometrics {
  readonly #line: Line;
  readonly #pin: ChannelPin;
  readonly #told: () => void;
  #credential: Bytes | null = null;
  state: Channel["biometric"] = null;

  /** `told` hears of each change of `state`. */
  constructor(line: Line, pin: ChannelPin, told: () => void) {
    this.#line = line;
    this.#pin = pin;
    this.#told = told;
  }

  get credential(): Bytes | null {
    return this.#credential;
  }

  onState({ policy, credential }: GatewayMessageOf<"biometric-state">): void {
    this.#credential = credential;
    this.state = { policy, enrolled: credential !== null };
    this.#told();
  }

  async enrol(pin: string): Promise<void> {
    this.#pin.check(pin);
    await this.#line.inTurn(async () => {
      await this.#pin.prove(pin);
      const { conversation, environment, record } = this.#line;
      const { challenge, user } = await conversation.request({ t: "biometric-begin" }, "biometric-challenge");
      const wish = { rpId: rpId(record.host), rpName: record.tenant, userName: record.label, user, challenge };
      const { clientData, attestationObject } = await environment.credentials.create(wish);
      const made = { client_data: clientData, attestation_object: attestationObject };
      this.onState(await conversation.request({ t: "biometric-enrol", ...made }, "biometric-state"));
    });
  }

  async remove(): Promise<void> {
    await this.#line.inTurn(async () => {
      this.onState(await this.#line.conversation.request({ t: "biometric-remove" }, "biometric-state"));
    });
  }
}
