/**
 * The viewfinder: shows the rear camera, has every frame read for a code (colour or QR) by the code reader's worker, and hands
 * the first good one on. When the camera cannot be had it says why and offers the other two ways. Frames never leave the page.
 */
import wasmUrl from "zxing-wasm/reader/zxing_reader.wasm?url";
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { CodeScanner, type FrameOutcome } from "../../shared/codes/scanner.js";
import { PhoneClientError, parseScanned } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { Camera, CameraError, type CameraFailure } from "../camera.js";
import { notice } from "../parts/notice.js";
import { common } from "../text/common.js";
import { explainFailure } from "../text/errors.js";
import { scan } from "../text/scan.js";
import { ScreenElement } from "./base.js";
import { scanStyles } from "./scan-styles.js";

type Trouble = CameraFailure | "reader" | "ended";
type Hint = "aim" | "seen" | "closer" | "read" | "notOurs" | "secondTooEarly" | "firstAgain" | "notRequest";

const CLOSER_AFTER_MS = 2_500;

@customElement("ts-scan")
export class ScanScreen extends ScreenElement {
  static override styles = [...shared, scanStyles];

  /** Which code is wanted: an activation's first, its second, or a request to be answered without a network. */
  @property() want: "first" | "second" | "offline" = "first";
  @state() private trouble: Trouble | null = null;
  @state() private hint: Hint = "aim";
  @state() private refusal: unknown = null;
  @state() private running = false;
  @state() private torch = false;
  @query("video") private readonly video!: HTMLVideoElement;

  private camera: Camera | null = null;
  private scanner: CodeScanner | null = null;
  private abort = new AbortController();
  private seenSince = 0;
  private hasStarted = false;
  private wasCovered = false;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.stop();
  }

  protected override firstUpdated(): void {
    super.firstUpdated();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.hasStarted = true;
    void this.start();
  }

  override render(): TemplateResult {
    const text = scan[this.speech];
    return html`<div class="stack">
      <h1 tabindex="-1">${{ first: text.title, second: text.title2, offline: text.titleOffline }[this.want]}</h1>
      ${this.trouble === null ? this.viewfinder() : this.failed(this.trouble)}
      ${this.refusal === null ? nothing : this.refused()}
      ${this.want === "offline" ? html`<p class="soft small">${text.offlineText}</p>` : this.ways()}
    </div>`;
  }

  private ways(): TemplateResult {
    const text = scan[this.speech];
    return html`<div class="row ways">
      <button type="button" class="secondary" @click=${this.onType}>${icons.keyboard(22)} ${text.typeInstead}</button>
      ${this.want === "second" ? nothing : html`<button type="button" class="secondary" @click=${this.onPaste}>${icons.link(22)} ${text.pasteInstead}</button>`}
    </div>`;
  }

  private viewfinder(): TemplateResult {
    const text = scan[this.speech];
    const hint = this.hint === "aim" ? { first: text.aim, second: text.aim2, offline: text.aimOffline }[this.want] : text[this.hint];
    const tone = this.hint === "read" ? "read" : this.hint === "seen" || this.hint === "closer" ? "seen" : "";
    return html`<div class="finder ${tone}">
      <video playsinline muted autoplay aria-label=${text.viewfinder}></video>
      <div class="frame" aria-hidden="true"><i></i><i></i><i></i><i></i></div>
      ${this.running && this.camera?.hasTorch === true
        ? html`<button type="button" class="torch" aria-pressed=${this.torch ? "true" : "false"} aria-label=${this.torch ? text.torchOff : text.torchOn} @click=${this.onTorch}>
            ${icons.torch()}
          </button>`
        : nothing}
      <p class="hint" role="status">${this.running ? hint : text.starting}</p>
    </div>`;
  }

  private failed(trouble: Trouble): TemplateResult {
    const text = scan[this.speech];
    return notice({
      kind: "warn",
      title: text[`${trouble}Title`],
      text: text[`${trouble}Text`],
      action:
        trouble === "absent" || trouble === "unsupported"
          ? nothing
          : html`<button type="button" @click=${this.onRetry}>${icons.refresh(22)} ${common[this.speech].tryAgain}</button>`,
    });
  }

  private refused(): TemplateResult {
    const failure = explainFailure(this.refusal, this.speech);
    return notice({ kind: "bad", title: failure.title, text: failure.text });
  }

  private async start(): Promise<void> {
    this.stop();
    const abort = new AbortController();
    this.abort = abort;
    this.trouble = null;
    await this.updateComplete;
    try {
      const [camera, scanner] = await Promise.all([this.openCamera(abort.signal), this.openScanner(abort.signal)]);
      if (abort.signal.aborted) return;
      camera.onEnded(() => {
        if (!abort.signal.aborted) this.fail("ended");
      });
      this.video.srcObject = camera.stream;
      await this.video.play();
      this.running = true;
      await scanner.follow(this.video, (outcome) => {
        this.look(outcome);
      }, abort.signal);
    } catch (error) {
      if (abort.signal.aborted) return;
      this.fail(error instanceof CameraError ? error.failure : "reader");
    }
  }

  private async openCamera(signal: AbortSignal): Promise<Camera> {
    const camera = await Camera.open();
    if (signal.aborted) camera.close();
    else this.camera = camera;
    return camera;
  }

  private async openScanner(signal: AbortSignal): Promise<CodeScanner> {
    const scanner = await CodeScanner.open({ wasmUrl });
    if (signal.aborted) scanner.close();
    else this.scanner = scanner;
    return scanner;
  }

  private fail(trouble: Trouble): void {
    this.stop();
    this.trouble = trouble;
  }

  private stop(): void {
    this.abort.abort();
    this.camera?.close();
    this.scanner?.close();
    this.camera = null;
    this.scanner = null;
    this.running = false;
    this.torch = false;
  }

  private look(outcome: FrameOutcome): void {
    if (outcome === null) {
      if (this.hint === "seen" || this.hint === "closer") this.hint = "aim";
      this.seenSince = 0;
      return;
    }
    if (outcome.bytes === undefined) {
      this.seenSince ||= performance.now();
      this.hint = performance.now() - this.seenSince > CLOSER_AFTER_MS ? "closer" : "seen";
      return;
    }
    this.take(outcome.bytes);
  }

  private take(bytes: Uint8Array): void {
    try {
      const code = parseScanned(bytes, this.model.host);
      const misfit = this.misfit(code.kind);
      if (misfit !== null) this.hint = misfit;
      else {
        this.hint = "read";
        (navigator as { vibrate?: (ms: number) => boolean }).vibrate?.(40); // Safari has none
        this.stop();
        if (code.kind === "code2") {
          void this.model.flow?.code2(code);
          this.model.back();
        } else {
          this.model.take(code);
        }
      }
    } catch (error) {
      const notOurs = error instanceof PhoneClientError && error.code === "code-invalid";
      if (notOurs) this.hint = "notOurs";
      else this.refusal = error;
    }
  }

  /** Why this is not the code that is wanted here; a request is taken wherever a first code is. */
  private misfit(kind: "activation" | "code2" | "offline"): Hint | null {
    if (kind === "code2") return this.want === "second" ? null : this.want === "first" ? "secondTooEarly" : "notRequest";
    if (this.want === "second") return "firstAgain";
    return kind === "activation" && this.want === "offline" ? "notRequest" : null;
  }

  /** A request of the bank lies over it: the camera rests until the person is back. */
  protected override updated(changed: PropertyValues<this>): void {
    super.updated(changed);
    if (!this.hasStarted || this.trouble !== null || this.model.isCovered === this.wasCovered) return;
    this.wasCovered = this.model.isCovered;
    if (this.wasCovered) this.stop();
    else if (document.visibilityState === "visible") void this.start();
  }

  private readonly onVisibility = (): void => {
    if (document.visibilityState === "hidden") this.stop();
    else if (!this.running && this.trouble === null && !this.model.isCovered) void this.start();
  };

  private readonly onRetry = (): void => {
    void this.start();
  };

  private readonly onTorch = (): void => {
    this.torch = !this.torch;
    void this.camera?.setTorch(this.torch).catch(() => {
      this.torch = false;
    });
  };

  private readonly onType = (): void => {
    this.model.swap({ name: "typed", second: this.want === "second" });
  };

  private readonly onPaste = (): void => {
    this.model.swap({ name: "paste" });
  };
}
