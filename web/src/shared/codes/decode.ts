/**
 * Reads one colour symbol whose corners are roughly known. The steps, in order: fit the corners, sample the modules,
 * normalise the light, read the format information, take the palette, classify, decode. Called by `reader.ts` for each
 * candidate that the finder reports.
 */
import { decodeLabels } from "./codewords.js";
import { align } from "./align.js";
import { equalise } from "./equalise.js";
import { readFormat, type Format } from "./format.js";
import { cornersOf } from "./geometry.js";
import { blockPlan, layoutOf, type Layout } from "./layout.js";
import { borderPalette, classify, type Labels } from "./palette.js";
import type { Plane } from "./planes.js";
import { fitCorners } from "./refine.js";
import { normaliseLight, sampleModules } from "./sample.js";
import type { Corners, Frame } from "./types.js";

/** Least mean difference of light and dark modules, of 255, for a symbol to be worth decoding. */
const LEAST_CONTRAST = 12;
const FORMATS_TRIED = 2;

export interface Decoded {
  readonly bytes: Uint8Array;
  readonly corners: Corners;
}

/** The payload of the symbol of this version at these corners, or null when it cannot be read. */
export function decodeColour(frame: Frame, image: Plane, corners: Corners, version: number): Decoded | null {
  const layout: Layout = layoutOf(version);
  const fit = fitCorners(image, corners, layout);
  if (!fit || fit.contrast < LEAST_CONTRAST) return null;
  const aligned = align(image, fit.map, layout);
  if (!aligned) return null;
  const colours = sampleModules(frame, aligned.map, layout);
  normaliseLight(colours, layout);
  const reference = borderPalette(colours, layout);
  const labels = classify(colours, layout, reference);
  const formats = readFormat(colours, layout).slice(0, FORMATS_TRIED);
  const bytes = decodeAny(labels, layout, formats);
  if (bytes) return { bytes, corners: cornersOf(aligned.map, layout.size) };
  if (!equalise(colours, layout, reference, labels)) return null;
  const better = decodeAny(labels, layout, formats);
  return better && { bytes: better, corners: cornersOf(aligned.map, layout.size) };
}

function decodeAny(labels: Labels, layout: Layout, formats: readonly Format[]): Uint8Array | null {
  for (const { mask, level } of formats) {
    const bytes = decodeLabels(labels, layout, mask, blockPlan(layout, level));
    if (bytes) return bytes;
  }
  return null;
}
