/**
 * What a frame can hold. Shared by the reader (`reader.ts`), the worker (`worker.ts`) and the pages that show a camera
 * (`scanner.ts`). Plain data only: every one of these crosses a worker boundary by structured clone.
 */

/** `hcc2d8` is the eight-colour symbol; `qr` an ordinary QR Code (model 2). */
export type Symbology = "hcc2d8" | "qr";

/** A position in the frame, in pixels from its top left corner. */
export type Point = readonly [x: number, y: number];

/** Corners of the QR part of a symbol, in the symbol's own order: top left, top right, bottom right, bottom left. */
export type Corners = readonly [Point, Point, Point, Point];

/** A symbol that was read: its error correction holds over every block. */
export interface CodeRead {
  readonly bytes: Uint8Array;
  readonly symbology: Symbology;
  readonly corners: Corners;
}

/** A symbol that was found and could not be read: worth drawing a frame around, and worth another try. */
export interface CodeSeen {
  readonly bytes?: undefined;
  readonly corners: Corners;
}

/** What one frame gave; null when it shows no symbol. */
export type FrameOutcome = CodeRead | CodeSeen | null;

/** The part of `ImageData` that the reader needs, so that tests need no DOM: RGBA, 8 bits each, row by row. */
export interface Frame {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** Where the zxing reader's WebAssembly comes from. Nothing is ever fetched from anywhere else. */
export type WasmSource = { readonly wasmUrl: string } | { readonly wasmBinary: ArrayBuffer };

/** How much one frame may cost. */
export interface ReadLimits {
  /** No third attempt starts after this many milliseconds (default 45). */
  readonly budgetMs?: number;
}

/** True when the frame was read, for callers that narrow an outcome. */
export function isRead(outcome: FrameOutcome): outcome is CodeRead {
  return outcome?.bytes !== undefined;
}
