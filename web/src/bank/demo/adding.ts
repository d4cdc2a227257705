/**
 * How a phone is added at the demo bank: a customer who has one is asked there first, and an activation starts with its word. It
 * draws nothing; `app.ts` shows what it is told here.
 */
import type { Lang } from "../../shared/i18n/index.js";
import type { Asked, BankApi, Started } from "./api.js";
import { hasPhone } from "./phones.js";
import { forgetUnderway, keepUnderway, underway } from "./underway.js";

export interface AddingHost {
  lang(): Lang;
  guard(work: () => Promise<void>): Promise<void>;
  /** Who adds which phone now; null when nobody does any more. */
  adding(): { readonly user: string; readonly mode: "add" | "move" } | null;
  wish(): { readonly two_step: boolean; readonly suite: "hybrid" | "classical" };
  onAsk(asked: Asked): void;
  onStarted(started: Started): void;
}

type Api = Pick<BankApi, "pageToken" | "furtherPhone" | "startActivation">;

export class Adding {
  readonly #api: Api;
  readonly #host: AddingHost;
  readonly #isActive: () => Promise<boolean>;
  /** The approval by which a further phone may be bound, until its activation has started. */
  granted: string | null = null;

  constructor(api: Api, host: AddingHost, isActive?: () => Promise<boolean>) {
    this.#api = api;
    this.#host = host;
    this.#isActive = isActive ?? (() => hasPhone(api, undefined, (state) => state === "active"));
  }

  /** Takes up what a reload of the tab interrupted, or starts. */
  begin(user: string): void {
    const kept = underway(user);
    if (kept === null) void this.start();
    else this.#host.onStarted(kept);
  }

  /** Starts an activation; the one before stays on the screen until then, so that the focus has a place to be. */
  async start(): Promise<void> {
    forgetUnderway();
    await this.#host.guard(async () => {
      const before = this.#host.adding();
      if (before === null) return;
      const isStill = (): boolean => {
        const now = this.#host.adding();
        return now?.user === before.user && now.mode === before.mode;
      };
      const approval = this.granted;
      if (approval === null && (await this.#isActive())) {
        const asked = await this.#api.furtherPhone(before.mode, this.#host.lang());
        if (isStill()) this.#host.onAsk(asked);
        return;
      }
      const wish = this.#host.wish();
      const started = await this.#api.startActivation(approval === null ? wish : { ...wish, approval });
      this.granted = null;
      if (!isStill()) return;
      keepUnderway(before.user, started);
      this.#host.onStarted(started);
    });
  }

  /** The phone at hand has agreed to a further one. */
  async grant(approval: string): Promise<void> {
    this.granted = approval;
    await this.start();
  }

  leave(): void {
    this.granted = null;
    forgetUnderway();
  }
}
