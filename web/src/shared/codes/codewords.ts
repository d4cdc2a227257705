/**
 * From labelled modules to the payload: unmask, put the bits into codewords, take the interleaved blocks apart, correct
 * each, and parse the one byte segment that HCC2D knows. It returns a payload only when every block is a codeword and the
 * segment and all of its padding are as an encoder writes them: anything else is null, never a guess.
 */
import { COLOURS, isMasked, PLANES, type BlockPlan, type Layout } from "./layout.js";
import type { Labels } from "./palette.js";
import { correctBlock } from "./reed-solomon.js";

/** Shares of a block's check codewords spent on erasing its most doubtful codewords, tried in turn. */
const ERASED_SHARES = [0, 1 / 4, 1 / 2, 2 / 3] as const;

/** HCC2D 0.9.0 has byte mode only, with a 16-bit count in every version. */
const BYTE_MODE = 0b0100;
const HEADER_BITS = 20;
const PADDING = [0xec, 0x11] as const;

interface Codewords {
  readonly values: Uint8Array;
  /** Minus the logarithm of the likelihood that all of a codeword's bits are right: 0 is certain. */
  readonly doubts: Float32Array;
}

/** The payload under one mask and block plan, or null. */
export function decodeLabels(labels: Labels, layout: Layout, mask: number, plan: BlockPlan): Uint8Array | null {
  const codewords = collectCodewords(labels, layout, mask, plan.total);
  const message: number[] = [];
  const dataTotal = plan.data.reduce((sum, count) => sum + count, 0);
  for (let block = 0; block < plan.data.length; block++) {
    const places = blockPlaces(plan, block, dataTotal);
    const corrected = correct(codewords, places, plan.checks);
    if (!corrected) return null;
    for (let i = 0; i < plan.data[block]!; i++) message.push(corrected[i]!);
  }
  return parseSegment(Uint8Array.from(message));
}

function collectCodewords(labels: Labels, layout: Layout, mask: number, total: number): Codewords {
  const values = new Uint8Array(total);
  const doubts = new Float32Array(total);
  for (let i = 0; i < layout.order.length; i++) {
    const place = layout.order[i]!;
    const flip = isMasked(mask, Math.floor(place / layout.size), place % layout.size) ? COLOURS - 1 : 0;
    const index = labels.index[i]! ^ flip;
    for (let plane = 0; plane < PLANES; plane++) {
      const bit = i * PLANES + plane;
      const codeword = bit >> 3;
      if (codeword >= total) return { values, doubts };
      if ((index >> (PLANES - 1 - plane)) & 1) values[codeword]! |= 0x80 >> (bit & 7);
      doubts[codeword]! += Math.log1p(Math.exp(-labels.margin[bit]!));
    }
  }
  return { values, doubts };
}

/** Places of a block's codewords in the interleaved stream, data first (ISO/IEC 18004 section 7.6). */
function blockPlaces(plan: BlockPlan, block: number, dataTotal: number): number[] {
  const blocks = plan.data.length;
  const shortest = plan.data[0]!;
  const shorter = plan.data.filter((count) => count === shortest).length;
  const places: number[] = [];
  for (let i = 0; i < plan.data[block]!; i++) {
    places.push(i < shortest ? i * blocks + block : shortest * blocks + block - shorter);
  }
  for (let i = 0; i < plan.checks; i++) places.push(dataTotal + i * blocks + block);
  return places;
}

function correct(codewords: Codewords, places: readonly number[], checks: number): Uint8Array | null {
  const doubtful = places.map((_, i) => i).sort((a, b) => codewords.doubts[places[b]!]! - codewords.doubts[places[a]!]!);
  for (const share of ERASED_SHARES) {
    const block = Uint8Array.from(places, (place) => codewords.values[place]!);
    if (correctBlock(block, checks, doubtful.slice(0, Math.floor(checks * share)))) return block;
  }
  return null;
}

/** The payload of the data codewords: mode, count, bytes, terminator, padding, all checked. */
export function parseSegment(message: Uint8Array): Uint8Array | null {
  const bits = message.length * 8;
  if (bits < HEADER_BITS || message[0]! >> 4 !== BYTE_MODE) return null;
  const length = ((message[0]! & 0x0f) << 12) | (message[1]! << 4) | (message[2]! >> 4);
  const end = HEADER_BITS + length * 8;
  if (length === 0 || end > bits) return null;
  const payload = Uint8Array.from({ length }, (_, i) => ((message[i + 2]! & 0x0f) << 4) | (message[i + 3]! >> 4));
  // The segment ends on half a byte, so its terminator is the other half.
  if ((message[end >> 3]! & 0x0f) !== 0) return null;
  for (let i = (end >> 3) + 1, pad = 0; i < message.length; i++, pad++) if (message[i] !== PADDING[pad % 2]) return null;
  return payload;
}
