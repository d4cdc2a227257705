/**
 * Where everything is in a symbol: QR Code's function patterns (ISO/IEC 18004 section 6.3), the order of its data modules
 * (section 7.7.3), its masks (section 7.8.2), its blocks (table 9), and the border of reference colours that HCC2D adds
 * (HCC2D 0.9.0, the Color Palette Pattern). Tables and arithmetic only; layouts are computed once a version and kept.
 */

/** The error correction levels of QR Code, in the order of `BLOCKS`. */
export const LEVELS = "LMQH";
export type Level = "L" | "M" | "Q" | "H";

/** Colours of an HCC2D8 symbol, and bits a module. */
export const COLOURS = 8;
export const PLANES = 3;

/** The largest version that is read: 97 modules a side, 1,992 bytes at level M. Bounds the work of a frame. */
export const MAX_VERSION = 20;

/** A module outside of the QR part, whose colour says what palette index looks like. Row and column from -1 to size. */
export interface BorderModule {
  readonly row: number;
  readonly column: number;
  readonly index: number;
}

export interface Layout {
  readonly version: number;
  /** Modules a side, without the border. */
  readonly size: number;
  /** For each module, row by row: 1 always dark, -1 always light, 0 depends on the symbol. */
  readonly known: Int8Array;
  /** Positions of the data modules, in the order that bits are placed. */
  readonly order: Uint16Array;
  readonly border: readonly BorderModule[];
  /** The two places of each format information bit, highest bit first. */
  readonly format: readonly (readonly [number, number])[];
}

export interface BlockPlan {
  /** Codewords in the whole symbol. */
  readonly total: number;
  /** Check codewords in each block. */
  readonly checks: number;
  /** Data codewords of each block. */
  readonly data: readonly number[];
}

/** Check codewords a block and number of blocks, for levels L, M, Q, H of versions 1 to 20. */
const BLOCKS: readonly (readonly number[])[] = [
  [7, 1, 10, 1, 13, 1, 17, 1],
  [10, 1, 16, 1, 22, 1, 28, 1],
  [15, 1, 26, 1, 18, 2, 22, 2],
  [20, 1, 18, 2, 26, 2, 16, 4],
  [26, 1, 24, 2, 18, 4, 22, 4],
  [18, 2, 16, 4, 24, 4, 28, 4],
  [20, 2, 18, 4, 18, 6, 26, 5],
  [24, 2, 22, 4, 22, 6, 26, 6],
  [30, 2, 22, 5, 20, 8, 24, 8],
  [18, 4, 26, 5, 24, 8, 28, 8],
  [20, 4, 30, 5, 28, 8, 24, 11],
  [24, 4, 22, 8, 26, 10, 28, 11],
  [26, 4, 22, 9, 24, 12, 22, 16],
  [30, 4, 24, 9, 20, 16, 24, 16],
  [22, 6, 24, 10, 30, 12, 24, 18],
  [24, 6, 28, 10, 24, 17, 30, 16],
  [28, 6, 28, 11, 28, 16, 28, 19],
  [30, 6, 26, 13, 28, 18, 28, 21],
  [28, 7, 26, 14, 26, 21, 26, 25],
  [28, 8, 26, 16, 30, 20, 28, 25],
];

const MASKS: readonly ((row: number, column: number) => boolean)[] = [
  (row, column) => (row + column) % 2 === 0,
  (row) => row % 2 === 0,
  (_row, column) => column % 3 === 0,
  (row, column) => (row + column) % 3 === 0,
  (row, column) => ((row >> 1) + Math.floor(column / 3)) % 2 === 0,
  (row, column) => (row * column) % 6 === 0,
  (row, column) => (row * column) % 6 < 3,
  (row, column) => (row + column + ((row * column) % 3)) % 2 === 0,
];

const layouts = new Map<number, Layout>();

/** The layout of a version from 1 to `MAX_VERSION`. */
export function layoutOf(version: number): Layout {
  let layout = layouts.get(version);
  if (!layout) {
    layout = buildLayout(version);
    layouts.set(version, layout);
  }
  return layout;
}

/** Whether a mask turns the module at this position around. */
export function isMasked(mask: number, row: number, column: number): boolean {
  return MASKS[mask]!(row, column);
}

/** The blocks of an HCC2D8 symbol: QR's own, three times over. */
export function blockPlan(layout: Layout, level: Level): BlockPlan {
  const row = BLOCKS[layout.version - 1]!;
  const place = LEVELS.indexOf(level) * 2;
  const checks = row[place]!;
  const blocks = row[place + 1]! * PLANES;
  const total = (layout.order.length >> 3) * PLANES;
  const longer = total % blocks;
  const shorter = Math.floor(total / blocks) - checks;
  const data = Array.from({ length: blocks }, (_, i) => (i < blocks - longer ? shorter : shorter + 1));
  return { total, checks, data };
}

function buildLayout(version: number): Layout {
  const size = 17 + 4 * version;
  const known = new Int8Array(size * size);
  const reserved = new Uint8Array(size * size);
  const set = (row: number, column: number, dark: boolean): void => {
    if (row < 0 || column < 0 || row >= size || column >= size) return;
    known[row * size + column] = dark ? 1 : -1;
    reserved[row * size + column] = 1;
  };
  for (let i = 8; i < size - 8; i++) {
    set(6, i, i % 2 === 0);
    set(i, 6, i % 2 === 0);
  }
  for (const [row, column] of finderCentres(size)) {
    for (let dy = -4; dy <= 4; dy++) {
      for (let dx = -4; dx <= 4; dx++) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        set(row + dy, column + dx, ring !== 2 && ring !== 4);
      }
    }
  }
  for (const [row, column] of alignmentCentres(version)) {
    for (let dy = -2; dy <= 2; dy++) {
      for (let dx = -2; dx <= 2; dx++) set(row + dy, column + dx, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
    }
  }
  set(size - 8, 8, true);
  const format = formatPlaces(size);
  for (const place of format.flat()) reserved[place] = 1;
  if (version >= 7) {
    for (let i = 0; i < 18; i++) {
      const [a, b] = [Math.floor(i / 3), size - 11 + (i % 3)];
      reserved[a * size + b] = 1;
      reserved[b * size + a] = 1;
    }
  }
  return { version, size, known, order: dataOrder(size, reserved), border: borderModules(size), format };
}

function finderCentres(size: number): readonly (readonly [number, number])[] {
  return [
    [3, 3],
    [3, size - 4],
    [size - 4, 3],
  ];
}

/** Rows and columns of the alignment patterns' centres (ISO/IEC 18004 annex E; no version up to 20 breaks the even spacing). */
function alignmentCentres(version: number): readonly (readonly [number, number])[] {
  if (version < 2) return [];
  const count = Math.floor(version / 7) + 2;
  const last = version * 4 + 10;
  const step = Math.floor((version * 4 + count * 2 + 1) / (count * 2 - 2)) * 2;
  const places = [6];
  for (let i = count - 2; i >= 0; i--) places.push(last - i * step);
  return places.flatMap((row) =>
    places.filter((column) => !isFinderPlace(row, column, last)).map((column) => [row, column] as const),
  );
}

function isFinderPlace(row: number, column: number, last: number): boolean {
  return (row === 6 && (column === 6 || column === last)) || (row === last && column === 6);
}

/** Both places of bits 14 to 0 of the format information (ISO/IEC 18004 figure 25). */
function formatPlaces(size: number): readonly (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = [];
  for (let bit = 14; bit >= 0; bit--) {
    const first = bit < 6 ? [bit, 8] : bit < 8 ? [bit + 1, 8] : bit === 8 ? [8, 7] : [8, 14 - bit];
    const second = bit < 8 ? [8, size - 1 - bit] : [size - 15 + bit, 8];
    pairs.push([first[0]! * size + first[1]!, second[0]! * size + second[1]!]);
  }
  return pairs;
}

/** Up and down in columns two wide, from the right; the vertical timing pattern's column is stepped over. */
function dataOrder(size: number, reserved: Uint8Array): Uint16Array {
  const order: number[] = [];
  let upwards = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right--;
    for (let i = 0; i < size; i++) {
      const row = upwards ? size - 1 - i : i;
      for (const column of [right, right - 1]) {
        const place = row * size + column;
        if (!reserved[place]) order.push(place);
      }
    }
    upwards = !upwards;
  }
  return Uint16Array.from(order);
}

/** HCC2D 0.9.0: the colours run along each side in turn; where no run is, the border is white. */
function borderModules(size: number): readonly BorderModule[] {
  const modules: BorderModule[] = [];
  const white = COLOURS - 1;
  for (let i = 0; i < size; i++) {
    const top = i >= 8 && i < size - 8 ? (i - 8) % COLOURS : white;
    const left = i >= 8 && i < size - 8 ? (size - 9 - i) % COLOURS : white;
    const after = i >= 8 ? (i - 8) % COLOURS : white;
    modules.push(
      { row: -1, column: i, index: top },
      { row: i, column: -1, index: left },
      { row: size, column: i, index: after },
      { row: i, column: size, index: after },
    );
  }
  return modules;
}
