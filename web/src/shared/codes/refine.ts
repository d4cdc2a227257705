/**
 * Brings a symbol's corners near enough for `align.ts`, by climbing: each corner is moved as long as the known light modules
 * (finder, timing and alignment patterns) get lighter than the known dark ones. Called by `decode.ts` and `locate.ts`.
 */
import { moduleLength, squareToQuad, type Homography } from "./geometry.js";
import type { Layout } from "./layout.js";
import type { Plane } from "./planes.js";
import type { Corners, Point } from "./types.js";

const STEPS = [0.8, 0.4, 0.2] as const;
const ROUNDS = 3;
const SPREAD = 0.25;

/** Sample points of a layout's known modules: x, y, sign; light counts as much as dark in the sum. */
interface Template {
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly weight: Float32Array;
}

interface Templates {
  readonly full: Template;
  readonly quick: Template;
}

const templates = new WeakMap<Layout, Templates>();

/** The best map with corners near `start`, or null when these are no corners of a symbol. */
export function fitCorners(image: Plane, start: Corners, layout: Layout): Homography | null {
  const template = templatesOf(layout).full;
  let corners: Corners = start;
  let best = score(image, corners, layout.size, template);
  if (best === null) return null;
  const length = moduleLength(start, layout.size);
  for (const step of STEPS) {
    for (let round = 0; round < ROUNDS; round++) {
      let moved = false;
      for (const candidate of neighbours(step * length)) {
        const next = shift(corners, candidate);
        const value = score(image, next, layout.size, template);
        if (value !== null && value > best) {
          best = value;
          corners = next;
          moved = true;
        }
      }
      if (!moved) break;
    }
  }
  return squareToQuad(corners, layout.size);
}

/** The contrast of a map as it is, by the modules' middles alone: how well a version and its corners fit. */
export function quickContrast(image: Plane, map: Homography, layout: Layout): number {
  return contrast(image, map, templatesOf(layout).quick);
}

type Move = readonly [corner: number, dx: number, dy: number];

function neighbours(step: number): Move[] {
  const moves: Move[] = [];
  for (let corner = 0; corner < 4; corner++) {
    moves.push([corner, step, 0], [corner, -step, 0], [corner, 0, step], [corner, 0, -step]);
  }
  return moves;
}

function shift(corners: Corners, [corner, dx, dy]: Move): Corners {
  const next = [...corners] as [Point, Point, Point, Point];
  const [x, y] = corners[corner]!;
  next[corner] = [x + dx, y + dy];
  return next;
}

function templatesOf(layout: Layout): Templates {
  let pair = templates.get(layout);
  if (!pair) {
    pair = { full: buildTemplate(layout, [-SPREAD, SPREAD]), quick: buildTemplate(layout, [0]) };
    templates.set(layout, pair);
  }
  return pair;
}

function buildTemplate({ known, size }: Layout, offsets: readonly number[]): Template {
  const x: number[] = [];
  const y: number[] = [];
  const weight: number[] = [];
  const points = offsets.length ** 2;
  const dark = known.filter((sign) => sign > 0).length * points;
  const light = known.filter((sign) => sign < 0).length * points;
  known.forEach((sign, place) => {
    if (sign === 0) return;
    for (const dy of offsets) {
      for (const dx of offsets) {
        x.push((place % size) + 0.5 + dx);
        y.push(Math.floor(place / size) + 0.5 + dy);
        weight.push(sign > 0 ? -1 / dark : 1 / light);
      }
    }
  });
  return { x: Float32Array.from(x), y: Float32Array.from(y), weight: Float32Array.from(weight) };
}

/** The contrast of corners; null when they span no square. */
function score(image: Plane, corners: Corners, size: number, template: Template): number | null {
  const map = squareToQuad(corners, size);
  return map && contrast(image, map, template);
}

/** Mean of the light modules less mean of the dark ones. */
function contrast(image: Plane, map: Homography, template: Template): number {
  const { pixels, width, height } = image;
  const { x, y, weight } = template;
  const [a, b, c, d, e, f, g, h] = map as unknown as readonly [number, number, number, number, number, number, number, number];
  let sum = 0;
  for (let i = 0; i < weight.length; i++) {
    const mx = x[i]!;
    const my = y[i]!;
    const w = 1 / (g * mx + h * my + 1);
    const px = ((a * mx + b * my + c) * w) | 0;
    const py = ((d * mx + e * my + f) * w) | 0;
    if (px < 0 || py < 0 || px >= width || py >= height) continue;
    sum += weight[i]! * pixels[py * width + px]!;
  }
  return sum;
}
