/**
 * Looks for the three finder patterns of a QR-like symbol in one plane: black and white by the local mean, runs of
 * 1:1:3:1:1 along rows that hold along columns too, clusters, and triples that could be corners. It finds symbols that zxing
 * gives up on (strong noise, steep tilt). Called by `locate.ts`; bounded by the candidates that it keeps.
 */
import { distance } from "./geometry.js";
import { boxMeans, type Plane } from "./planes.js";
import type { Point } from "./types.js";

/** A finder pattern: its middle and the length of its modules, in pixels of the frame. */
export interface Finder {
  readonly centre: Point;
  readonly moduleSize: number;
  /** Rows that crossed it in the right proportions. */
  readonly count: number;
}

/** Three finder patterns in the symbol's own order. */
export interface Triple {
  readonly topLeft: Finder;
  readonly topRight: Finder;
  readonly bottomLeft: Finder;
}

interface Cluster {
  x: number;
  y: number;
  moduleSize: number;
  count: number;
}

/** The window of the local mean is this share of the shorter side. */
const WINDOW_SHARE = 1 / 7;
const BLOCKS_A_WINDOW = 7;
/** Dark is below this share of the local mean, less a few levels: the noise of an empty page is not dark. */
const LIGHT_SHARE = 0.94;
const LEAST_DEPTH = 4;
/** How far a run of one module may be off, in modules. */
const TOLERANCE = 0.65;
const MOST_CLUSTERS = 400;
const FINDERS_KEPT = 7;
const TRIPLES_KEPT = 4;
const MOST_IRREGULAR = 1.8;

/** Triples of finder patterns, the likeliest first. */
export function findTriples(plane: Plane): Triple[] {
  const dark = binarise(plane);
  const clusters: Cluster[] = [];
  const runs = new Int32Array(5);
  for (let y = 0; y < plane.height; y++) scanRow(dark, plane, y, runs, clusters);
  const finders = clusters
    .filter((cluster) => cluster.count >= 2)
    .sort((a, b) => b.count - a.count)
    .slice(0, FINDERS_KEPT)
    .map((cluster) => toFinder(cluster, plane.scale));
  return combine(finders);
}

function toFinder({ x, y, moduleSize, count }: Cluster, scale: number): Finder {
  return { centre: [x * scale, y * scale], moduleSize: moduleSize * scale, count };
}

/** One byte a pixel, 1 where darker than the mean of the blocks around it. */
function binarise({ pixels, width, height }: Plane): Uint8Array {
  const block = Math.max(2, Math.round((Math.min(width, height) * WINDOW_SHARE) / BLOCKS_A_WINDOW));
  const columns = Math.floor(width / block);
  const rows = Math.floor(height / block);
  const thresholds = boxMeans(blockMeans(pixels, width, block, columns, rows), columns, rows, BLOCKS_A_WINDOW >> 1);
  for (let i = 0; i < thresholds.length; i++) thresholds[i] = thresholds[i]! * LIGHT_SHARE - LEAST_DEPTH;
  const dark = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.min(rows - 1, Math.floor(y / block)) * columns;
    for (let column = 0; column < columns; column++) {
      const threshold = thresholds[row + column]!;
      const end = y * width + (column === columns - 1 ? width : (column + 1) * block);
      for (let at = y * width + column * block; at < end; at++) if (pixels[at]! < threshold) dark[at] = 1;
    }
  }
  return dark;
}

function blockMeans(pixels: Uint8Array, width: number, block: number, columns: number, rows: number): Float32Array {
  const means = new Float32Array(columns * rows);
  for (let y = 0; y < rows * block; y++) {
    const row = Math.floor(y / block) * columns;
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      const start = y * width + column * block;
      for (let at = start; at < start + block; at++) sum += pixels[at]!;
      means[row + column]! += sum / (block * block);
    }
  }
  return means;
}

/** Feeds one row's runs through a window of five; each that looks like a finder is checked across. */
function scanRow(dark: Uint8Array, plane: Plane, y: number, runs: Int32Array, clusters: Cluster[]): void {
  const { width } = plane;
  const row = y * width;
  runs.fill(0);
  let start = 0;
  for (let x = 1; x <= width; x++) {
    if (x < width && dark[row + x] === dark[row + x - 1]) continue;
    runs.copyWithin(0, 1);
    runs[4] = x - start;
    start = x;
    if (dark[row + x - 1] !== 1 || runs[0] === 0) continue;
    const size = finderSize(runs);
    if (size === 0) continue;
    const centre = x - runs[4] - runs[3]! - runs[2]! / 2;
    const vertical = crossCheck(dark, plane, centre | 0, y, size);
    if (vertical) record(clusters, centre, vertical.centre, (size + vertical.size) / 2);
  }
}

/** Module size of five runs in the proportions 1:1:3:1:1, or 0. */
function finderSize(runs: Int32Array): number {
  const total = runs[0]! + runs[1]! + runs[2]! + runs[3]! + runs[4]!;
  if (total < 7) return 0;
  const size = total / 7;
  const slack = size * TOLERANCE + 0.5;
  const fits =
    Math.abs(runs[0]! - size) < slack &&
    Math.abs(runs[1]! - size) < slack &&
    Math.abs(runs[2]! - 3 * size) < 2 * slack &&
    Math.abs(runs[3]! - size) < slack &&
    Math.abs(runs[4]! - size) < slack;
  return fits ? size : 0;
}

/** The same five runs along the column through a row's candidate. */
function crossCheck(
  dark: Uint8Array,
  { width, height }: Plane,
  x: number,
  y: number,
  expected: number,
): { readonly centre: number; readonly size: number } | null {
  if (dark[y * width + x] !== 1) return null;
  const most = Math.ceil(expected * 8);
  const walk = (from: number, step: number, colour: number): number => {
    let at = from;
    while (at >= 0 && at < height && Math.abs(at - y) <= most && dark[at * width + x] === colour) at += step;
    return at;
  };
  const up1 = walk(y, -1, 1);
  const up2 = walk(up1, -1, 0);
  const up3 = walk(up2, -1, 1);
  const down1 = walk(y, 1, 1);
  const down2 = walk(down1, 1, 0);
  const down3 = walk(down2, 1, 1);
  const size = finderSize(Int32Array.of(up2 - up3, up1 - up2, down1 - up1 - 1, down2 - down1, down3 - down2));
  if (size === 0 || size > expected * 3 || expected > size * 3) return null;
  return { centre: (up1 + down1 + 1) / 2, size };
}

function record(clusters: Cluster[], x: number, y: number, size: number): void {
  for (const cluster of clusters) {
    const reach = 2 * Math.max(size, cluster.moduleSize);
    if (Math.abs(cluster.x - x) > reach || Math.abs(cluster.y - y) > reach) continue;
    const weight = 1 / ++cluster.count;
    cluster.x += (x - cluster.x) * weight;
    cluster.y += (y - cluster.y) * weight;
    cluster.moduleSize += (size - cluster.moduleSize) * weight;
    return;
  }
  if (clusters.length < MOST_CLUSTERS) clusters.push({ x, y, moduleSize: size, count: 1 });
}

/** All threes that could be the corners of one symbol seen in perspective, the most regular and best supported first. */
function combine(finders: readonly Finder[]): Triple[] {
  const triples: { triple: Triple; rank: number }[] = [];
  for (const topLeft of finders) {
    for (const topRight of finders) {
      for (const bottomLeft of finders) {
        if (topLeft === topRight || topLeft === bottomLeft || topRight === bottomLeft) continue;
        const irregularity = irregularityOf(topLeft, topRight, bottomLeft);
        if (irregularity > MOST_IRREGULAR) continue;
        const support = Math.log(Math.min(topLeft.count, topRight.count, bottomLeft.count));
        triples.push({ triple: { topLeft, topRight, bottomLeft }, rank: irregularity - support });
      }
    }
  }
  triples.sort((a, b) => a.rank - b.rank);
  return triples.slice(0, TRIPLES_KEPT).map(({ triple }) => triple);
}

/** How far three finders are from an upright, square corner; infinite when they turn the wrong way round. */
function irregularityOf(topLeft: Finder, topRight: Finder, bottomLeft: Finder): number {
  const [x0, y0] = topLeft.centre;
  const [ax, ay] = [topRight.centre[0] - x0, topRight.centre[1] - y0];
  const [bx, by] = [bottomLeft.centre[0] - x0, bottomLeft.centre[1] - y0];
  const a = distance(topLeft.centre, topRight.centre);
  const b = distance(topLeft.centre, bottomLeft.centre);
  const sizes = [topLeft, topRight, bottomLeft].map((finder) => finder.moduleSize);
  const largest = Math.max(...sizes);
  if (Math.min(a, b) < 10 * largest || Math.max(a, b) > 120 * largest) return Infinity;
  if (ax * by - ay * bx <= 0) return Infinity;
  const cosine = Math.abs(ax * bx + ay * by) / (a * b);
  return cosine + Math.abs(Math.log(a / b)) + Math.log(largest / Math.min(...sizes));
}
