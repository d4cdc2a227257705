/**
 * What both embedded elements share: the attributes `token`, `gateway` and `lang`, a client and an event stream made from them,
 * and telling the page what happens by CustomEvents. A new `token` starts the element afresh, so a page can renew it in place.
 */
import { LitElement, type PropertyValues } from "lit";
import { property, state } from "lit/decorators.js";
import { ApiError, EventStream, GatewayClient, type StreamState } from "../shared/api/index.js";
import { langOf, type Lang } from "../shared/i18n/index.js";

/** Where this script itself was loaded from: the gateway, unless the page says otherwise. */
const SCRIPT_ORIGIN = scriptOrigin();

function scriptOrigin(): string {
  if (typeof document === "undefined") return "";
  const script = document.currentScript;
  return script instanceof HTMLScriptElement && script.src !== "" ? new URL(script.src).origin : "";
}

export abstract class GatewayElement extends LitElement {
  /** The page token, `ptk_…`. */
  @property() token = "";
  /** The gateway's origin; by default the one that served this script. */
  @property() gateway = "";
  /** `fr` or `en`; by default the nearest ancestor's language, then the browser's. */
  @property() override lang = "";
  @state() protected stream: StreamState = "closed";
  /** A failure that no retry of ours mends, shown in place of the content. */
  @state() protected broken: ApiError | null = null;

  protected client: GatewayClient | null = null;
  private events: EventStream | null = null;
  private observer: MutationObserver | null = null;

  /** Reads the state of things anew: at the start, and after every reconnection, since events may have been missed. */
  protected abstract refresh(): Promise<void>;
  /** Takes one server event. */
  protected abstract onServerEvent(type: string, data: Readonly<Record<string, unknown>>): void;
  /** Whether all attributes that the element needs are there. */
  protected abstract configured(): boolean;

  protected get speech(): Lang {
    return langOf(this);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.observer = new MutationObserver(() => {
      this.requestUpdate();
    });
    this.observer.observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
    window.addEventListener("online", this.nudge);
    document.addEventListener("visibilitychange", this.nudge);
    if (this.hasUpdated) this.begin();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.observer?.disconnect();
    window.removeEventListener("online", this.nudge);
    document.removeEventListener("visibilitychange", this.nudge);
    this.end();
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("token") || changed.has("gateway")) this.begin();
  }

  /** Starts, or starts afresh with other attributes. */
  protected begin(): void {
    this.end();
    this.broken = null;
    if (!this.configured()) return;
    const client = new GatewayClient({ base: this.gateway === "" ? SCRIPT_ORIGIN : this.gateway, token: this.token });
    this.client = client;
    this.events = new EventStream({
      open: (lastEventId, signal) => client.openEvents(lastEventId, signal),
      onEvent: (type, data) => {
        this.onServerEvent(type, data);
      },
      onState: (state) => {
        const back = state === "open" && this.stream === "lost";
        this.stream = state;
        if (back) this.tryRefresh();
      },
      onRefused: (error) => {
        this.fail(error);
      },
    });
    this.events.start();
    this.tryRefresh();
  }

  protected end(): void {
    this.events?.close();
    this.events = null;
    this.client = null;
  }

  /** Refreshes; a passing failure is left to the event stream, which refreshes again once it is back. */
  protected tryRefresh(): void {
    const client = this.client;
    void this.refresh().catch((error: unknown) => {
      if (client !== this.client) return;
      if (error instanceof ApiError && !error.transient) this.fail(error);
      else setTimeout(() => {
        if (client === this.client && client !== null) this.tryRefresh();
      }, 3_000);
    });
  }

  protected fail(error: ApiError): void {
    this.end();
    this.broken = error;
    this.tell("tessera-error", { code: error.code, status: error.status });
  }

  /** Dispatches a CustomEvent that crosses shadow roots. */
  protected tell(name: string, detail: Readonly<Record<string, unknown>>): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  private readonly nudge = (): void => {
    if (document.visibilityState === "visible") this.events?.nudge();
  };
}
