/**
 * What the phone app knows and can do: the bindings on this phone, the activation under way, the open channels, and which screen
 * is in front. The one place that calls the phone client's functions; screens read it and call it. Secrets that arrive in the
 * address (`#…`) are taken out of it at once.
 */
import {
  PhoneClientError,
  PhoneStore,
  openChannel,
  parseFragment,
  rememberBanks,
  startFirstContact,
  type Binding,
  type ParsedCode,
  type PendingContact,
  type TypedCode,
} from "../shared/phone-client/index.js";
import { locale } from "../shared/i18n/index.js";
import { ContactFlow } from "./contact-flow.js";
import { APP, deviceFacts } from "./device.js";
import { Links } from "./links.js";

export type Screen =
  | { readonly name: "home" }
  | { readonly name: "scan"; readonly second: boolean }
  | { readonly name: "typed"; readonly second: boolean }
  | { readonly name: "paste" }
  | { readonly name: "contact" }
  | { readonly name: "detail"; readonly id: string }
  | { readonly name: "change-pin"; readonly id: string };

const HOME: Screen = { name: "home" };
const AGREED = "tessera.agreed";

export class PhoneModel {
  readonly host = location.host;
  store: PhoneStore | null = null;
  bindings: readonly Binding[] = [];
  pending: readonly PendingContact[] = [];
  flow: ContactFlow | null = null;
  /** Why the app cannot work at all in this browser, or why the link it was opened with leads nowhere. */
  blocked: unknown = null;
  linkError: unknown = null;
  ready = false;
  readonly links: Links;

  #stack: Screen[] = [HOME];
  readonly #listeners = new Set<() => void>();

  constructor() {
    this.links = new Links((bindingId) => openChannel({ store: this.#stored(), bindingId, host: this.host, lang: locale.lang, app: APP }));
    this.links.subscribe(() => {
      this.#tell();
      if (this.bindings.some((binding) => this.links.view(binding.id).state?.state !== undefined)) void this.#refresh();
    });
  }

  get screen(): Screen {
    return this.#stack[this.#stack.length - 1] ?? HOME;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Opens the storage, then takes up what the address or an interrupted activation asks for. */
  async boot(): Promise<void> {
    const fragment = location.hash;
    history.replaceState({ depth: 0 }, "", location.pathname + location.search);
    window.addEventListener("popstate", (event) => {
      this.#onPop(event.state);
    });
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
    if (this.blocked !== null || this.#takeFragment(fragment)) return;
    const interrupted = this.pending[0];
    if (interrupted !== undefined && this.#hasAgreed(interrupted.activation)) this.startContact(interrupted);
    for (const binding of this.bindings) this.watch(binding);
  }

  /** Keeps a channel open to the bank of a binding that can still use one. */
  watch(binding: Binding): void {
    if (binding.state !== "removed") this.links.ensure(binding.id);
  }

  go(screen: Screen): void {
    this.#stack.push(screen);
    history.pushState({ depth: this.#stack.length - 1 }, "", location.pathname);
    this.#tell();
  }

  /** Puts another screen in the place of the present one. */
  swap(screen: Screen): void {
    if (this.#stack.length === 1) {
      this.go(screen);
      return;
    }
    this.#stack[this.#stack.length - 1] = screen;
    this.#tell();
  }

  back(): void {
    if (this.#stack.length > 1) history.back();
  }

  toStart(): void {
    const depth = this.#stack.length - 1;
    if (depth > 0) history.go(-depth);
  }

  /** Begins an activation with a code, or takes up an interrupted one, and shows it. */
  startContact(code: ParsedCode | TypedCode | PendingContact): void {
    this.flow?.close();
    const flow = new ContactFlow({
      start: async () =>
        startFirstContact({ store: this.#stored(), host: this.host, code, device: await deviceFacts(), lang: locale.lang }),
      agreed: (activation) => this.#hasAgreed(activation),
      onAgree: (activation) => {
        sessionStorage.setItem(AGREED, activation);
      },
    });
    let finished = false;
    flow.subscribe(() => {
      if (flow.step === "active" && !finished) {
        finished = true;
        void this.#finish(flow);
      }
      this.#tell();
    });
    this.flow = flow;
    if (this.screen.name === "home") this.go({ name: "contact" });
    else this.swap({ name: "contact" });
    void flow.start();
  }

  /** Leaves the activation; the client keeps its keys until it expires. */
  async leaveContact(): Promise<void> {
    this.flow?.close();
    this.flow = null;
    await this.#refresh();
  }

  async cancelContact(): Promise<void> {
    const flow = this.flow;
    this.flow = null;
    await flow?.cancel().catch(() => undefined);
    sessionStorage.removeItem(AGREED);
    await this.#refresh();
    this.toStart();
  }

  /** Erases a binding on this phone alone. */
  async forget(bindingId: string): Promise<void> {
    this.links.drop(bindingId);
    await this.#stored().forget(bindingId);
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

  #hasAgreed(activation: string): boolean {
    return sessionStorage.getItem(AGREED) === activation;
  }

  async #finish(flow: ContactFlow): Promise<void> {
    const { binding, contact } = flow;
    sessionStorage.removeItem(AGREED);
    if (binding !== null && contact?.channel) this.links.adopt(binding.id, contact.channel);
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
        this.startContact(code);
      }
      return true;
    } catch (error) {
      this.linkError = error;
      this.#tell();
      return false;
    }
  }

  #onPop(state: unknown): void {
    const depth = typeof state === "object" && state !== null && "depth" in state ? Number(state.depth) : 0;
    const leavesContact = this.#stack.slice(depth + 1).some((screen) => screen.name === "contact");
    this.#stack = this.#stack.slice(0, depth + 1);
    if (leavesContact) void this.leaveContact();
    this.#tell();
  }

  async #refresh(): Promise<void> {
    if (this.store === null) return;
    this.bindings = await this.store.list();
    this.pending = await this.store.pending();
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
