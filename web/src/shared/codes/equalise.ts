/**
 * Takes out of each module what its neighbours lent it. A blurred lens, a colour filter array and halved chroma all mix
 * neighbouring modules; once most modules are labelled, the mixing can be fitted on them, taken away, and the rest labelled
 * anew by how the errors really spread. Called by `decode.ts` when plain classification does not decode.
 */
import { COLOURS, type Layout } from "./layout.js";
import { dataPlaces, dataTrust, setLabel, type Labels } from "./palette.js";
import type { ModuleColours } from "./sample.js";
import { solve } from "./solve.js";

/** The modules around one, as steps of row and column. */
const AROUND = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => [dy, dx] as const)).filter(([dy, dx]) => dy !== 0 || dx !== 0);
/** Own share and offset vary over the symbol, as light does: all products of u and v up to the third power. */
const TERMS = 10;
/** Unknowns of a channel: the own share's terms, the offset's terms, one share for each neighbour. */
const OFFSET = TERMS;
const NEIGHBOURS = 2 * TERMS;
const UNKNOWNS = NEIGHBOURS + AROUND.length;
/** A module that keeps less of its own colour than this is beyond repair. */
const LEAST_OWN_SHARE = 0.12;
/** Keeps the fit from making much of little. */
const RIDGE = 1e-2;
/** Variance that is added to every direction of colour, so that a lucky fit is not taken for certainty. */
const LEAST_VARIANCE = 4e-4;

/** One channel of all modules: as the camera saw it, and as the symbol was drawn if the labels are right. */
interface Channel {
  readonly seen: Float32Array;
  readonly drawn: Float32Array;
  readonly side: number;
  readonly number: number;
  /** What each module counts for: colours out of a reflection are noise made large. */
  readonly trust: Float32Array;
}

/**
 * Relabels the data modules, at most `rounds` times and until no label changes; `palette` (three numbers a colour) is where the
 * first round begins. False when nothing came of it: the fit makes no sense, or the labels are settled already.
 */
export function equalise(
  colours: ModuleColours,
  layout: Layout,
  { labels, palette: reference, rounds }: { labels: Labels; palette: Float32Array; rounds: number },
): boolean {
  const seen = toOpponent(colours.rgb);
  const palette = toOpponent(reference);
  const places = dataPlaces(layout);
  const trust = dataTrust(colours, layout);
  for (let round = 0; round < rounds; round++) {
    const drawn = drawModules(colours, layout, palette, labels);
    const clean = new Float32Array(places.length * 3);
    for (let number = 0; number < 3; number++) {
      const channel: Channel = { seen, drawn, side: colours.side, number, trust: colours.trust };
      const shares = fitShares(channel);
      if (!shares || !removeNeighbours(channel, shares, places, clean)) return round > 0;
    }
    movePalette(palette, clean, labels, trust);
    if (!relabel(clean, palette, labels, trust)) return round > 0;
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

/** Least squares over all inner modules. Null when singular. */
function fitShares(channel: Channel): Float64Array | null {
  const stride = UNKNOWNS + 1;
  const normal = new Float64Array(UNKNOWNS * stride);
  const row = new Float64Array(stride);
  for (let y = 1; y < channel.side - 1; y++) {
    for (let x = 1; x < channel.side - 1; x++) {
      const at = y * channel.side + x;
      fillRow(row, channel, at);
      row[UNKNOWNS] = channel.seen[at * 3 + channel.number]!;
      const weight = channel.trust[at]!;
      for (let i = 0; i < UNKNOWNS; i++) {
        const factor = weight * row[i]!;
        if (factor !== 0) for (let j = i; j <= UNKNOWNS; j++) normal[i * stride + j]! += factor * row[j]!;
      }
    }
  }
  for (let i = 0; i < UNKNOWNS; i++) {
    normal[i * stride + i]! += RIDGE;
    for (let j = 0; j < i; j++) normal[i * stride + j] = normal[j * stride + i]!;
  }
  return solve(normal, UNKNOWNS);
}

/** What each unknown is multiplied by at one module. */
function fillRow(row: Float64Array, { drawn, side, number }: Channel, at: number): void {
  const u = (at % side) / side - 0.5;
  const v = Math.floor(at / side) / side - 0.5;
  const own = drawn[at * 3 + number]!;
  row[OFFSET] = 1;
  row[OFFSET + 1] = u;
  row[OFFSET + 2] = v;
  row[OFFSET + 3] = u * u;
  row[OFFSET + 4] = u * v;
  row[OFFSET + 5] = v * v;
  row[OFFSET + 6] = u * u * u;
  row[OFFSET + 7] = u * u * v;
  row[OFFSET + 8] = u * v * v;
  row[OFFSET + 9] = v * v * v;
  for (let term = 0; term < TERMS; term++) row[term] = own * row[OFFSET + term]!;
  AROUND.forEach(([dy, dx], i) => {
    row[NEIGHBOURS + i] = drawn[(at + dy * side + dx) * 3 + number]!;
  });
}

/** Puts into `clean` what is left of each data module; false where a module keeps too little of its own colour. */
function removeNeighbours(channel: Channel, shares: Float64Array, places: Uint16Array, clean: Float32Array): boolean {
  const row = new Float64Array(UNKNOWNS + 1);
  for (let i = 0; i < places.length; i++) {
    const at = places[i]!;
    fillRow(row, channel, at);
    let value = channel.seen[at * 3 + channel.number]!;
    for (let k = OFFSET; k < UNKNOWNS; k++) value -= shares[k]! * row[k]!;
    let own = 0;
    for (let term = 0; term < TERMS; term++) own += shares[term]! * row[OFFSET + term]!;
    if (own < LEAST_OWN_SHARE) return false;
    clean[i * 3 + channel.number] = value / own;
  }
  return true;
}

/** Sets each colour to the mean of the modules that have it. */
function movePalette(palette: Float32Array, points: Float32Array, labels: Labels, trust: Float32Array): void {
  const sums = new Float64Array(COLOURS * 4);
  labels.index.forEach((index, i) => {
    for (let k = 0; k < 3; k++) sums[index * 4 + k]! += trust[i]! * points[i * 3 + k]!;
    sums[index * 4 + 3]! += trust[i]!;
  });
  for (let index = 0; index < COLOURS; index++) {
    const count = sums[index * 4 + 3]!;
    if (count < 4) continue;
    for (let k = 0; k < 3; k++) palette[index * 3 + k] = sums[index * 4 + k]! / count;
  }
}

/** Labels by Mahalanobis distance; false when that changed no label. */
function relabel(points: Float32Array, palette: Float32Array, labels: Labels, trust: Float32Array): boolean {
  const metric = inverseCovariance(points, palette, labels, trust);
  if (!metric) return false;
  const before = labels.index.slice();
  const [xx, xy, xz, yy, yz, zz] = metric;
  const squared = new Float64Array(COLOURS);
  for (let i = 0; i < labels.index.length; i++) {
    for (let index = 0; index < COLOURS; index++) {
      const x = points[i * 3]! - palette[index * 3]!;
      const y = points[i * 3 + 1]! - palette[index * 3 + 1]!;
      const z = points[i * 3 + 2]! - palette[index * 3 + 2]!;
      squared[index] = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + xz * x * z + yz * y * z);
    }
    setLabel(labels, i, squared, trust[i]!);
  }
  return labels.index.some((index, i) => index !== before[i]);
}

type Symmetric = readonly [xx: number, xy: number, xz: number, yy: number, yz: number, zz: number];

function inverseCovariance(points: Float32Array, palette: Float32Array, labels: Labels, trust: Float32Array): Symmetric | null {
  let [a, b, c, d, e, f] = [0, 0, 0, 0, 0, 0];
  let count = 0;
  labels.index.forEach((index, i) => {
    const x = points[i * 3]! - palette[index * 3]!;
    const y = points[i * 3 + 1]! - palette[index * 3 + 1]!;
    const z = points[i * 3 + 2]! - palette[index * 3 + 2]!;
    const weight = trust[i]!;
    count += weight;
    a += weight * x * x;
    b += weight * x * y;
    c += weight * x * z;
    d += weight * y * y;
    e += weight * y * z;
    f += weight * z * z;
  });
  if (!(count > 0)) return null;
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
