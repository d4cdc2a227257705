/**
 * What the phone app knows and can do: the bindings on this phone, the activation under way, the open channels, what they ask, and which
 * screen is in front. The one place that calls the phone client's functions; screens read it and call it. Secrets that arrive in the
 * address (`#…`) are taken out of it at once.
 */
import {
  PhoneClientError,
  PhoneStore,
  answerOffline,
  openChannel,
  openOffline,
  parseFragment,
  rememberBanks,
  startFirstContact,
  supportsBiometric,
  type Binding,
  type Bytes,
  type FirstContact,
  type OfflineCode,
  type ParsedCode,
  type PendingContact,
  type TypedCode,
} from "../shared/phone-client/index.js";
import { locale } from "../shared/i18n/index.js";
import { AskQueue } from "./ask-queue.js";
import { ContactFlow, type FlowStep } from "./contact-flow.js";
import { APP, deviceFacts, keepName } from "./device.js";
import { Links } from "./links.js";
import { isMarked, leaveFront, mark, unmark } from "./marks.js";
import { Navigation, type Screen } from "./navigation.js";
import { OfflineFlow } from "./offline-flow.js";
import { dropPush, mendPush } from "./push.js";

const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** How long a bank is waited for that should be told of a discarded activation. */
const DISCARD_PATIENCE_MS = 4_000;

/** Something that was done here and took its screen away with it: the next screen says so. */
export interface Done {
  readonly what: "removed" | "discarded";
  readonly bank: string | null;
}

export class PhoneModel {
  readonly host = location.host;
  store: PhoneStore | null = null;
  bindings: readonly Binding[] = [];
  pending: readonly PendingContact[] = [];
  flow: ContactFlow | null = null;
  /** The request that was scanned, to be answered without a network. */
  offline: OfflineFlow | null = null;
  /** Why the app cannot work at all in this browser, or why the link it was opened with leads nowhere. */
  blocked: unknown = null;
  linkError: unknown = null;
  done: Done | null = null;
  /** What this phone is called at the bank of the activation under way. */
  phoneName = "";
  ready = false;
  readonly links: Links;
  readonly asks = new AskQueue((bindingId) => this.links.view(bindingId).channel);

  readonly #navigation = new Navigation({
    onLeave: (left) => {
      this.#onLeave(left);
    },
    onUncover: () => {
      this.asks.leave();
    },
  });
  readonly #listeners = new Set<() => void>();
  readonly #discarded = new Set<string>();
  #expiry: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.links = new Links((bindingId) => openChannel({ store: this.#stored(), bindingId, host: this.host, lang: locale.lang, app: APP }));
    this.links.subscribe(() => {
      this.#takeAsks();
      this.#tell();
      if (this.bindings.some((binding) => this.links.view(binding.id).state?.state !== undefined)) void this.#refresh();
    });
    this.links.onSettled(({ bindingId, id, state }) => {
      this.asks.settle(bindingId, id, state);
    });
    this.links.onPush((channel) => {
      void mendPush(channel).catch(() => undefined);
    });
    this.asks.subscribe(() => {
      this.#navigation.cover(this.isCovered);
      this.#tell();
    });
  }

  get screen(): Screen {
    return this.#navigation.screen;
  }

  /** Whether a request of the bank is shown over the screen. */
  get isCovered(): boolean {
    return this.asks.front !== null;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Opens the storage, then takes up what the address or an interrupted activation asks for. */
  async boot(): Promise<void> {
    const fragment = location.hash;
    this.#navigation.start();
    window.addEventListener("hashchange", () => {
      this.#takeFragment(location.hash);
    });
    window.addEventListener("online", () => {
      this.links.nudge();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.links.nudge();
    });
    try {
      this.store = await PhoneStore.open();
      // Without a network the first typed code asks again.
      void rememberBanks({ store: this.store, host: this.host }).catch(() => undefined);
      await this.#refresh();
    } catch (error) {
      this.blocked = error;
    }
    this.ready = true;
    this.#tell();
    if (this.blocked !== null) return;
    const interrupted = this.pending.find((item) => isMarked(item.activation, "front"));
    if (!this.#takeFragment(fragment) && interrupted !== undefined) this.startContact(interrupted);
    this.#watchAll();
  }

  /** Keeps a channel open to the bank of a binding that can still use one. */
  watch(binding: Binding): void {
    if (binding.state !== "removed") this.links.ensure(binding.id);
  }

  go(screen: Screen): void {
    this.done = null;
    this.#navigation.go(screen);
    this.#tell();
  }

  /** Puts another screen in the place of the present one. */
  swap(screen: Screen): void {
    this.done = null;
    this.#navigation.swap(screen);
    this.#tell();
  }

  back(): void {
    this.#navigation.back();
  }

  toStart(): void {
    this.#navigation.toStart();
  }

  /** Takes what a camera or a link gave: an activation, or a request to be answered without a network. */
  take(code: ParsedCode | TypedCode | OfflineCode, { byHand = false } = {}): void {
    if (code.kind === "offline") this.startOffline(code.payload);
    else this.startContact(code, { byHand });
  }

  /** Opens a scanned request and shows it. Asks nobody. */
  startOffline(payload: Bytes): void {
    this.offline?.close();
    const flow = new OfflineFlow({
      open: () => openOffline({ store: this.#stored(), host: this.host, payload }),
      answer: (ask, pin) => answerOffline({ store: this.#stored(), ask, pin }),
    });
    this.offline = flow;
    flow.subscribe(() => {
      this.#tell();
    });
    this.#show({ name: "offline" });
    void flow.start();
  }

  /** Begins an activation with a code, or takes up an interrupted one, and shows it. A pasted link comes `byHand`, as a typed code. */
  startContact(code: ParsedCode | TypedCode | PendingContact, { byHand = false } = {}): void {
    this.flow?.close();
    const flow = new ContactFlow({
      start: () => this.#begin(code),
      agreed: (activation) => isMarked(activation, "agreed"),
      onAgree: (activation) => {
        mark(activation, "agreed");
      },
      canBiometric: () => supportsBiometric(),
      isByHand: byHand || code.kind === "typed" || (code.kind === "pending" && isMarked(code.activation, "by-hand")),
    });
    let shown: FlowStep = "connecting";
    flow.subscribe(() => {
      if (flow.step !== shown) {
        shown = flow.step;
        this.#follow(flow);
      }
      this.#tell();
    });
    this.flow = flow;
    this.#show({ name: "contact" });
    void flow.start();
  }

  /** Leaves the activation; the client keeps its keys until it expires. */
  async leaveContact(): Promise<void> {
    this.flow?.close();
    this.flow = null;
    leaveFront();
    await this.#refresh();
    this.#watchAll();
  }

  async cancelContact(): Promise<void> {
    const flow = this.flow;
    this.flow = null;
    await flow?.cancel().catch(() => undefined);
    if (flow?.contact) unmark(flow.contact.activation);
    await this.#refresh();
    this.toStart();
  }

  /** Gives an interrupted activation up, on the desktop too when the bank can be reached, and forgets its keys. */
  async discard(item: PendingContact): Promise<void> {
    const { activation, tenant } = item;
    this.#discarded.add(activation);
    unmark(activation);
    this.done = { what: "discarded", bank: tenant };
    await this.#refresh();
    const store = this.#stored();
    const told = this.#begin(item)
      .then((contact) => contact.cancel())
      .catch(() => undefined)
      .then(() => store.abandon(activation))
      .catch(() => undefined)
      .then(() => this.#discarded.delete(activation));
    await Promise.race([told, new Promise((resolve) => setTimeout(resolve, DISCARD_PATIENCE_MS))]);
    await store.abandon(activation).catch(() => undefined);
  }

  /** The name that the person gives this phone on the way; the default one when nothing is left of it. */
  namePhone(given: string): void {
    const name = Array.from(given.trim()).slice(0, 64).join("");
    if (name === "" || name === this.phoneName) return;
    this.phoneName = name;
    keepName(name);
  }

  /** Erases a binding on this phone alone. */
  async forget({ id, tenant }: Binding): Promise<void> {
    this.links.drop(id);
    await dropPush(id).catch(() => undefined);
    await this.#stored().forget(id);
    this.done = { what: "removed", bank: tenant };
    await this.#refresh();
  }

  async refresh(): Promise<void> {
    await this.#refresh();
  }

  clearLinkError(): void {
    this.linkError = null;
    this.#tell();
  }

  #stored(): PhoneStore {
    if (this.store === null) throw new PhoneClientError("storage");
    return this.store;
  }

  async #begin(code: ParsedCode | TypedCode | PendingContact): Promise<FirstContact> {
    const device = await deviceFacts(locale.lang);
    this.phoneName = device.name;
    return startFirstContact({ store: this.#stored(), host: this.host, code, device, lang: locale.lang });
  }

  /** Keeps what a reload needs while the activation is in front, and nothing of one that led to a binding. */
  #follow(flow: ContactFlow): void {
    const activation = flow.contact?.activation;
    if (flow.step === "active") {
      void this.#finish(flow);
    } else if (flow.step === "failed") {
      // The client has put away what is over; what failed for another reason can be taken up again.
      void this.#refresh();
    } else if (activation !== undefined) {
      mark(activation, "front");
      if (flow.isByHand) mark(activation, "by-hand");
    }
  }

  async #finish(flow: ContactFlow): Promise<void> {
    const { binding, contact } = flow;
    if (contact !== null) unmark(contact.activation);
    if (binding !== null && contact?.channel) {
      this.links.adopt(binding.id, contact.channel);
      // A name given after the bank was told one follows; if it does not arrive, "Rename" is there.
      if (this.phoneName !== binding.name) await contact.channel.rename(this.phoneName).catch(() => undefined);
    }
    await this.#refresh();
    void this.store?.persist();
  }

  #takeFragment(fragment: string): boolean {
    if (fragment.length < 2) return false;
    history.replaceState(history.state, "", location.pathname);
    try {
      const code = parseFragment(fragment, this.host);
      if (code.kind === "code2") {
        if (this.flow?.step !== "code2") throw new PhoneClientError("code2-elsewhere");
        void this.flow.code2(code);
      } else {
        this.take(code);
      }
      return true;
    } catch (error) {
      this.linkError = error;
      this.#tell();
      return false;
    }
  }

  #show(screen: Screen): void {
    if (this.screen.name === "home") this.go(screen);
    else this.swap(screen);
  }

  #watchAll(): void {
    for (const binding of this.bindings) if (this.links.view(binding.id).status === "idle") this.watch(binding);
  }

  #takeAsks(): void {
    this.asks.update(
      this.bindings.map(({ id, tenant }) => {
        const { channel, status, error } = this.links.view(id);
        return { bindingId: id, tenant, channel, over: status === "ended" ? (error ?? new PhoneClientError("closed")) : null };
      }),
    );
  }

  #onLeave(left: readonly Screen[]): void {
    if (left.some((screen) => screen.name === "offline")) {
      this.offline?.close();
      this.offline = null;
    }
    if (left.some((screen) => screen.name === "contact")) void this.leaveContact();
    this.#tell();
  }

  async #refresh(): Promise<void> {
    if (this.store === null) return;
    this.bindings = await this.store.list();
    this.#takeAsks();
    const pending = await this.store.pending();
    this.pending = pending.filter((item) => !this.#discarded.has(item.activation));
    clearTimeout(this.#expiry);
    if (this.pending.length > 0) {
      const next = Math.min(...this.pending.map((item) => item.expiresAt));
      this.#expiry = setTimeout(() => void this.#refresh(), Math.min(Math.max(0, next - Date.now()) + 500, LONGEST_TIMER_MS));
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
