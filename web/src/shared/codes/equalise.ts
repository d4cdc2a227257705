/**
 * Takes out of each module what its neighbours lent it. A blurred lens, a colour filter array and halved chroma all mix
 * neighbouring modules; once most modules are labelled, the mixing can be fitted on them, taken away, and the rest labelled
 * anew by how the errors really spread. Called by `decode.ts` when plain classification does not decode.
 */
import { COLOURS, type Layout } from "./layout.js";
import { dataPlaces, setLabel, type Labels } from "./palette.js";
import type { ModuleColours } from "./sample.js";
import { solve } from "./solve.js";

/** Eight neighbours and the module itself, which is number 4, then a constant. */
const TAPS = 9;
const OWN = 4;
const UNKNOWNS = TAPS + 1;
const ROUNDS = 3;
/** A module that keeps less of its own colour than this is beyond repair. */
const LEAST_OWN_SHARE = 0.12;
/** Variance that is added to every direction of colour, so that a lucky fit is not taken for certainty. */
const LEAST_VARIANCE = 4e-4;

/** Relabels the data modules; false when the fit makes no sense, the labels are then as they were. */
export function equalise(colours: ModuleColours, layout: Layout, reference: Float32Array, labels: Labels): boolean {
  const seen = toOpponent(colours.rgb);
  const palette = toOpponent(reference);
  const places = dataPlaces(layout);
  for (let round = 0; round < ROUNDS; round++) {
    const drawn = drawModules(colours, layout, palette, labels);
    const clean = new Float32Array(places.length * 3);
    for (let k = 0; k < 3; k++) {
      const taps = fitTaps(seen, drawn, colours.side, k);
      if (!taps || taps[OWN]! < LEAST_OWN_SHARE) return round > 0;
      removeNeighbours({ seen, drawn, side: colours.side, places, taps, channel: k, clean });
    }
    movePalette(palette, clean, labels);
    relabel(clean, palette, labels);
  }
  return true;
}

/** Brightness and two differences of colour: a camera halves the resolution of the latter. */
function toOpponent(rgb: Float32Array): Float32Array {
  const result = new Float32Array(rgb.length);
  for (let i = 0; i < rgb.length; i += 3) {
    result[i] = (rgb[i]! + rgb[i + 1]! + rgb[i + 2]!) / 3;
    result[i + 1] = rgb[i]! - rgb[i + 1]!;
    result[i + 2] = rgb[i + 2]! - rgb[i + 1]!;
  }
  return result;
}

/** The symbol as it would be without any mixing, by what is known and what is believed of each module. */
function drawModules(colours: ModuleColours, layout: Layout, palette: Float32Array, labels: Labels): Float32Array {
  const { side, rgb } = colours;
  const white = COLOURS - 1;
  const index = new Uint8Array(side * side).fill(white);
  for (const module of layout.border) index[(module.row + 1) * side + module.column + 1] = module.index;
  layout.known.forEach((sign, place) => {
    const at = (Math.floor(place / layout.size) + 1) * side + (place % layout.size) + 1;
    const light = sign === 0 ? rgb[at * 3]! + rgb[at * 3 + 1]! + rgb[at * 3 + 2]! > 1.5 : sign < 0;
    index[at] = light ? white : 0;
  });
  dataPlaces(layout).forEach((at, i) => (index[at] = labels.index[i]!));
  const drawn = new Float32Array(side * side * 3);
  index.forEach((colour, at) => {
    for (let k = 0; k < 3; k++) drawn[at * 3 + k] = palette[colour * 3 + k]!;
  });
  return drawn;
}

/** Least squares: one channel of every inner module as a sum of its neighbours' drawn colours. Null when singular. */
function fitTaps(seen: Float32Array, drawn: Float32Array, side: number, channel: number): Float64Array | null {
  const normal = new Float64Array(UNKNOWNS * (UNKNOWNS + 1));
  const row = new Float64Array(UNKNOWNS + 1);
  for (let y = 1; y < side - 1; y++) {
    for (let x = 1; x < side - 1; x++) {
      for (let tap = 0; tap < TAPS; tap++) row[tap] = drawn[neighbour(y * side + x, tap, side) * 3 + channel]!;
      row[TAPS] = 1;
      row[UNKNOWNS] = seen[(y * side + x) * 3 + channel]!;
      for (let i = 0; i < UNKNOWNS; i++) {
        for (let j = i; j <= UNKNOWNS; j++) normal[i * (UNKNOWNS + 1) + j]! += row[i]! * row[j]!;
      }
    }
  }
  for (let i = 0; i < UNKNOWNS; i++) {
    normal[i * (UNKNOWNS + 1) + i]! += 1e-3;
    for (let j = 0; j < i; j++) normal[i * (UNKNOWNS + 1) + j] = normal[j * (UNKNOWNS + 1) + i]!;
  }
  return solve(normal, UNKNOWNS);
}

function neighbour(at: number, tap: number, side: number): number {
  return at + (Math.floor(tap / 3) - 1) * side + (tap % 3) - 1;
}

interface Removal {
  readonly seen: Float32Array;
  readonly drawn: Float32Array;
  readonly side: number;
  readonly places: Uint16Array;
  readonly taps: Float64Array;
  readonly channel: number;
  readonly clean: Float32Array;
}

function removeNeighbours({ seen, drawn, side, places, taps, channel, clean }: Removal): void {
  places.forEach((at, i) => {
    let value = seen[at * 3 + channel]! - taps[TAPS]!;
    for (let tap = 0; tap < TAPS; tap++) {
      if (tap !== OWN) value -= taps[tap]! * drawn[neighbour(at, tap, side) * 3 + channel]!;
    }
    clean[i * 3 + channel] = value / taps[OWN]!;
  });
}

/** Sets each colour to the mean of the modules that have it. */
function movePalette(palette: Float32Array, points: Float32Array, labels: Labels): void {
  const sums = new Float64Array(COLOURS * 4);
  labels.index.forEach((index, i) => {
    for (let k = 0; k < 3; k++) sums[index * 4 + k]! += points[i * 3 + k]!;
    sums[index * 4 + 3]!++;
  });
  for (let index = 0; index < COLOURS; index++) {
    const count = sums[index * 4 + 3]!;
    if (count < 4) continue;
    for (let k = 0; k < 3; k++) palette[index * 3 + k] = sums[index * 4 + k]! / count;
  }
}

/** Labels by Mahalanobis distance. */
function relabel(points: Float32Array, palette: Float32Array, labels: Labels): void {
  const metric = inverseCovariance(points, palette, labels);
  if (!metric) return;
  const [xx, xy, xz, yy, yz, zz] = metric;
  const squared = new Float64Array(COLOURS);
  for (let i = 0; i < labels.index.length; i++) {
    for (let index = 0; index < COLOURS; index++) {
      const x = points[i * 3]! - palette[index * 3]!;
      const y = points[i * 3 + 1]! - palette[index * 3 + 1]!;
      const z = points[i * 3 + 2]! - palette[index * 3 + 2]!;
      squared[index] = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + xz * x * z + yz * y * z);
    }
    setLabel(labels, i, squared);
  }
}

type Symmetric = readonly [xx: number, xy: number, xz: number, yy: number, yz: number, zz: number];

function inverseCovariance(points: Float32Array, palette: Float32Array, labels: Labels): Symmetric | null {
  let [a, b, c, d, e, f] = [0, 0, 0, 0, 0, 0];
  const count = labels.index.length;
  labels.index.forEach((index, i) => {
    const x = points[i * 3]! - palette[index * 3]!;
    const y = points[i * 3 + 1]! - palette[index * 3 + 1]!;
    const z = points[i * 3 + 2]! - palette[index * 3 + 2]!;
    a += x * x;
    b += x * y;
    c += x * z;
    d += y * y;
    e += y * z;
    f += z * z;
  });
  a = a / count + LEAST_VARIANCE;
  d = d / count + LEAST_VARIANCE;
  f = f / count + LEAST_VARIANCE;
  [b, c, e] = [b / count, c / count, e / count];
  const determinant = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d);
  if (!(determinant > 0)) return null;
  const minors = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b];
  const [xx, xy, xz, yy, yz, zz] = minors.map((minor) => minor / determinant);
  return [xx!, xy!, xz!, yy!, yz!, zz!];
}
