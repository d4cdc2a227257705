/**
 * The last tenth of a module: Gauss-Newton alignment of a homography with what is known of every symbol, under uneven light
 * (Lucas and Kanade 1981, with gain and offset as unknowns too). Called by `decode.ts` after `refine.ts` has come within half a
 * module.
 */
import type { Homography } from "./geometry.js";
import { COLOURS, type Layout } from "./layout.js";
import type { Plane } from "./planes.js";
import { solve } from "./solve.js";

const ITERATIONS = 8;
/** Half the distance, in modules, that brightness is differentiated over. */
const REACH = 0.3;
/** Unknowns: eight of the homography, three of the gain, six of the offset. */
const MOTION = 8;
const UNKNOWNS = MOTION + 9;
const DONE_MODULES = 0.004;
/** A step longer than this, in modules, is no refinement. */
const MOST_MODULES = 1.5;
/** Points a module, a side. */
const OFFSETS = [-0.25, 0.25] as const;

export interface Alignment {
  readonly map: Homography;
  /** Share of the known modules' variance that the fit explains, 0..1. */
  readonly explained: number;
}

/** Sample points in module coordinates, with the brightness that the symbol has there (-1 dark .. 1 light, interpolated). */
interface Points {
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly value: Float32Array;
}

const cache = new WeakMap<Layout, Points>();

/** A better homography than `start`, or null when the frame shows no such symbol there. */
export function align(image: Plane, start: Homography, layout: Layout): Alignment | null {
  const points = pointsOf(layout);
  let map = start;
  let best: Alignment | null = null;
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const system = normalEquations(image, map, layout.size, points);
    const { explained } = system;
    if (!best || explained > best.explained) best = { map, explained };
    const step = solve(system.normal, UNKNOWNS);
    if (!step) break;
    const length = stepLength(step);
    if (!(length < MOST_MODULES)) break;
    map = compose(map, step, layout.size);
    if (length < DONE_MODULES) break;
  }
  return best;
}

function pointsOf(layout: Layout): Points {
  let points = cache.get(layout);
  if (!points) {
    points = buildPoints(layout);
    cache.set(layout, points);
  }
  return points;
}

/** Points whose four nearest modules are all known; the white parts of the border are. */
function buildPoints(layout: Layout): Points {
  const { size } = layout;
  const side = size + 2;
  const brightness = new Int8Array(side * side);
  layout.known.forEach((sign, place) => {
    brightness[(Math.floor(place / size) + 1) * side + (place % size) + 1] = -sign;
  });
  for (const { row, column, index } of layout.border) {
    if (index === COLOURS - 1) brightness[(row + 1) * side + column + 1] = 1;
  }
  const [xs, ys, values]: [number[], number[], number[]] = [[], [], []];
  for (let place = 0; place < size * size; place++) {
    if (layout.known[place] === 0) continue;
    for (const dy of OFFSETS) {
      for (const dx of OFFSETS) {
        const row = Math.floor(place / size) + 1;
        const column = (place % size) + 1;
        const near = [row * side + column, row * side + column + Math.sign(dx)];
        const far = near.map((at) => at + Math.sign(dy) * side);
        const [a, b, c, d] = [...near, ...far].map((at) => brightness[at]!);
        if (a === 0 || b === 0 || c === 0 || d === 0) continue;
        xs.push(column - 0.5 + dx);
        ys.push(row - 0.5 + dy);
        values.push((9 * a! + 3 * b! + 3 * c! + d!) / 16);
      }
    }
  }
  return { x: Float32Array.from(xs), y: Float32Array.from(ys), value: Float32Array.from(values) };
}

/** The least squares system at `map`, and how much of the variance the present map explains. */
function normalEquations(image: Plane, map: Homography, size: number, points: Points): { normal: Float64Array; explained: number } {
  const stride = UNKNOWNS + 1;
  const normal = new Float64Array(UNKNOWNS * stride);
  const row = new Float64Array(stride);
  let squares = 0;
  for (let i = 0; i < points.value.length; i++) {
    const mx = points.x[i]!;
    const my = points.y[i]!;
    const value = points.value[i]!;
    const u = mx / size - 0.5;
    const v = my / size - 0.5;
    const gx = (brightnessAt(image, map, mx + REACH, my) - brightnessAt(image, map, mx - REACH, my)) / (2 * REACH);
    const gy = (brightnessAt(image, map, mx, my + REACH) - brightnessAt(image, map, mx, my - REACH)) / (2 * REACH);
    const along = gx * u + gy * v;
    row[0] = -gx;
    row[1] = -gx * u;
    row[2] = -gx * v;
    row[3] = -gy;
    row[4] = -gy * u;
    row[5] = -gy * v;
    row[6] = -along * u;
    row[7] = -along * v;
    row[8] = value;
    row[9] = value * u;
    row[10] = value * v;
    row[11] = 1;
    row[12] = u;
    row[13] = v;
    row[14] = u * u;
    row[15] = u * v;
    row[16] = v * v;
    row[UNKNOWNS] = brightnessAt(image, map, mx, my);
    squares += row[UNKNOWNS] * row[UNKNOWNS];
    for (let a = 0; a < UNKNOWNS; a++) {
      const factor = row[a]!;
      const base = a * stride;
      for (let b = a; b < stride; b++) normal[base + b]! += factor * row[b]!;
    }
  }
  for (let a = 0; a < UNKNOWNS; a++) {
    normal[a * stride + a]! += 1e-6;
    for (let b = 0; b < a; b++) normal[a * stride + b] = normal[b * stride + a]!;
  }
  return { normal, explained: explainedShare(normal, squares) };
}

/** Fits gain and offset alone: what share of the brightness left by the offset does the pattern explain? */
function explainedShare(normal: Float64Array, squares: number): number {
  const whole = residual(normal, squares, MOTION);
  const flat = residual(normal, squares, MOTION + 3);
  return flat > 0 ? Math.max(0, 1 - whole / flat) : 0;
}

/** Sum of squares that the unknowns from `first` on leave. */
function residual(normal: Float64Array, squares: number, first: number): number {
  const count = UNKNOWNS - first;
  const part = new Float64Array(count * (count + 1));
  for (let a = 0; a < count; a++) {
    for (let b = 0; b <= count; b++) part[a * (count + 1) + b] = normal[(a + first) * (UNKNOWNS + 1) + b + first]!;
  }
  const solution = solve(part, count);
  if (!solution) return squares;
  let rest = squares;
  for (let a = 0; a < count; a++) rest -= solution[a]! * normal[(a + first) * (UNKNOWNS + 1) + UNKNOWNS]!;
  return Math.max(0, rest);
}

function brightnessAt(image: Plane, map: Homography, mx: number, my: number): number {
  const w = 1 / (map[6]! * mx + map[7]! * my + 1);
  const x = Math.min(image.width - 1.001, Math.max(0, (map[0]! * mx + map[1]! * my + map[2]!) * w - 0.5));
  const y = Math.min(image.height - 1.001, Math.max(0, (map[3]! * mx + map[4]! * my + map[5]!) * w - 0.5));
  const left = x | 0;
  const top = y | 0;
  const at = top * image.width + left;
  const { pixels, width } = image;
  const upper = pixels[at]! + (x - left) * (pixels[at + 1]! - pixels[at]!);
  const lower = pixels[at + width]! + (x - left) * (pixels[at + width + 1]! - pixels[at + width]!);
  return upper + (y - top) * (lower - upper);
}

/** The longest way that a corner goes, in modules, to first order. */
function stepLength(step: Float64Array): number {
  let longest = 0;
  for (const u of [-0.5, 0.5]) {
    for (const v of [-0.5, 0.5]) {
      const tilt = step[6]! * u + step[7]! * v;
      const dx = step[0]! + step[1]! * u + step[2]! * v + u * tilt;
      const dy = step[3]! + step[4]! * u + step[5]! * v + v * tilt;
      longest = Math.max(longest, Math.hypot(dx, dy));
    }
  }
  return longest;
}

/** `map` after the step, which is a homography of module coordinates near the identity. */
function compose(map: Homography, step: Float64Array, size: number): Homography {
  // In u = x / size - 1/2 the step is u' = (u + (s0 + s1 u + s2 v) / size) / (1 - (s6 u + s7 v) / size).
  const s = step.map((value) => value / size);
  const inner = [1 + s[1]!, s[2]!, s[0]!, s[4]!, 1 + s[5]!, s[3]!, -s[6]!, -s[7]!, 1];
  const toUnit = [1 / size, 0, -0.5, 0, 1 / size, -0.5, 0, 0, 1];
  const fromUnit = [size, 0, size / 2, 0, size, size / 2, 0, 0, 1];
  const outer = [...map, 1];
  const product = multiply(multiply(outer, fromUnit), multiply(inner, toUnit));
  return Float64Array.from(product.slice(0, 8), (value) => value / product[8]!);
}

function multiply(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: 9 }, (_, i) => {
    const row = Math.floor(i / 3) * 3;
    const column = i % 3;
    return a[row]! * b[column]! + a[row + 1]! * b[column + 3]! + a[row + 2]! * b[column + 6]!;
  });
}
