/**
 * Says which of the eight colours each module has. The palette is taken from the reference modules of the
 * symbol's own border, then follows the data modules a little, as the border may lie in another light. Called by
 * `decode.ts`.
 */
import { COLOURS, type Layout } from "./layout.js";
import type { ModuleColours } from "./sample.js";

export interface Labels {
  /** Palette index of each data module, in placement order. */
  readonly index: Uint8Array;
  /** How much nearer the chosen colour is than the second best; 0 is a coin's toss. */
  readonly margin: Float32Array;
}

const ROUNDS = 4;
/** How far the palette follows the data modules. */
const FOLLOW = 0.8;

/** What the gateway draws: HCC2D palette model 2, the corners of the colour cube. */
// prettier-ignore
const DRAWN = [0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1] as const;

/**
 * Palettes to begin with, in turn: as the border shows it, whatever it is; then half way to the one that the gateway draws,
 * for pictures so poor that two colours of the border look the same.
 */
export function palettesOf(colours: ModuleColours, layout: Layout): readonly Float32Array[] {
  const border = borderPalette(colours, layout);
  return [border, border.map((value, i) => (value + DRAWN[i]!) / 2)];
}

/** Colours of the border's reference modules: the median of each index, three numbers each. */
function borderPalette(colours: ModuleColours, layout: Layout): Float32Array {
  const palette = new Float32Array(COLOURS * 3);
  for (let index = 0; index < COLOURS; index++) {
    const modules = layout.border.filter((module) => module.index === index);
    for (let k = 0; k < 3; k++) {
      const values = modules.map(({ row, column }) => colours.rgb[((row + 1) * colours.side + column + 1) * 3 + k]!);
      values.sort((a, b) => a - b);
      palette[index * 3 + k] = values[values.length >> 1]!;
    }
  }
  return palette;
}

/** The nearest palette colour of every data module. */
export function classify(colours: ModuleColours, layout: Layout, reference: Float32Array): Labels {
  const points = dataColours(colours, layout);
  const count = layout.order.length;
  const labels: Labels = { index: new Uint8Array(count), margin: new Float32Array(count) };
  const palette = reference.slice();
  for (let round = 0; ; round++) {
    const sums = assign(points, palette, labels);
    if (round === ROUNDS) return labels;
    follow(palette, reference, sums);
  }
}

/** Where the data modules are among the sampled ones, in placement order. */
export function dataPlaces(layout: Layout): Uint16Array {
  return layout.order.map((place) => (Math.floor(place / layout.size) + 1) * (layout.size + 2) + (place % layout.size) + 1);
}

/** Colours of the data modules in placement order, three numbers each. */
function dataColours(colours: ModuleColours, layout: Layout): Float32Array {
  const points = new Float32Array(layout.order.length * 3);
  dataPlaces(layout).forEach((at, i) => {
    points.set(colours.rgb.subarray(at * 3, at * 3 + 3), i * 3);
  });
  return points;
}

/** Labels every point with its nearest colour; returns sums and count of the points of each colour. */
function assign(points: Float32Array, palette: Float32Array, labels: Labels): Float64Array {
  const sums = new Float64Array(COLOURS * 4);
  for (let i = 0; i < labels.index.length; i++) {
    const [r, g, b] = [points[i * 3]!, points[i * 3 + 1]!, points[i * 3 + 2]!];
    let best = Infinity;
    let second = Infinity;
    let index = 0;
    for (let k = 0; k < COLOURS; k++) {
      const dr = r - palette[k * 3]!;
      const dg = g - palette[k * 3 + 1]!;
      const db = b - palette[k * 3 + 2]!;
      const squared = dr * dr + dg * dg + db * db;
      if (squared < best) {
        second = best;
        best = squared;
        index = k;
      } else if (squared < second) second = squared;
    }
    labels.index[i] = index;
    labels.margin[i] = Math.sqrt(second) - Math.sqrt(best);
    sums[index * 4]! += r;
    sums[index * 4 + 1]! += g;
    sums[index * 4 + 2]! += b;
    sums[index * 4 + 3]!++;
  }
  return sums;
}

function follow(palette: Float32Array, reference: Float32Array, sums: Float64Array): void {
  for (let k = 0; k < COLOURS; k++) {
    const count = sums[k * 4 + 3]!;
    if (count <= 3) continue;
    for (let c = 0; c < 3; c++) {
      palette[k * 3 + c] = (FOLLOW * sums[k * 4 + c]!) / count + (1 - FOLLOW) * reference[k * 3 + c]!;
    }
  }
}
