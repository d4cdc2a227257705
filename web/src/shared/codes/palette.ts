/**
 * Says which of the eight colours each module has. The palette is taken from the reference modules of the
 * symbol's own border, then follows the data modules a little, as the border may lie in another light. Called by
 * `decode.ts`.
 */
import { COLOURS, PLANES, type Layout } from "./layout.js";
import type { ModuleColours } from "./sample.js";

export interface Labels {
  /** Palette index of each data module, in placement order. */
  readonly index: Uint8Array;
  /**
   * For each bit of each index, highest bit first, how much likelier it is than its opposite: a log-likelihood ratio, 0 for a
   * coin's toss.
   */
  readonly margin: Float32Array;
}

/** Labels for this many modules, nothing known yet. */
export function newLabels(count: number): Labels {
  return { index: new Uint8Array(count), margin: new Float32Array(count * PLANES) };
}

/**
 * Sets one module's label from its squared distances to the eight colours, in standard deviations: the nearest colour, and
 * for each bit the distance to the nearest colour that has it otherwise, as far as the module's colour can be trusted.
 */
export function setLabel(labels: Labels, module: number, squared: Float64Array, trust: number): void {
  let index = 0;
  for (let k = 1; k < COLOURS; k++) if (squared[k]! < squared[index]!) index = k;
  labels.index[module] = index;
  for (let plane = 0; plane < PLANES; plane++) {
    const bit = 1 << (PLANES - 1 - plane);
    let other = Infinity;
    for (let k = 0; k < COLOURS; k++) if ((k ^ index) & bit && squared[k]! < other) other = squared[k]!;
    labels.margin[module * PLANES + plane] = (trust * (other - squared[index]!)) / 2;
  }
}

const ROUNDS = 4;
/** Spread of a colour before anything is known of it, of 1; only scales the margins. */
const SPREAD = 0.15;
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
  const trust = dataTrust(colours, layout);
  const labels = newLabels(layout.order.length);
  const palette = reference.slice();
  for (let round = 0; ; round++) {
    const sums = assign(points, palette, labels, trust);
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

/** How far the data modules' colours can be trusted, in placement order. */
export function dataTrust(colours: ModuleColours, layout: Layout): Float32Array {
  return Float32Array.from(dataPlaces(layout), (at) => colours.trust[at]!);
}

/** Labels every point with its nearest colour; returns sums and count of the points of each colour. */
function assign(points: Float32Array, palette: Float32Array, labels: Labels, trust: Float32Array): Float64Array {
  const sums = new Float64Array(COLOURS * 4);
  const squared = new Float64Array(COLOURS);
  for (let i = 0; i < labels.index.length; i++) {
    const [r, g, b] = [points[i * 3]!, points[i * 3 + 1]!, points[i * 3 + 2]!];
    for (let k = 0; k < COLOURS; k++) {
      const dr = r - palette[k * 3]!;
      const dg = g - palette[k * 3 + 1]!;
      const db = b - palette[k * 3 + 2]!;
      squared[k] = (dr * dr + dg * dg + db * db) / (SPREAD * SPREAD);
    }
    setLabel(labels, i, squared, trust[i]!);
    const index = labels.index[i]!;
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
