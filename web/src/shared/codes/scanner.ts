/**
 * A camera's frames in, codes out, without holding up the page: the phone app opens one `CodeScanner`, which owns the
 * worker that reads. A frame that arrives while the worker is busy is dropped, never queued, so that what is read is always
 * what the camera sees now. It never keeps a frame, and never opens a camera itself.
 */
import type { Corners, FrameOutcome, ReadLimits, Symbology } from "./types.js";
import type { FromWorker, ToWorker } from "./messages.js";

/** What `ImageBitmap` can be made of; a `<video>` that plays is the usual one. */
export type FrameSource = HTMLVideoElement | HTMLCanvasElement | OffscreenCanvas | ImageBitmap | ImageData | Blob;

export interface ScannerOptions extends ReadLimits {
  /** URL of `zxing_reader.wasm`, same origin: `import url from "zxing-wasm/reader/zxing_reader.wasm?url"`. */
  readonly wasmUrl: string;
  /** Longer side that frames are scaled down to, in pixels (default 1280). */
  readonly longSide?: number;
  /** For tests: makes the worker. */
  readonly createWorker?: () => Worker;
}

/** What `follow` reports for every frame that was looked at. */
export type OutcomeListener = (outcome: FrameOutcome, timing: { readonly readMs: number }) => void;

interface Answer {
  readonly outcome: FrameOutcome;
  readonly readMs: number;
}

const BUSY = Symbol("busy");

export class CodeScanner {
  readonly #worker: Worker;
  readonly #longSide: number;
  #pending: { resolve: (answer: Answer) => void; reject: (reason: Error) => void } | undefined;
  #grabbing = false;
  #closed = false;

  private constructor(worker: Worker, longSide: number) {
    this.#worker = worker;
    this.#longSide = longSide;
  }

  /** Starts the worker and waits until its WebAssembly is ready. Rejects when that cannot be loaded. */
  static async open(options: ScannerOptions): Promise<CodeScanner> {
    const worker =
      options.createWorker?.() ?? new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "code-reader" });
    const scanner = new CodeScanner(worker, options.longSide ?? 1280);
    await scanner.#start(options);
    return scanner;
  }

  /** True while a frame is being read; `scan` drops the frame then. */
  get busy(): boolean {
    return this.#grabbing || this.#pending !== undefined;
  }

  /**
   * Reads one frame. Resolves to `"dropped"` when the worker is busy, when the source has no picture yet or the scanner is
   * closed; else to the outcome. Rejects only when the worker itself dies.
   */
  async scan(source: FrameSource): Promise<FrameOutcome | "dropped"> {
    const answer = await this.#scan(source);
    return answer === BUSY ? "dropped" : answer.outcome;
  }

  /** Reads a playing video frame by frame until `signal` aborts. Each outcome goes to `listener`. */
  async follow(video: HTMLVideoElement, listener: OutcomeListener, signal: AbortSignal): Promise<void> {
    const running = (): boolean => !signal.aborted && !this.#closed;
    while (running()) {
      await nextFrame(video, signal);
      if (!running()) return;
      const answer = await this.#scan(video);
      if (answer !== BUSY && running()) listener(answer.outcome, { readMs: answer.readMs });
    }
  }

  /** Ends the worker. Safe to call twice. */
  close(): void {
    this.#closed = true;
    this.#worker.terminate();
    this.#pending?.resolve({ outcome: null, readMs: 0 });
    this.#pending = undefined;
  }

  async #scan(source: FrameSource): Promise<Answer | typeof BUSY> {
    if (this.busy || this.#closed) return BUSY;
    this.#grabbing = true;
    let bitmap: ImageBitmap;
    try {
      bitmap = await grab(source, this.#longSide);
    } catch {
      return BUSY; // a video between two streams has no picture: the next frame will have one
    } finally {
      this.#grabbing = false;
    }
    if (this.#isClosed()) {
      bitmap.close();
      return BUSY;
    }
    return await new Promise<Answer>((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#post({ kind: "frame", bitmap }, [bitmap]);
    });
  }

  /** `close` may run while a frame is being grabbed; a method keeps the type checker from folding the earlier test. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #post(message: ToWorker, transfer: Transferable[]): void {
    this.#worker.postMessage(message, transfer);
  }

  #start(options: ScannerOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => {
        const error = new Error(reason);
        reject(error);
        this.#pending?.reject(error);
        this.#pending = undefined;
      };
      this.#worker.addEventListener("error", (event) => {
        fail(`the code reader's worker failed: ${event.message}`);
      });
      this.#worker.addEventListener("message", (event: MessageEvent<FromWorker>) => {
        const message = event.data;
        if (message.kind === "ready") resolve();
        else if (message.kind === "failed") fail(message.reason);
        else {
          const pending = this.#pending;
          this.#pending = undefined;
          pending?.resolve({ outcome: message.outcome, readMs: message.readMs });
        }
      });
      const { wasmUrl, budgetMs } = options;
      const absolute = new URL(wasmUrl, globalThis.location.href).href;
      this.#post({ kind: "start", wasmUrl: absolute, limits: budgetMs === undefined ? {} : { budgetMs } }, []);
    });
  }
}

/** A bitmap of the source, no longer than `longSide`: a 4K camera frame holds no more code than a 720p one. */
async function grab(source: FrameSource, longSide: number): Promise<ImageBitmap> {
  const [width, height] = sizeOf(source);
  const longest = Math.max(width, height);
  if (longest <= longSide) return await createImageBitmap(source);
  const scale = longSide / longest;
  return await createImageBitmap(source, {
    resizeWidth: Math.round(width * scale),
    resizeHeight: Math.round(height * scale),
    resizeQuality: "medium",
  });
}

/** Width and height in pixels; zero when the source cannot tell before it is decoded. */
function sizeOf(source: FrameSource): readonly [number, number] {
  if ("videoWidth" in source) return [source.videoWidth, source.videoHeight];
  return "width" in source ? [source.width, source.height] : [0, 0];
}

/** Resolves at the video's next picture, or after 100 ms where a browser cannot tell (Firefox before 132). */
function nextFrame(video: HTMLVideoElement, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, 100);
    signal.addEventListener("abort", done);
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(done);
  });
}

export type { Corners, FrameOutcome, Symbology };
