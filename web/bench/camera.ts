/**
 * A phone's camera in front of a screen, simulated: pose, display light, ambient light, lens, Bayer sensor, tone curve and
 * JPEG. The robustness bench and the reader's tests take their frames from it. Deterministic: everything random comes from
 * the source that is handed in.
 */
import { squareToQuad, type Homography } from "../src/shared/codes/geometry.js";
import type { Corners, Frame, Point } from "../src/shared/codes/types.js";
import { throughJpeg, type Planar } from "./jpeg.js";
import type { SeededRandom } from "./random.js";

/** A code as it is drawn: rows of palette indices, quiet zone not included. */
export interface DrawnSymbol {
  readonly rows: readonly (readonly number[])[];
  readonly palette: readonly (readonly [number, number, number])[];
}

export interface Conditions {
  /** Side of the drawn image with its quiet zone, in camera pixels, when it faces the camera. */
  readonly side: number;
  /** Standard deviation of the lens's blur, in pixels. */
  readonly blur: number;
  /** Standard deviation of the sensor's noise, of 255. */
  readonly noise: number;
  /** Degrees that the screen is turned away by, around a random axis. */
  readonly tilt: number;
  /** Gains of red, green and blue. */
  readonly gains: readonly [number, number, number];
  /** Quality of the JPEG, 1 to 100; chroma has half the resolution. */
  readonly quality: number;
  /** Light of a reflection in its middle, of the screen's white. */
  readonly glare: number;
  /** Share of each colour that is lost to grey: a washed-out screen. */
  readonly wash: number;
}

export const WIDTH = 1280;
export const HEIGHT = 720;
export const QUIET_ZONE = 4;

export const CALM: Conditions = {
  side: 480,
  blur: 0.8,
  noise: 4,
  tilt: 3,
  gains: [1, 1, 1],
  quality: 90,
  glare: 0,
  wash: 0,
};

const GAMMA = 2.2;
const FOCAL_LENGTH = 1400;
/** Rays a pixel, a side. */
const RAYS = 3;

/** One frame of the symbol on a bank's page. */
export function takeFrame(symbol: DrawnSymbol, conditions: Conditions, random: SeededRandom): Frame {
  const modules = symbol.rows.length + 2 * QUIET_ZONE;
  const corners = pose(conditions, random);
  const map = squareToQuad(corners, modules);
  if (!map) throw new RangeError("the pose shows no square");
  const light = displayLight(symbol, map, corners);
  ambient(light, conditions, random);
  for (const channel of light.channels) blur(channel, conditions.blur);
  const image = sensor(light, conditions.noise, random);
  throughJpeg(image, conditions.quality);
  return interleave(image);
}

/** Corners of the drawn image, in perspective. */
function pose(conditions: Conditions, random: SeededRandom): Corners {
  const roll = (random.between(-10, 10) * Math.PI) / 180;
  const axis = random.between(0, 2 * Math.PI);
  const tilt = (conditions.tilt * Math.PI) / 180;
  const shiftX = WIDTH / 2 + random.between(-30, 30);
  const shiftY = HEIGHT / 2 + random.between(-15, 15);
  const half = conditions.side / 2;
  const corner = (x: number, y: number): Point => {
    const [rx, ry] = rotate(x * half, y * half, roll - axis);
    const depth = FOCAL_LENGTH + ry * Math.sin(tilt);
    const [fx, fy] = rotate(rx, ry * Math.cos(tilt), axis);
    return [(fx * FOCAL_LENGTH) / depth + shiftX, (fy * FOCAL_LENGTH) / depth + shiftY];
  };
  return [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
}

function rotate(x: number, y: number, angle: number): Point {
  return [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle)];
}

/** Linear light of the screen, 0..1: a pale page with a dark bar on top, and the symbol. */
function displayLight(symbol: DrawnSymbol, map: Homography, corners: Corners): Planar {
  const size = WIDTH * HEIGHT;
  const channels = [new Float32Array(size), new Float32Array(size), new Float32Array(size)] as const;
  const page = linear([235, 236, 238]);
  const bar = linear([40, 60, 110]);
  channels.forEach((channel, k) => channel.fill(page[k]!).fill(bar[k]!, 0, 45 * WIDTH));
  const palette = symbol.palette.map(linear);
  const white = palette[palette.length - 1]!;
  const inverse = invert(map);
  const side = symbol.rows.length;
  const xs = corners.map(([x]) => x);
  const ys = corners.map(([, y]) => y);
  const [top, bottom] = [Math.max(0, Math.floor(Math.min(...ys))), Math.min(HEIGHT, Math.ceil(Math.max(...ys)))];
  const [left, right] = [Math.max(0, Math.floor(Math.min(...xs))), Math.min(WIDTH, Math.ceil(Math.max(...xs)))];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const i = y * WIDTH + x;
      const sum = [0, 0, 0];
      for (let ray = 0; ray < RAYS * RAYS; ray++) {
        const rx = x + ((ray % RAYS) + 0.5) / RAYS;
        const ry = y + (Math.floor(ray / RAYS) + 0.5) / RAYS;
        const w = inverse[6]! * rx + inverse[7]! * ry + inverse[8]!;
        const column = Math.floor((inverse[0]! * rx + inverse[1]! * ry + inverse[2]!) / w) - QUIET_ZONE;
        const row = Math.floor((inverse[3]! * rx + inverse[4]! * ry + inverse[5]!) / w) - QUIET_ZONE;
        const outside = Math.min(row, column) < -QUIET_ZONE || Math.max(row, column) >= side + QUIET_ZONE;
        const colour = outside ? page : (palette[symbol.rows[row]?.[column] ?? -1] ?? white);
        for (let k = 0; k < 3; k++) sum[k]! += colour[k]!;
      }
      for (let k = 0; k < 3; k++) channels[k]![i] = sum[k]! / (RAYS * RAYS);
    }
  }
  return { width: WIDTH, height: HEIGHT, channels };
}

function linear(colour: readonly [number, number, number]): readonly [number, number, number] {
  const [red, green, blue] = colour.map((value) => (value / 255) ** GAMMA);
  return [red!, green!, blue!];
}

/** Inverse of a homography as a 3 by 3 matrix, up to a factor. */
function invert(map: Homography): Float64Array {
  const [a, b, c, d, e, f, g, h] = map as unknown as readonly [number, number, number, number, number, number, number, number];
  return Float64Array.of(
    e - f * h,
    c * h - b,
    b * f - c * e,
    f * g - d,
    a - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  );
}

/** Washed-out colours, white balance, and a reflection with its shading. */
function ambient(light: Planar, conditions: Conditions, random: SeededRandom): void {
  const { wash, gains, glare } = conditions;
  const [red, green, blue] = light.channels;
  const centreX = random.between(0.35, 0.65) * WIDTH;
  const centreY = random.between(0.35, 0.65) * HEIGHT;
  for (let i = 0; i < red.length; i++) {
    const grey = (wash * (red[i]! + green[i]! + blue[i]!)) / 3;
    const x = i % WIDTH;
    const dx = x - centreX;
    const dy = Math.floor(i / WIDTH) - centreY;
    const shade = glare ? 0.55 + (0.45 * x) / WIDTH : 1;
    const reflection = glare ? glare * Math.exp(-(dx * dx + dy * dy) / (2 * 170 ** 2)) : 0;
    red[i] = (red[i]! * (1 - wash) + grey) * gains[0] * shade + reflection;
    green[i] = (green[i]! * (1 - wash) + grey) * gains[1] * shade + reflection;
    blue[i] = (blue[i]! * (1 - wash) + grey) * gains[2] * shade + reflection;
  }
}

/** Gaussian blur in place; the frame's edges are repeated. */
function blur(plane: Float32Array, deviation: number): void {
  if (deviation <= 0) return;
  const radius = Math.ceil(3 * deviation);
  const bell = Float32Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * deviation ** 2)));
  const total = bell.reduce((sum, value) => sum + value, 0);
  const kernel = bell.map((value) => value / total);
  const line = new Float32Array(WIDTH + 2 * radius);
  for (let start = 0; start < plane.length; start += WIDTH) {
    line.fill(plane[start]!, 0, radius);
    line.set(plane.subarray(start, start + WIDTH), radius);
    line.fill(plane[start + WIDTH - 1]!, radius + WIDTH);
    for (let x = 0; x < WIDTH; x++) {
      let sum = 0;
      for (let k = 0; k < kernel.length; k++) sum += kernel[k]! * line[x + k]!;
      plane[start + x] = sum;
    }
  }
  const source = plane.slice();
  plane.fill(0);
  for (let y = 0; y < HEIGHT; y++) {
    const target = y * WIDTH;
    for (let k = 0; k < kernel.length; k++) {
      const from = Math.min(HEIGHT - 1, Math.max(0, y + k - radius)) * WIDTH;
      const share = kernel[k]!;
      for (let x = 0; x < WIDTH; x++) plane[target + x]! += share * source[from + x]!;
    }
  }
}

const TONES = Float32Array.from({ length: 16385 }, (_, i) => ((i / 16384) ** (1 / GAMMA) * 0.88 + 0.04) * 255);

/** An RGGB sensor: one colour a pixel, noise, bilinear interpolation of the others. 0..255. */
function sensor(light: Planar, noise: number, random: SeededRandom): Planar {
  const size = WIDTH * HEIGHT;
  const raw = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const filter = ((Math.floor(i / WIDTH) & 1) + (i % WIDTH & 1)) as 0 | 1 | 2;
    const value = TONES[(Math.min(1, Math.max(0, light.channels[filter][i]!)) * 16384 + 0.5) | 0]!;
    raw[i] = Math.min(255, Math.max(0, value + noise * random.normal()));
  }
  const channels = [new Float32Array(size), new Float32Array(size), new Float32Array(size)] as const;
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const i = y * WIDTH + x;
      const left = x > 0 ? -1 : 1;
      const right = x < WIDTH - 1 ? 1 : -1;
      const up = y > 0 ? -WIDTH : WIDTH;
      const down = y < HEIGHT - 1 ? WIDTH : -WIDTH;
      const own = raw[i]!;
      const across = (raw[i + left]! + raw[i + right]!) / 2;
      const along = (raw[i + up]! + raw[i + down]!) / 2;
      const filter = (y & 1) + (x & 1);
      if (filter === 1) {
        channels[1][i] = own;
        channels[0][i] = y & 1 ? along : across;
        channels[2][i] = y & 1 ? across : along;
      } else {
        const diagonal = (raw[i + left + up]! + raw[i + right + up]! + raw[i + left + down]! + raw[i + right + down]!) / 4;
        channels[1][i] = (across + along) / 2;
        channels[filter as 0 | 2][i] = own;
        channels[filter === 0 ? 2 : 0][i] = diagonal;
      }
    }
  }
  return { width: WIDTH, height: HEIGHT, channels };
}

function interleave(image: Planar): Frame {
  const [red, green, blue] = image.channels;
  const data = new Uint8ClampedArray(red.length * 4);
  for (let i = 0; i < red.length; i++) {
    data[i * 4] = red[i]!;
    data[i * 4 + 1] = green[i]!;
    data[i * 4 + 2] = blue[i]!;
    data[i * 4 + 3] = 255;
  }
  return { data, width: image.width, height: image.height };
}
