/**
 * <tessera-activation activation token gateway lang>: adds a phone. Keeps the code fresh, listens for the phone, takes the
 * digits, tells the end. What it draws stands in views.ts; what follows from what in model.ts. It never shows a code that the
 * gateway did not just hand out, and it never sends the digits anywhere but to the gateway.
 */
import type { TemplateResult, PropertyValues } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { ApiError, type Activation, type CodeForm, type CodeView } from "../../shared/api/index.js";
import { shared } from "../../shared/ui/styles.js";
import { GatewayElement } from "../gateway-element.js";
import { endOf, groupDigits, stepOf, wantedCode, type Step } from "./model.js";
import { activationStyles } from "./styles.js";
import { renderActivation, stepTitle, type View } from "./views.js";

const TICK_MS = 250;
const CODE_RETRY_MS = 2_000;

@customElement("tessera-activation")
export class TesseraActivation extends GatewayElement {
  static override styles = [...shared, activationStyles];

  /** The activation's id, `act_…`. */
  @property() activation = "";
  @state() private facts: Activation | null = null;
  @state() private code: CodeView | null = null;
  @state() private form: CodeForm = "colour";
  @state() private now = Date.now();
  @state() private digits = "";
  @state() private busy = false;
  @state() private left: number | null = null;
  @state() private away = false;
  @state() private failure: unknown = null;
  @state() private incomplete = false;
  @query("#digits") private readonly input!: HTMLInputElement | null;

  private changesAt: number | null = null;
  private period = 10_000;
  private codeTimer: ReturnType<typeof setTimeout> | null = null;
  private ticker: ReturnType<typeof setInterval> | null = null;
  private shown: Step = "loading";
  private fetching = false;

  override connectedCallback(): void {
    super.connectedCallback();
    this.ticker = setInterval(() => {
      this.now = Date.now();
    }, TICK_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.ticker !== null) clearInterval(this.ticker);
  }

  override render(): TemplateResult {
    return renderActivation(this.view());
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("activation") || changed.has("token") || changed.has("gateway")) this.begin();
    const step = stepOf(this.facts);
    if (step === this.shown) return;
    this.shown = step;
    this.enter(step);
  }

  protected configured(): boolean {
    return this.activation !== "" && this.token !== "";
  }

  protected override begin(): void {
    this.facts = null;
    this.code = null;
    this.digits = "";
    this.left = null;
    this.away = false;
    this.failure = null;
    this.shown = "loading";
    super.begin();
  }

  protected override end(): void {
    super.end();
    if (this.codeTimer !== null) clearTimeout(this.codeTimer);
  }

  protected async refresh(): Promise<void> {
    if (this.client === null) return;
    const facts = await this.client.activation(this.activation);
    this.facts = facts;
    if (facts.state !== "waiting" && facts.state !== "present") this.left = null;
    if (wantedCode(stepOf(facts)) !== null && this.code?.kind !== wantedCode(stepOf(facts))) void this.renewCode();
  }

  protected onServerEvent(type: string, data: Readonly<Record<string, unknown>>): void {
    if (!type.startsWith("activation.")) return;
    if (type === "activation.away") this.away = true;
    if (type === "activation.present") {
      this.away = false;
      this.digits = "";
    }
    if (type === "activation.code-wrong" && typeof data["left"] === "number") this.left = data["left"];
    this.tryRefresh(); // the gateway's own word on where things stand; an event only says when to ask
  }

  private enter(step: Step): void {
    this.tell("tessera-step", { step, activation: this.activation });
    const facts = this.facts;
    if (facts !== null && step === "active") this.tell("tessera-active", { activation: facts.id, binding: facts.binding, name: facts.device?.name ?? "" });
    if (facts !== null && step === "ended") this.tell("tessera-ended", { activation: facts.id, reason: endOf(facts) });
    if (step === "active" || step === "ended") this.end();
    const wanted = wantedCode(step);
    if (wanted === null || this.code?.kind !== wanted) this.code = null;
    if (wanted !== null) void this.renewCode();
    else if (this.codeTimer !== null) clearTimeout(this.codeTimer);
    // Focus follows the step, unless the person is busy elsewhere on the bank's page.
    if (step === "confirm" && (this.matches(":focus-within") || document.activeElement === document.body)) {
      void this.updateComplete.then(() => {
        this.input?.focus();
      });
    }
  }

  /** Fetches the code to show and plans the next fetch for when the gateway says that it changes. */
  private async renewCode(): Promise<void> {
    const { client } = this;
    const wanted = wantedCode(stepOf(this.facts));
    if (client === null || wanted === null || this.fetching) return;
    this.fetching = true;
    let wait = CODE_RETRY_MS;
    try {
      const code = await client.code(this.activation, this.form);
      if (client !== this.client) return;
      this.code = code.kind === wanted ? code : null;
      if (code.kind !== wanted) this.tryRefresh();
      this.changesAt = code.next_in_ms === null ? null : Date.now() + code.next_in_ms;
      if (code.next_in_ms !== null) {
        this.period = Math.max(this.period, code.next_in_ms);
        wait = code.next_in_ms + 60;
      } else if (this.code !== null) {
        wait = 0;
      }
    } catch (error) {
      if (error instanceof ApiError && error.retryAfter !== null) wait = error.retryAfter * 1000;
      // A code that ran out must not stay on the screen: it leads nowhere any more.
      if (this.changesAt !== null && Date.now() > this.changesAt + this.period) this.code = null;
      if (error instanceof ApiError && !error.transient && error.status !== 409) this.tryRefresh();
    } finally {
      this.fetching = false;
    }
    if (this.codeTimer !== null) clearTimeout(this.codeTimer);
    if (wait > 0) this.codeTimer = setTimeout(() => void this.renewCode(), wait);
  }

  private async confirm(): Promise<void> {
    const { client } = this;
    if (client === null || this.busy) return;
    this.incomplete = this.digits.length < 8;
    if (this.incomplete) {
      this.input?.focus();
      return;
    }
    this.busy = true;
    this.failure = null;
    try {
      this.facts = await client.confirm(this.activation, this.digits);
      this.digits = "";
      this.left = null;
    } catch (error) {
      this.take(error);
    } finally {
      this.busy = false;
    }
  }

  private take(error: unknown): void {
    const wrong = error instanceof ApiError && error.code === "device-code-wrong";
    if (wrong) {
      this.left = error.number("left");
      this.digits = "";
      void this.updateComplete.then(() => {
        this.input?.focus();
      });
    } else {
      this.failure = error;
    }
    if (error instanceof ApiError && !error.transient) this.tryRefresh();
  }

  private view(): View {
    return {
      lang: this.speech,
      step: stepOf(this.facts),
      facts: this.facts,
      code: this.code,
      form: this.form,
      changesAt: this.changesAt,
      period: this.period,
      now: this.now,
      digits: this.digits,
      busy: this.busy,
      left: this.left,
      away: this.away,
      lost: this.stream === "lost",
      incomplete: this.incomplete,
      failure: this.failure,
      broken: this.broken,
      onThisPhone: globalThis.matchMedia("(pointer: coarse) and (max-width: 50rem)").matches,
      title: stepTitle(stepOf(this.facts), this.facts, this.speech),
      gateway: this.client?.base === "" ? location.origin : (this.client?.base ?? ""),
      chooseForm: (form) => {
        this.form = form;
        void this.renewCode();
      },
      typeDigits: this.onDigits,
      submit: this.onSubmit,
      retry: () => {
        this.begin();
      },
      restart: () => {
        this.tell("tessera-restart", { activation: this.activation });
      },
    };
  }

  private readonly onDigits = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    const typed = groupDigits(input.value, input.selectionStart ?? input.value.length);
    input.value = typed.text;
    input.setSelectionRange(typed.caret, typed.caret);
    this.digits = typed.digits;
    this.incomplete = false;
    if (typed.digits.length === 8) this.left = null;
  };

  private readonly onSubmit = (event: Event): void => {
    event.preventDefault();
    void this.confirm();
  };
}

declare global {
  interface HTMLElementTagNameMap {
    "tessera-activation": TesseraActivation;
  }
}
