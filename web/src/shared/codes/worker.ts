/**
 * The worker half of `scanner.ts`: bitmaps in, outcomes out. It draws each bitmap into one canvas that it keeps, hands the
 * pixels to `CodeReader`, and answers every frame exactly once, whatever the frame holds. It never fetches anything but the
 * WebAssembly it was told of, and never keeps a frame.
 */
import type { FromWorker, ToWorker } from "./messages.js";
import { CodeReader } from "./reader.js";
import type { FrameOutcome } from "./types.js";

declare const self: DedicatedWorkerGlobalScope;

let reader: CodeReader | undefined;
let canvas: OffscreenCanvas | undefined;

function tell(message: FromWorker): void {
  self.postMessage(message);
}

/** The pixels of a bitmap, which is closed. Null when this browser gives a worker no 2D canvas. */
function pixelsOf(bitmap: ImageBitmap): ImageData | null {
  const { width, height } = bitmap;
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  context?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context?.getImageData(0, 0, width, height) ?? null;
}

async function start(message: Extract<ToWorker, { kind: "start" }>): Promise<void> {
  if (typeof OffscreenCanvas === "undefined") {
    tell({ kind: "failed", reason: "this browser gives workers no canvas" });
    return;
  }
  try {
    reader = await CodeReader.create({ wasmUrl: message.wasmUrl, limits: message.limits });
    tell({ kind: "ready" });
  } catch (error) {
    tell({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  }
}

async function read(bitmap: ImageBitmap): Promise<void> {
  const began = performance.now();
  let outcome: FrameOutcome = null;
  try {
    const frame = pixelsOf(bitmap);
    if (frame && reader) outcome = await reader.read(frame);
  } catch {
    outcome = null; // a frame that cannot be drawn is a frame without a code
  }
  tell({ kind: "outcome", outcome, readMs: performance.now() - began });
}

self.addEventListener("message", (event: MessageEvent<ToWorker>) => {
  const message = event.data;
  if (message.kind === "start") void start(message);
  else void read(message.bitmap);
});
