/**
 * Makes corners of a symbol out of three finder patterns: guesses its version from their distance, and looks for the place of
 * the fourth corner where timing and alignment patterns fit best. Called by `reader.ts` when zxing's own corners do not read.
 */
import { findTriples, type Triple } from "./finders.js";
import { cornersOf, distance, quadToQuad, type Homography } from "./geometry.js";
import { layoutOf, MAX_VERSION, type Layout } from "./layout.js";
import type { Plane } from "./planes.js";
import { quickContrast } from "./refine.js";
import type { Corners, Point } from "./types.js";

/** Corners that may be those of a symbol of this version. */
export interface Candidate {
  readonly corners: Corners;
  readonly version: number;
  /** How well it fits: light less dark, of 255. */
  readonly contrast: number;
}

/** How far the fourth point is looked for, and in what steps, in modules. */
const REACH = 4.5;
const STEP = 0.9;
/** Contrast a candidate has to have, of 255. */
const LEAST_CONTRAST = 10;
/** With this contrast it is a symbol, and no other triple needs to be looked at. */
const CLEAR_CONTRAST = 70;

/** Candidates from finder patterns in `plane`; `image` is the frame's luma, which fits are judged on. */
export function locateByFinders(plane: Plane, image: Plane): Candidate[] {
  const candidates: Candidate[] = [];
  for (const triple of findTriples(plane)) {
    const candidate = complete(triple, image);
    if (candidate) candidates.push(candidate);
    if (candidate && candidate.contrast > CLEAR_CONTRAST) break;
  }
  return candidates.sort((a, b) => b.contrast - a.contrast);
}

/** The version and fourth corner that fit the image best. */
function complete(triple: Triple, image: Plane): Candidate | null {
  let best: { map: Homography; layout: Layout; contrast: number } | null = null;
  for (const version of versionsOf(triple)) {
    const layout = layoutOf(version);
    for (const map of mapsOf(triple, layout)) {
      const contrast = quickContrast(image, map, layout);
      if (contrast > (best?.contrast ?? LEAST_CONTRAST)) best = { map, layout, contrast };
    }
  }
  if (!best) return null;
  return { corners: cornersOf(best.map, best.layout.size), version: best.layout.version, contrast: best.contrast };
}

/** The versions that the finders' distance allows: the nearest one and its neighbours. */
function versionsOf({ topLeft, topRight, bottomLeft }: Triple): number[] {
  const across = (2 * distance(topLeft.centre, topRight.centre)) / (topLeft.moduleSize + topRight.moduleSize);
  const down = (2 * distance(topLeft.centre, bottomLeft.centre)) / (topLeft.moduleSize + bottomLeft.moduleSize);
  const guess = Math.round(((across + down) / 2 + 7 - 17) / 4);
  return [guess, guess - 1, guess + 1].filter((version) => version >= 1 && version <= MAX_VERSION);
}

/** Homographies with the finders in place and the fourth point somewhere around where an affine map puts it. */
function mapsOf({ topLeft, topRight, bottomLeft }: Triple, { size }: Layout): Homography[] {
  const near = 3.5;
  const far = size - 3.5;
  const last = size - 6.5;
  const span = far - near;
  const share = (last - near) / span;
  const affine = (k: 0 | 1): number =>
    topLeft.centre[k] + share * (topRight.centre[k] - topLeft.centre[k] + bottomLeft.centre[k] - topLeft.centre[k]);
  const rightward: Point = [(topRight.centre[0] - topLeft.centre[0]) / span, (topRight.centre[1] - topLeft.centre[1]) / span];
  const downward: Point = [(bottomLeft.centre[0] - topLeft.centre[0]) / span, (bottomLeft.centre[1] - topLeft.centre[1]) / span];
  const from: Corners = [
    [near, near],
    [far, near],
    [last, last],
    [near, far],
  ];
  const maps: Homography[] = [];
  for (let dy = -REACH; dy <= REACH; dy += STEP) {
    for (let dx = -REACH; dx <= REACH; dx += STEP) {
      const fourth: Point = [
        affine(0) + dx * rightward[0] + dy * downward[0],
        affine(1) + dx * rightward[1] + dy * downward[1],
      ];
      const map = quadToQuad(from, [topLeft.centre, topRight.centre, fourth, bottomLeft.centre]);
      if (map) maps.push(map);
    }
  }
  return maps;
}
