/**
 * What the demo bank's page asks the customer's phone, and what follows its word: a session, a further phone, a payment made. It
 * draws nothing; `app.ts` shows what it is told here.
 */
import type { Lang } from "../../shared/i18n/index.js";
import { BankError, type Asked, type BankApi, type SessionView } from "./api.js";
import type { Asking, Purpose } from "./asking.js";
import type { Said, Trouble } from "./banners.js";

export interface OrdersHost {
  lang(): Lang;
  /** Does the work, and tells of what fails. */
  guard(work: () => Promise<void>): Promise<void>;
  onAsk(asking: Asking): void;
  onBusy(isBusy: boolean): void;
  /** A field of the form is to be mended. */
  onWrong(field: string): void;
  onTrouble(problem: Trouble): void;
  onSaid(said: Said): void;
  onLoggedIn(session: SessionView): void;
  /** A further phone may be bound, by this approval. */
  onDevice(approval: string): Promise<void>;
  onDone(purpose: "transfer" | "contact", session: SessionView): Promise<void>;
}

export class Orders {
  readonly #api: BankApi;
  readonly #host: OrdersHost;

  constructor(api: BankApi, host: OrdersHost) {
    this.#api = api;
    this.#host = host;
  }

  ask(purpose: Purpose, asked: Asked): void {
    this.#host.onAsk({ purpose, asked });
  }

  /** Goes on with what the phone has approved; the bank looks it up itself. */
  async goOn({ purpose, asked }: Asking): Promise<void> {
    await this.#host.guard(async () => {
      if (purpose === "login") this.#host.onLoggedIn(await this.#api.finishLogin());
      else if (purpose === "device") await this.#host.onDevice(asked.approval.id);
      else {
        await this.#api.settle(asked.approval.id);
        await this.#host.onDone(purpose, await this.#api.session());
      }
    });
  }

  /** Has the bank look up how an order ended that was not approved. */
  end({ purpose, asked }: Asking): void {
    if (purpose === "login" || purpose === "device") return;
    void this.#api.settle(asked.approval.id).catch(() => undefined);
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
      await this.#tell(error);
    }
    this.#host.onBusy(false);
  }

  async #tell(error: unknown): Promise<void> {
    const { status, field } = error instanceof BankError ? error : new BankError(0);
    if (status === 400 && field !== null) this.#host.onWrong(field);
    else if (status === 409) this.#host.onTrouble("needsPhone");
    else if (status === 429) this.#host.onTrouble("refusedLogin");
    else await this.#host.guard(() => Promise.reject(error instanceof Error ? error : new BankError(0)));
  }
}
