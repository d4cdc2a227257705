/** What the tests of the code reader share: the WebAssembly from node_modules, the committed vectors, and clean frames. */
import { readFileSync } from "node:fs";
import type { DrawnSymbol } from "../../bench/camera.js";
import type { Frame } from "../../src/shared/codes/types.js";

export interface ColourVector {
  readonly payload: Uint8Array;
  readonly version: number;
  readonly mask: number;
  readonly symbol: DrawnSymbol;
}

interface VectorFile {
  readonly palette: readonly string[];
  readonly cases: readonly { payload: string; version: number; mask: number; modules: readonly string[] }[];
}

export function wasmBinary(build: "reader" | "writer" = "reader"): ArrayBuffer {
  const file = readFileSync(new URL(`../../node_modules/zxing-wasm/dist/${build}/zxing_${build}.wasm`, import.meta.url));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
}

/** Symbols that hcc2d-encoder, the reference of the draft, has drawn. */
export function colourVectors(): ColourVector[] {
  const text = readFileSync(new URL("../../../tests/vectors/hcc2d8.json", import.meta.url), "utf8");
  const file = JSON.parse(text) as VectorFile;
  const palette = file.palette.map((colour): [number, number, number] => {
    const value = Number.parseInt(colour.slice(1), 16);
    return [value >> 16, (value >> 8) & 255, value & 255];
  });
  return file.cases.map(({ payload, version, mask, modules }) => ({
    payload: Uint8Array.from(Buffer.from(payload, "hex")),
    version,
    mask,
    symbol: { palette, rows: modules.map((row) => Array.from(row, Number)) },
  }));
}

/** The symbol as a screen shows it: square pixels, a quiet zone of four modules, turned by quarters. */
export function drawFrame(symbol: DrawnSymbol, scale: number, quarters = 0): Frame {
  const modules = symbol.rows.length;
  const side = (modules + 8) * scale;
  const data = new Uint8ClampedArray(side * side * 4).fill(255);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const [u, v] = turn(x, y, side, quarters);
      const index = symbol.rows[Math.floor(v / scale) - 4]?.[Math.floor(u / scale) - 4];
      if (index !== undefined) data.set(symbol.palette[index]!, (y * side + x) * 4);
    }
  }
  return { data, width: side, height: side };
}

function turn(x: number, y: number, side: number, quarters: number): [number, number] {
  return quarters === 0 ? [x, y] : turn(y, side - 1 - x, side, quarters - 1);
}
