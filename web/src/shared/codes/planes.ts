/**
 * One-byte-a-pixel planes of a frame, in buffers that are kept from frame to frame. A colour symbol's black and white
 * parts stand out in different planes under different light: the reader asks for them one after another.
 */
import type { Frame } from "./types.js";

/**
 * `grey`: luma. `smooth`, `half`, `quarter`: luma blurred, and at a half and a quarter of the size. `flat`: half the size, each
 * pixel against the brightness and contrast around it, which brings out what a reflection has washed away. `peak`: max(R, G, B),
 * which turns every colour but black light.
 */
export type PlaneName = "grey" | "peak" | "smooth" | "half" | "quarter" | "flat";

/** A plane with its own size: `scale` pixels of the frame lie along one of the plane's. */
export interface Plane {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly scale: number;
}

const SCALES: Readonly<Record<PlaneName, number>> = { grey: 1, smooth: 1, peak: 1, half: 2, quarter: 4, flat: 2 };

export class Planes {
  #frame: Frame | undefined;
  readonly #buffers = new Map<PlaneName, Uint8Array>();
  readonly #filled = new Set<PlaneName>();

  /** Turns to another frame; planes are computed when they are asked for. */
  use(frame: Frame): void {
    this.#frame = frame;
    this.#filled.clear();
  }

  /** Forgets the frame; buffers stay. */
  release(): void {
    this.#frame = undefined;
    this.#filled.clear();
  }

  get(name: PlaneName): Plane {
    const frame = this.#frame;
    if (!frame) throw new RangeError("no frame in use");
    const scale = SCALES[name];
    const width = Math.floor(frame.width / scale);
    const height = Math.floor(frame.height / scale);
    let pixels = this.#buffers.get(name);
    if (pixels?.length !== width * height) {
      pixels = new Uint8Array(width * height);
      this.#buffers.set(name, pixels);
      this.#filled.delete(name);
    }
    if (!this.#filled.has(name)) {
      this.#compute(name, frame, pixels);
      this.#filled.add(name);
    }
    return { pixels, width, height, scale };
  }

  #compute(name: PlaneName, frame: Frame, pixels: Uint8Array): void {
    if (name === "smooth") smooth(this.get("grey"), pixels);
    else if (name === "half") halve(this.get("grey"), pixels);
    else if (name === "quarter") halve(this.get("half"), pixels);
    else if (name === "flat") flatten(this.get("half"), pixels);
    else if (name === "grey") fillLuma(frame.data, pixels);
    else fillPeak(frame.data, pixels);
  }
}

/** Means of squares of four pixels: noise is halved, and the finder has a quarter of the work. */
function halve({ pixels, width, height }: Plane, target: Uint8Array): void {
  const halfWidth = width >> 1;
  for (let y = 0; y < height >> 1; y++) {
    for (let x = 0, i = 2 * y * width; x < halfWidth; x++, i += 2) {
      target[y * halfWidth + x] = (pixels[i]! + pixels[i + 1]! + pixels[i + width]! + pixels[i + width + 1]! + 2) >> 2;
    }
  }
}

function fillLuma(data: Uint8ClampedArray, plane: Uint8Array): void {
  for (let i = 0, j = 0; i < plane.length; i++, j += 4) plane[i] = (data[j]! * 77 + data[j + 1]! * 150 + data[j + 2]! * 29) >> 8;
}

function fillPeak(data: Uint8ClampedArray, plane: Uint8Array): void {
  for (let i = 0, j = 0; i < plane.length; i++, j += 4) {
    let peak = data[j]!;
    const green = data[j + 1]!;
    const blue = data[j + 2]!;
    if (green > peak) peak = green;
    if (blue > peak) peak = blue;
    plane[i] = peak;
  }
}

/** The window of brightness and contrast is this share of the shorter side; contrast below the floor is noise. */
const FLAT_WINDOW = 1 / 12;
const FLAT_FLOOR = 2.5;
const FLAT_GAIN = 56;

function flatten({ pixels, width, height }: Plane, target: Uint8Array): void {
  const reach = Math.max(4, Math.round((Math.min(width, height) * FLAT_WINDOW) / 2));
  const means = boxMeans(pixels, width, height, reach);
  const deviations = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) deviations[i] = Math.abs(pixels[i]! - means[i]!);
  const contrasts = boxMeans(deviations, width, height, reach);
  for (let i = 0; i < pixels.length; i++) {
    const value = 128 + (FLAT_GAIN * (pixels[i]! - means[i]!)) / Math.max(FLAT_FLOOR, contrasts[i]!);
    target[i] = value < 0 ? 0 : value > 255 ? 255 : value;
  }
}

/** Means of the squares of `2 * reach + 1` pixels around each pixel; the edges are repeated. Sums slide: no cost in `reach`. */
export function boxMeans(values: Uint8Array | Float32Array, width: number, height: number, reach: number): Float32Array {
  const rows = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = y * width;
    const last = start + width - 1;
    let sum = values[start]! * reach;
    for (let i = 0; i <= reach; i++) sum += values[Math.min(last, start + i)]!;
    for (let at = start; at <= last; at++) {
      rows[at] = sum;
      const enter = at + reach + 1;
      const leave = at - reach;
      sum += values[enter < last ? enter : last]! - values[leave > start ? leave : start]!;
    }
  }
  const means = new Float32Array(width * height);
  const sums = new Float32Array(width);
  const area = (2 * reach + 1) ** 2;
  for (let y = -reach; y <= reach; y++) addRow(sums, rows, clampRow(y, height) * width, 1);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) means[y * width + x] = sums[x]! / area;
    addRow(sums, rows, clampRow(y + reach + 1, height) * width, 1);
    addRow(sums, rows, clampRow(y - reach, height) * width, -1);
  }
  return means;
}

function addRow(sums: Float32Array, rows: Float32Array, start: number, sign: number): void {
  for (let x = 0; x < sums.length; x++) sums[x]! += sign * rows[start + x]!;
}

function clampRow(y: number, height: number): number {
  return y < 0 ? 0 : y >= height ? height - 1 : y;
}

/** A 5 by 5 binomial blur (1 4 6 4 1): takes sensor noise and JPEG ringing away before the image is made black and white. */
function smooth({ pixels: source, width, height }: Plane, target: Uint8Array): void {
  const sums = new Uint16Array(width * height);
  const line = new Uint8Array(width + 4);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    line.fill(source[row]!, 0, 2);
    line.set(source.subarray(row, row + width), 2);
    line.fill(source[row + width - 1]!, width + 2);
    for (let x = 0; x < width; x++) {
      sums[row + x] = line[x]! + line[x + 4]! + 4 * (line[x + 1]! + line[x + 3]!) + 6 * line[x + 2]!;
    }
  }
  for (let y = 0; y < height; y++) {
    const row = y * width;
    const [u1, u2] = [clampRow(y - 1, height) * width, clampRow(y - 2, height) * width];
    const [d1, d2] = [clampRow(y + 1, height) * width, clampRow(y + 2, height) * width];
    for (let x = 0; x < width; x++) {
      target[row + x] = (sums[u2 + x]! + sums[d2 + x]! + 4 * (sums[u1 + x]! + sums[d1 + x]!) + 6 * sums[row + x]! + 128) >> 8;
    }
  }
}
