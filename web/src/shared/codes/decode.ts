/**
 * Reads one colour symbol whose corners are roughly known. The steps, in order: align the corners, sample the modules,
 * normalise the light, read the format information, take the palette from the border, classify, decode; and, when that does
 * not decode, equalise and decode again. Called by `reader.ts` for each candidate that was located.
 */
import { align } from "./align.js";
import { decodeLabels } from "./codewords.js";
import { equalise } from "./equalise.js";
import { readFormat, type Format } from "./format.js";
import { cornersOf, squareToQuad, type Homography } from "./geometry.js";
import { blockPlan, layoutOf, type Layout } from "./layout.js";
import { classify, palettesOf, type Labels } from "./palette.js";
import type { Plane } from "./planes.js";
import { fitCorners } from "./refine.js";
import { normaliseLight, sampleModules } from "./sample.js";
import type { Corners, Frame } from "./types.js";

/** A symbol's place, to a hundredth of a module. */
export interface Placed {
  readonly layout: Layout;
  readonly map: Homography;
  readonly corners: Corners;
}

/** Share of the function patterns' variance that a fit has to explain: below the first, look around; below the second, give up. */
const GOOD_FIT = 0.75;
const LEAST_FIT = 0.4;
const FORMATS_TRIED = 2;
/** Most symbols decode after the first rounds of equalising; the others get more. */
const EQUALISING_ROUNDS = [2, 5] as const;

/** Where exactly the symbol of this version is, or null when there is none near these corners. */
export function placeSymbol(image: Plane, corners: Corners, version: number): Placed | null {
  const layout = layoutOf(version);
  const rough = squareToQuad(corners, layout.size);
  if (!rough) return null;
  let best = align(image, rough, layout);
  if (!best || best.explained < GOOD_FIT) {
    const fit = fitCorners(image, corners, layout);
    const refined = fit && align(image, fit, layout);
    if (refined && refined.explained > (best?.explained ?? 0)) best = refined;
  }
  if (!best || best.explained < LEAST_FIT) return null;
  return { layout, map: best.map, corners: cornersOf(best.map, layout.size) };
}

/** The payload of the symbol at this place, or null when it cannot be read. */
export function readSymbol(frame: Frame, { layout, map }: Placed): Uint8Array | null {
  const colours = sampleModules(frame, map, layout);
  normaliseLight(colours, layout);
  const formats = readFormat(colours, layout).slice(0, FORMATS_TRIED);
  for (const palette of palettesOf(colours, layout)) {
    const labels = classify(colours, layout, palette);
    let bytes = decodeAny(labels, layout, formats);
    for (const rounds of EQUALISING_ROUNDS) {
      if (bytes || !equalise(colours, layout, { labels, palette, rounds })) break;
      bytes = decodeAny(labels, layout, formats);
    }
    if (bytes) return bytes;
  }
  return null;
}

function decodeAny(labels: Labels, layout: Layout, formats: readonly Format[]): Uint8Array | null {
  for (const { mask, level } of formats) {
    const bytes = decodeLabels(labels, layout, mask, blockPlan(layout, level));
    if (bytes) return bytes;
  }
  return null;
}
