/** What passes between `scanner.ts` (page) and `worker.ts`. One frame at a time: the page waits for its outcome. */
import type { FrameOutcome, ReadLimits } from "./types.js";

export type ToWorker =
  | { readonly kind: "start"; readonly wasmUrl: string; readonly limits: ReadLimits }
  | { readonly kind: "frame"; readonly bitmap: ImageBitmap };

export type FromWorker =
  | { readonly kind: "ready" }
  /** The worker is of no use: its WebAssembly did not load, or it cannot draw. */
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "outcome"; readonly outcome: FrameOutcome; readonly readMs: number };
