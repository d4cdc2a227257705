/**
 * Fits a symbol's corners to the frame by what is known of every symbol: finder, timing and alignment patterns. The finder
 * gives corners that are right to about half a module; colour classification wants a tenth. Called by `decode.ts`.
 */
import { moduleLength, squareToQuad, type Homography } from "./geometry.js";
import type { Layout } from "./layout.js";
import type { Plane } from "./planes.js";
import type { Corners, Point } from "./types.js";

export interface Fit {
  readonly corners: Corners;
  readonly map: Homography;
  /** Contrast between known light and known dark modules as fitted, -255..255: small when this is no such symbol. */
  readonly contrast: number;
}

const STEPS = [0.6, 0.3, 0.15, 0.07] as const;
const ROUNDS = 3;
const SPREAD = 0.25;

/** Sample points of a layout's known modules: x, y, sign; light counts as much as dark in the sum. */
interface Template {
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly weight: Float32Array;
}

const templates = new WeakMap<Layout, Template>();

/** The best corners near `start`, or null when these are no corners of a symbol. */
export function fitCorners(image: Plane, start: Corners, layout: Layout): Fit | null {
  const template = templateOf(layout);
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
  const map = squareToQuad(corners, layout.size);
  return map && { corners, map, contrast: best };
}

/** The contrast of `corners` without moving them: how well a version fits. */
export function contrastOf(image: Plane, corners: Corners, layout: Layout): number {
  return score(image, corners, layout.size, templateOf(layout)) ?? -255;
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

function templateOf(layout: Layout): Template {
  let template = templates.get(layout);
  if (!template) {
    template = buildTemplate(layout);
    templates.set(layout, template);
  }
  return template;
}

function buildTemplate({ known, size }: Layout): Template {
  const x: number[] = [];
  const y: number[] = [];
  const weight: number[] = [];
  let dark = 0;
  let light = 0;
  for (const sign of known) {
    if (sign > 0) dark++;
    else if (sign < 0) light++;
  }
  known.forEach((sign, place) => {
    if (sign === 0) return;
    for (const dy of [-SPREAD, SPREAD]) {
      for (const dx of [-SPREAD, SPREAD]) {
        x.push((place % size) + 0.5 + dx);
        y.push(Math.floor(place / size) + 0.5 + dy);
        weight.push(sign > 0 ? -0.25 / dark : 0.25 / light);
      }
    }
  });
  return { x: Float32Array.from(x), y: Float32Array.from(y), weight: Float32Array.from(weight) };
}

/** Mean of the light modules less mean of the dark ones; null when the corners span no square. */
function score(image: Plane, corners: Corners, size: number, template: Template): number | null {
  const map = squareToQuad(corners, size);
  if (!map) return null;
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
