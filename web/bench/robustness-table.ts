/**
 * The robustness table: the colour symbol by our reader beside QR level M by zxing, through the same simulated camera, at the
 * same side of the drawn image, with the same random numbers. Run by `robustness.mjs`.
 */
import { readBarcodes } from "zxing-wasm/reader";
import { CodeReader } from "../src/shared/codes/reader.js";
import type { Frame } from "../src/shared/codes/types.js";
import { CALM, takeFrame, type Conditions, type DrawnSymbol } from "./camera.js";
import { SeededRandom } from "./random.js";

/** One payload in both forms. */
export interface SymbolPair {
  readonly payload: Uint8Array;
  readonly colour: DrawnSymbol;
  readonly qr: DrawnSymbol;
}

/** Every attempt is made, so that the shares do not depend on the machine; the times are those of the same frames. */
const BUDGET_MS = 10_000;

type Level = Partial<Conditions>;

/** A quarter of the frame's width: a code of 5 cm on a screen, half a metre away. */
const BASE: Conditions = { ...CALM, side: 300 };

/** From what every phone sees to where both forms fail. */
const ROWS: readonly (readonly [name: string, levels: readonly Level[]])[] = [
  ["size", [{ side: 200 }, { side: 160 }, { side: 140 }, { side: 120 }, { side: 105 }]],
  ["blur", [{ blur: 1.2 }, { blur: 1.8 }, { blur: 2.4 }, { blur: 3 }, { blur: 3.6 }]],
  ["noise", [{ noise: 25 }, { noise: 50 }, { noise: 75 }, { noise: 105 }, { noise: 135 }]],
  ["tilt", [{ tilt: 25 }, { tilt: 40 }, { tilt: 50 }, { tilt: 58 }, { tilt: 65 }]],
  [
    "white balance",
    [
      { gains: [1.15, 1, 0.65] },
      { gains: [1.2, 0.9, 0.4] },
      { gains: [0.65, 1, 1.2] },
      { gains: [1, 0.6, 1] },
      { gains: [1, 0.6, 0.08] },
    ],
  ],
  ["JPEG", [{ quality: 50 }, { quality: 25 }, { quality: 12 }, { quality: 6 }, { quality: 3 }]],
  ["glare", [{ glare: 0.4 }, { glare: 0.7 }, { glare: 0.9 }, { glare: 1 }, { glare: 1.1 }]],
];

export interface RowResult {
  readonly row: string;
  readonly bytes: number;
  readonly frames: number;
  readonly colourRead: number;
  readonly qrRead: number;
  readonly wrong: number;
  /** Share read at each level, colour then QR. */
  readonly levels: readonly (readonly [colour: number, qr: number])[];
  /** Milliseconds of every frame with a colour symbol. */
  readonly times: readonly number[];
  /** The same for the QR Codes. */
  readonly qrTimes: readonly number[];
}

export interface TableOptions {
  readonly wasmBinary: ArrayBuffer;
  readonly rows?: readonly string[];
  /** Other frames for another number; 0 unless given. */
  readonly seed?: number;
  readonly onMiss?: (miss: { row: string; level: number; index: number; frame: Frame; symbol: DrawnSymbol }) => void;
}

/** Measures each row over all pairs, which have payloads of the same length. */
export async function* measureRows(pairs: readonly SymbolPair[], options: TableOptions): AsyncGenerator<RowResult> {
  const reader = await CodeReader.create({ wasmBinary: options.wasmBinary, limits: { budgetMs: BUDGET_MS } });
  for (const [row, levels] of ROWS) {
    if (options.rows && !options.rows.includes(row)) continue;
    let [wrong, frames] = [0, 0];
    const times: number[] = [];
    const qrTimes: number[] = [];
    const results: [number, number][] = [];
    for (const [level, change] of levels.entries()) {
      const conditions = { ...BASE, ...change };
      const read: [number, number] = [0, 0];
      for (const [index, pair] of pairs.entries()) {
        frames++;
        for (const [form, symbol] of [pair.colour, pair.qr].entries()) {
          const frame = takeFrame(symbol, conditions, new SeededRandom(seedOf(row, level, index, options.seed)));
          const began = performance.now();
          const outcome = await reader.read(frame);
          (form === 0 ? times : qrTimes).push(performance.now() - began);
          const bytes = outcome?.bytes ?? (form === 1 ? await readByZxing(frame) : undefined);
          if (bytes && equal(bytes, pair.payload)) read[form]!++;
          else if (bytes) wrong++;
          else if (form === 0) options.onMiss?.({ row, level, index, frame, symbol });
        }
      }
      results.push(read);
    }
    const total = (form: 0 | 1): number => results.reduce((sum, read) => sum + read[form], 0);
    const shares = results.map(([colour, qr]) => [colour / pairs.length, qr / pairs.length] as const);
    const bytes = pairs[0]?.payload.length ?? 0;
    yield { row, bytes, frames, colourRead: total(0), qrRead: total(1), wrong, levels: shares, times, qrTimes };
  }
}

/** The bound is the better of our reader's QR half, which is zxing in several planes, and zxing with all of its defaults. */
async function readByZxing(frame: Frame): Promise<Uint8Array | undefined> {
  const [result] = await readBarcodes(frame as ImageData, { formats: ["QRCode"], maxNumberOfSymbols: 1 });
  return result?.bytes;
}

function seedOf(row: string, level: number, index: number, run = 0): number {
  let seed = 2166136261;
  for (const unit of `${row}/${level}/${index}${run ? `/${run}` : ""}`) seed = Math.imul(seed ^ unit.charCodeAt(0), 16777619);
  return seed;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
