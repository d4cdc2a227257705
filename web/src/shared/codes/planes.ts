/**
 * One-byte-a-pixel planes of a frame, in buffers that are kept from frame to frame. A colour symbol's black and white
 * parts stand out in different planes under different light: the reader asks for them one after another.
 */
import type { Frame } from "./types.js";

/** `grey`: luma. `peak`: max(R, G, B), which turns every colour but black light. `green`: the sharpest channel of a Bayer sensor. */
export type PlaneName = "grey" | "peak" | "green" | "smooth" | "half" | "quarter";

/** A plane with its own size: `scale` pixels of the frame lie along one of the plane's. */
export interface Plane {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly scale: number;
}

const SCALES: Readonly<Record<PlaneName, number>> = { grey: 1, smooth: 1, peak: 1, green: 1, half: 2, quarter: 4 };

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
    else fill(name, frame.data, pixels);
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

function fill(name: PlaneName, data: Uint8ClampedArray, plane: Uint8Array): void {
  const size = plane.length;
  if (name === "grey") {
    for (let i = 0, j = 0; i < size; i++, j += 4) plane[i] = (data[j]! * 77 + data[j + 1]! * 150 + data[j + 2]! * 29) >> 8;
  } else if (name === "green") {
    for (let i = 0, j = 1; i < size; i++, j += 4) plane[i] = data[j]!;
  } else {
    for (let i = 0, j = 0; i < size; i++, j += 4) {
      let peak = data[j]!;
      const green = data[j + 1]!;
      const blue = data[j + 2]!;
      if (green > peak) peak = green;
      if (blue > peak) peak = blue;
      plane[i] = peak;
    }
  }
}

/** A 5 by 5 binomial blur (1 4 6 4 1): takes sensor noise and JPEG ringing away before the image is made black and white. */
function smooth({ pixels: source, width, height }: Plane, target: Uint8Array): void {
  const sums = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0; x < width; x++) {
      const i = row + x;
      const l1 = x > 0 ? source[i - 1]! : source[i]!;
      const l2 = x > 1 ? source[i - 2]! : l1;
      const r1 = x < width - 1 ? source[i + 1]! : source[i]!;
      const r2 = x < width - 2 ? source[i + 2]! : r1;
      sums[i] = l2 + r2 + 4 * (l1 + r1) + 6 * source[i]!;
    }
  }
  for (let y = 0; y < height; y++) {
    const row = y * width;
    const u1 = y > 0 ? row - width : row;
    const u2 = y > 1 ? row - 2 * width : u1;
    const d1 = y < height - 1 ? row + width : row;
    const d2 = y < height - 2 ? row + 2 * width : d1;
    for (let x = 0; x < width; x++) {
      target[row + x] = (sums[u2 + x]! + sums[d2 + x]! + 4 * (sums[u1 + x]! + sums[d1 + x]!) + 6 * sums[row + x]! + 128) >> 8;
    }
  }
}
