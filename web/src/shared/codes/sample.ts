/**
 * Takes the colour of every module out of the frame, border included, and divides the light out of it: shading, white
 * balance and glare are measured on the modules that are known to be black or white. Called by `decode.ts`.
 */
import { cornersOf, moduleLength, type Homography } from "./geometry.js";
import type { Layout } from "./layout.js";
import type { Frame } from "./types.js";

/** Colours of (size + 2)² modules, border first row and column, three numbers each. */
export interface ModuleColours {
  /** Modules a side with the border. */
  readonly side: number;
  readonly rgb: Float32Array;
  /** How far each colour can be trusted, 0..1: little where a reflection has left no contrast. */
  readonly trust: Float32Array;
}

/** Points a module is sampled at, away from its middle, in modules: more of them where a module has pixels enough. */
const FEW = [-0.18, 0, 0.18] as const;
const MANY = [-0.27, -0.135, 0, 0.135, 0.27] as const;
const PIXELS_FOR_MANY = 5.5;

/** The mean colour of the middle of each module, 0..255, bilinear. Places outside of the frame take its nearest pixel. */
export function sampleModules(frame: Frame, map: Homography, layout: Layout): ModuleColours {
  const side = layout.size + 2;
  const rgb = new Float32Array(side * side * 3);
  const { data, width, height } = frame;
  const [a, b, c, d, e, f, g, h] = map as unknown as readonly [number, number, number, number, number, number, number, number];
  const offsets = moduleLength(cornersOf(map, layout.size), layout.size) < PIXELS_FOR_MANY ? FEW : MANY;
  const points = offsets.length ** 2;
  const maxX = width - 1.001;
  const maxY = height - 1.001;
  const stride = width * 4;
  for (let place = 0; place < side * side; place++) {
    let red = 0;
    let green = 0;
    let blue = 0;
    for (const dy of offsets) {
      const my = Math.floor(place / side) - 0.5 + dy;
      for (const dx of offsets) {
        const mx = (place % side) - 0.5 + dx;
        const w = 1 / (g * mx + h * my + 1);
        const x = Math.min(maxX, Math.max(0, (a * mx + b * my + c) * w - 0.5));
        const y = Math.min(maxY, Math.max(0, (d * mx + e * my + f) * w - 0.5));
        const left = x | 0;
        const top = y | 0;
        const u = x - left;
        const v = y - top;
        const i = (top * width + left) * 4;
        const nw = (1 - u) * (1 - v);
        const ne = u * (1 - v);
        const sw = (1 - u) * v;
        const se = u * v;
        red += data[i]! * nw + data[i + 4]! * ne + data[i + stride]! * sw + data[i + stride + 4]! * se;
        green += data[i + 1]! * nw + data[i + 5]! * ne + data[i + stride + 1]! * sw + data[i + stride + 5]! * se;
        blue += data[i + 2]! * nw + data[i + 6]! * ne + data[i + stride + 2]! * sw + data[i + stride + 6]! * se;
      }
    }
    rgb[place * 3] = red / points;
    rgb[place * 3 + 1] = green / points;
    rgb[place * 3 + 2] = blue / points;
  }
  return { side, rgb, trust: new Float32Array(side * side).fill(1) };
}

/** Modules between two nodes of the grid that light is estimated on. */
const NODE_STEP = 4;
/** White less black, of white, that lets a colour be trusted fully. */
const GOOD_CONTRAST = 0.6;
/** Least difference of white and black that is believed, of 255. */
const LEAST_SPAN = 6;

/**
 * Puts black at 0 and white at 1 in each channel, everywhere in the symbol. In place. Both levels are means of the known
 * modules around, weighted by 1 / distance³, on a grid of nodes and bilinear between them.
 */
export function normaliseLight(colours: ModuleColours, layout: Layout): void {
  const { side, rgb, trust } = colours;
  const nodes = Math.ceil((side - 1) / NODE_STEP) + 1;
  const white = levelGrid(colours, layout, -1, nodes);
  const black = levelGrid(colours, layout, 1, nodes);
  for (let row = 0; row < side; row++) {
    const y = Math.min(nodes - 2, Math.floor(row / NODE_STEP));
    const v = row / NODE_STEP - y;
    for (let column = 0; column < side; column++) {
      const x = Math.min(nodes - 2, Math.floor(column / NODE_STEP));
      const u = column / NODE_STEP - x;
      const node = (y * nodes + x) * 3;
      const place = (row * side + column) * 3;
      let contrast = 0;
      for (let k = 0; k < 3; k++) {
        const dark = bilinear(black, node + k, nodes * 3, u, v);
        const light = bilinear(white, node + k, nodes * 3, u, v);
        const value = (rgb[place + k]! - dark) / Math.max(LEAST_SPAN, light - dark);
        rgb[place + k] = Math.min(1.4, Math.max(-0.3, value));
        contrast = Math.max(contrast, (light - dark) / Math.max(1, light));
      }
      trust[row * side + column] = Math.min(1, Math.max(0, contrast / GOOD_CONTRAST)) ** 2;
    }
  }
}

function bilinear(grid: Float32Array, at: number, stride: number, u: number, v: number): number {
  const top = grid[at]! * (1 - u) + grid[at + 3]! * u;
  const bottom = grid[at + stride]! * (1 - u) + grid[at + stride + 3]! * u;
  return top * (1 - v) + bottom * v;
}

function levelGrid(colours: ModuleColours, layout: Layout, sign: number, nodes: number): Float32Array {
  const { side, rgb } = colours;
  const places: number[] = [];
  layout.known.forEach((value, place) => {
    if (value === sign) places.push((Math.floor(place / layout.size) + 1) * side + (place % layout.size) + 1);
  });
  const soft = (layout.size * 0.06) ** 2;
  const grid = new Float32Array(nodes * nodes * 3);
  for (let node = 0; node < nodes * nodes; node++) {
    const row = Math.floor(node / nodes) * NODE_STEP;
    const column = (node % nodes) * NODE_STEP;
    let weights = 0;
    let red = 0;
    let green = 0;
    let blue = 0;
    for (const place of places) {
      const dy = Math.floor(place / side) - row;
      const dx = (place % side) - column;
      const squared = dx * dx + dy * dy + soft;
      const weight = 1 / (squared * Math.sqrt(squared));
      weights += weight;
      red += weight * rgb[place * 3]!;
      green += weight * rgb[place * 3 + 1]!;
      blue += weight * rgb[place * 3 + 2]!;
    }
    grid[node * 3] = red / weights;
    grid[node * 3 + 1] = green / weights;
    grid[node * 3 + 2] = blue / weights;
  }
  return grid;
}
