/**
 * The format information of a symbol, mask and error correction level, read by correlation: all 32 codewords of
 * ISO/IEC 18004 section 7.9 are compared with the brightness of both copies, so no module has to be called black or white.
 */
import type { Layout, Level } from "./layout.js";
import type { ModuleColours } from "./sample.js";

export interface Format {
  readonly mask: number;
  readonly level: Level;
}

interface FormatCodeword extends Format {
  readonly bits: number;
}

/** Levels by their two bits. */
const LEVEL_OF_BITS: readonly Level[] = ["M", "L", "H", "Q"];
const GENERATOR = 0x537;
const XOR_MASK = 0x5412;

const CODEWORDS: readonly FormatCodeword[] = Array.from({ length: 32 }, (_, data) => ({
  mask: data & 7,
  level: LEVEL_OF_BITS[data >> 3]!,
  bits: ((data << 10) | remainder(data)) ^ XOR_MASK,
}));

function remainder(data: number): number {
  let value = data << 10;
  for (let bit = 14; bit >= 10; bit--) if (value & (1 << bit)) value ^= GENERATOR << (bit - 10);
  return value;
}

/** All formats, the likeliest first. The colours have been normalised: black is 0 and white is 1. */
export function readFormat(colours: ModuleColours, layout: Layout): readonly Format[] {
  const darkness = layout.format.map((places) => places.reduce((sum, place) => sum + darknessAt(colours, layout, place), 0));
  const likelihood = (codeword: FormatCodeword): number =>
    darkness.reduce((sum, value, i) => sum + ((codeword.bits >> (14 - i)) & 1 ? value : -value), 0);
  return CODEWORDS.map((codeword) => ({ codeword, value: likelihood(codeword) }))
    .sort((a, b) => b.value - a.value)
    .map(({ codeword }) => codeword);
}

/** From -0.5 (white) to 0.5 (black). */
function darknessAt(colours: ModuleColours, layout: Layout, place: number): number {
  const at = ((Math.floor(place / layout.size) + 1) * colours.side + (place % layout.size) + 1) * 3;
  return 0.5 - (colours.rgb[at]! + colours.rgb[at + 1]! + colours.rgb[at + 2]!) / 3;
}
