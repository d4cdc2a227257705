/**
 * What the demo bank's page asks the customer's phone, and what follows its word: a session, a further phone, a payment made. It
 * draws nothing; `app.ts` shows what it is told here.
 */
import { GatewayClient } from "../../shared/api/index.js";
import type { Lang } from "../../shared/i18n/index.js";
import { BankError, type Asked, type BankApi, type SessionView } from "./api.js";
import type { Asking, Purpose } from "./asking.js";
import type { Said } from "./banners.js";

/** How long is waited between tries, when the bank cannot be reached after the phone has approved. */
const PATIENCE_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];

export interface OrdersHost {
  lang(): Lang;
  /** Does the work, and tells of what fails. */
  guard(work: () => Promise<void>): Promise<void>;
  /** What is being asked now, or null. */
  asking(): Asking | null;
  onAsk(asking: Asking): void;
  onBusy(isBusy: boolean): void;
  /** A field of the form is to be mended. */
  onWrong(field: string): void;
  onSaid(said: Said): void;
  onLoggedIn(session: SessionView): void;
  /** A further phone may be bound, by this approval. */
  onDevice(approval: string): Promise<void>;
  onDone(purpose: "transfer" | "contact", session: SessionView): Promise<void>;
}

type Api = Pick<BankApi, "finishLogin" | "settle" | "session" | "transfer" | "changeContact" | "sendMessage">;

export class Orders {
  readonly #api: Api;
  readonly #host: OrdersHost;
  readonly #open: (token: string) => Pick<GatewayClient, "cancelApproval">;

  constructor(api: Api, host: OrdersHost, open: (token: string) => Pick<GatewayClient, "cancelApproval"> = openGateway) {
    this.#api = api;
    this.#host = host;
    this.#open = open;
  }

  ask(purpose: Purpose, asked: Asked): void {
    this.#host.onAsk({ purpose, asked });
  }

  /** Goes on with what the phone has approved; the bank looks it up itself. */
  async goOn(asking: Asking): Promise<void> {
    const { purpose, asked } = asking;
    await this.#host.guard(async () => {
      if (purpose === "device") {
        await this.#host.onDevice(asked.approval.id);
        return;
      }
      const session = await this.#persist(asking, async () => {
        if (purpose === "login") return this.#api.finishLogin();
        await this.#api.settle(asked.approval.id);
        return this.#api.session();
      });
      if (session === null) return;
      if (purpose === "login") this.#host.onLoggedIn(session);
      else await this.#host.onDone(purpose, session);
    });
  }

  /** Does what the phone's word allows, through a network that fails meanwhile; null when nobody waits for it any more. */
  async #persist<T>(asking: Asking, work: () => Promise<T>): Promise<T | null> {
    for (const wait of PATIENCE_MS) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof BankError) || !error.isTransient) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (this.#host.asking()?.asked.approval.id !== asking.asked.approval.id) return null;
    }
    return work();
  }

  /** Takes a request back that the customer turned away from; one that is over stays as it is. */
  async leave({ asked }: Asking): Promise<void> {
    await this.#open(asked.page_token).cancelApproval(asked.approval.id).catch(() => undefined);
  }

  /** Has the bank look up how an order ended that was not approved. */
  async end({ purpose, asked }: Asking): Promise<void> {
    if (purpose === "transfer" || purpose === "contact") await this.#api.settle(asked.approval.id).catch(() => undefined);
  }

  /** Sends a form; what the bank refuses is said at its field, or above when the phone cannot be asked. */
  async send(purpose: "transfer" | "contact" | "desk", fields: Readonly<Record<string, string>>): Promise<void> {
    this.#host.onBusy(true);
    try {
      if (purpose === "transfer") this.ask("transfer", await this.#api.transfer(fields));
      else if (purpose === "contact") this.ask("contact", await this.#api.changeContact(fields));
      else {
        await this.#api.sendMessage(fields, this.#host.lang());
        this.#host.onSaid("done_desk");
      }
    } catch (error) {
      const field = error instanceof BankError && error.status === 400 ? error.field : null;
      if (field !== null) this.#host.onWrong(field);
      else await this.#host.guard(() => Promise.reject(error instanceof Error ? error : new BankError(0)));
    }
    this.#host.onBusy(false);
  }
}

function openGateway(token: string): GatewayClient {
  return new GatewayClient({ base: "", token });
}
