/**
 * The open channels to the banks this phone is bound to: one a binding, opened when the app shows it, kept while the app is open,
 * tried again when the network comes back or a push wakes the app. The screens read `view(id)`; requests, unread messages and switches are
 * the channel's own, and `subscribe` tells of their changes too. No DOM beside the network's events.
 */
import type { ApprovalEnd, Channel, ChannelState } from "../shared/phone-client/index.js";
import { PhoneClientError } from "../shared/phone-client/index.js";

export type LinkStatus = "idle" | "connecting" | "online" | "lost" | "ended";

export interface LinkView {
  readonly status: LinkStatus;
  readonly state: ChannelState | null;
  readonly error: unknown;
  readonly channel: Channel | null;
}

export interface Settled {
  readonly bindingId: string;
  readonly id: string;
  readonly state: ApprovalEnd;
}

const IDLE: LinkView = { status: "idle", state: null, error: null, channel: null };
const RETRY_MS = 15_000;
const FINAL = ["suspended", "removed", "unknown", "retired", "not-committed", "binding-missing", "platform", "suite", "unsupported"];

/** Whether asking again can help: nothing was refused for good, or the suspension may have been lifted. */
function mayComeBack(error: unknown): boolean {
  return !(error instanceof PhoneClientError) || error.code === "suspended" || !FINAL.includes(error.code);
}

export class Links {
  readonly #open: (bindingId: string) => Promise<Channel>;
  readonly #views = new Map<string, LinkView>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #listeners = new Set<() => void>();
  readonly #settled = new Set<(settled: Settled) => void>();

  readonly #pushes = new Set<(channel: Channel) => void>();

  constructor(open: (bindingId: string) => Promise<Channel>) {
    this.#open = open;
  }

  /** Calls `listener` when a bank has said whether, and by which key, it can wake this phone. */
  onPush(listener: (channel: Channel) => void): void {
    this.#pushes.add(listener);
  }

  /** Calls `listener` when a request is over, wherever it was answered. */
  onSettled(listener: (settled: Settled) => void): void {
    this.#settled.add(listener);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  view(bindingId: string): LinkView {
    return this.#views.get(bindingId) ?? IDLE;
  }

  /** Opens the channel of a binding unless it is open, being opened, or ended for good. */
  ensure(bindingId: string): void {
    const { status, channel } = this.view(bindingId);
    if (status === "idle" || (status === "lost" && channel === null)) void this.#connect(bindingId);
  }

  /** Takes over the channel that a first contact goes on as. */
  adopt(bindingId: string, channel: Channel): void {
    this.#listen(bindingId, channel);
  }

  /** Tries every broken link at once, and asks after blocked PINs: the network is back, or the app is in front again. */
  nudge(): void {
    for (const bindingId of this.#views.keys()) {
      this.#again(bindingId);
      this.askBlocked(bindingId);
    }
  }

  /** A push came: what waits is a round trip away. A connection that died unnoticed is found out by it, and taken up anew. */
  wake(): void {
    for (const [bindingId, { channel }] of this.#views) {
      this.#again(bindingId);
      if (channel === null) continue;
      if (channel.connected) void channel.ping().catch(() => undefined);
      this.#tellPush(channel);
    }
  }

  /** Takes an open channel up anew when the PIN was blocked at last: no message tells it that the bank unblocked the PIN. */
  askBlocked(bindingId: string): void {
    const { status, state, channel } = this.view(bindingId);
    if (status === "online" && state?.pin.left === 0) void channel?.renew().catch(() => undefined);
  }

  /** Closes and forgets the link of a binding. */
  drop(bindingId: string): void {
    clearTimeout(this.#timers.get(bindingId));
    this.view(bindingId).channel?.close();
    this.#views.delete(bindingId);
    this.#tell();
  }

  async #connect(bindingId: string): Promise<void> {
    clearTimeout(this.#timers.get(bindingId));
    const before = this.view(bindingId);
    this.#set(bindingId, { ...before, status: "connecting" });
    try {
      this.#listen(bindingId, await this.#open(bindingId));
    } catch (error) {
      const final = error instanceof PhoneClientError && FINAL.includes(error.code);
      this.#set(bindingId, { ...before, channel: null, status: final ? "ended" : "lost", error });
      if (mayComeBack(error)) this.#retryLater(bindingId);
    }
  }

  #again(bindingId: string): void {
    const { status, channel, error } = this.view(bindingId);
    if (channel === null && (status === "lost" || (status === "ended" && error !== null && mayComeBack(error)))) void this.#connect(bindingId);
  }

  #retryLater(bindingId: string): void {
    clearTimeout(this.#timers.get(bindingId));
    const timer = setTimeout(() => {
      this.#again(bindingId);
    }, RETRY_MS);
    this.#timers.set(bindingId, timer);
  }

  #listen(bindingId: string, channel: Channel): void {
    this.#set(bindingId, { status: "online", state: channel.state, error: null, channel });
    for (const name of ["asks", "unread", "biometric"] as const) {
      channel.on(name, () => {
        this.#tell();
      });
    }
    channel.on("push", () => {
      this.#tell();
      this.#tellPush(channel);
    });
    this.#tellPush(channel);
    channel.on("settled", ({ id, state }) => {
      for (const listener of this.#settled) listener({ bindingId, id, state });
    });
    channel.on("state", (state) => {
      this.#set(bindingId, { ...this.view(bindingId), state });
    });
    channel.on("disconnected", () => {
      this.#set(bindingId, { ...this.view(bindingId), status: "lost" });
    });
    channel.on("reconnected", (state) => {
      this.#set(bindingId, { ...this.view(bindingId), status: "online", state });
    });
    channel.on("closed", ({ error }) => {
      const final = error === null || FINAL.includes(error.code);
      this.#set(bindingId, { ...this.view(bindingId), channel: null, status: final ? "ended" : "lost", error });
      if (error !== null && mayComeBack(error)) this.#retryLater(bindingId);
    });
  }

  #tellPush(channel: Channel): void {
    if (channel.push !== null) for (const listener of this.#pushes) listener(channel);
  }

  #set(bindingId: string, view: LinkView): void {
    this.#views.set(bindingId, view);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
