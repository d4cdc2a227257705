import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../bench/random.js";
import { decodeLabels, parseSegment } from "../../src/shared/codes/codewords.js";
import { blockPlan, layoutOf, LEVELS, MAX_VERSION, type Level } from "../../src/shared/codes/layout.js";
import type { Labels } from "../../src/shared/codes/palette.js";
import { colourVectors, type ColourVector } from "./support.js";

function labelsOf({ symbol, version }: ColourVector): Labels {
  const layout = layoutOf(version);
  const index = Uint8Array.from(layout.order, (place) => symbol.rows[Math.floor(place / layout.size) + 1]![(place % layout.size) + 1]!);
  return { index, margin: new Float32Array(index.length * 3).fill(9) };
}

function decode(vector: ColourVector, labels: Labels, mask = vector.mask, level: Level = "M"): Uint8Array | null {
  const layout = layoutOf(vector.version);
  return decodeLabels(labels, layout, mask, blockPlan(layout, level));
}

describe("the layout of a symbol", () => {
  it("agrees with the reference encoder's function patterns and border", () => {
    for (const { symbol, version } of colourVectors()) {
      const { size, known, border } = layoutOf(version);
      expect(symbol.rows).toHaveLength(size + 2);
      for (const { row, column, index } of border) expect(symbol.rows[row + 1]![column + 1]).toBe(index);
      known.forEach((sign, place) => {
        if (sign === 0) return;
        expect(symbol.rows[Math.floor(place / size) + 1]![(place % size) + 1]).toBe(sign > 0 ? 0 : 7);
      });
    }
  });

  it("fills its blocks exactly, in every version and level", () => {
    for (let version = 1; version <= MAX_VERSION; version++) {
      const layout = layoutOf(version);
      for (const level of LEVELS as Iterable<Level>) {
        const plan = blockPlan(layout, level);
        const data = plan.data.reduce((sum, count) => sum + count, 0);
        expect(data + plan.checks * plan.data.length).toBe(plan.total);
        expect(Math.max(...plan.data) + plan.checks).toBeLessThanOrEqual(255);
        expect(Math.max(...plan.data) - Math.min(...plan.data)).toBeLessThanOrEqual(1);
      }
    }
  });
});

describe("codewords", () => {
  it("decodes the reference encoder's symbols", () => {
    for (const vector of colourVectors()) expect(decode(vector, labelsOf(vector))).toEqual(vector.payload);
  });

  it("decodes with one module in forty wrong, and more when it knows which are doubtful", () => {
    const random = new SeededRandom(5);
    for (const vector of colourVectors().filter(({ version }) => version >= 3)) {
      const labels = labelsOf(vector);
      for (let i = 0; i < labels.index.length / 40; i++) {
        labels.index[Math.floor(random.between(0, labels.index.length))]! ^= 1 + Math.floor(random.between(0, 7));
      }
      expect(decode(vector, labels)).toEqual(vector.payload);
    }
    const vector = colourVectors().find(({ version }) => version === 3)!;
    const labels = labelsOf(vector);
    for (let i = 0; i < 33; i++) {
      labels.index[i * 17]! ^= 5;
      labels.margin.fill(0.1, i * 51, i * 51 + 3);
    }
    expect(decode(vector, labels)).toEqual(vector.payload);
    labels.margin.fill(9);
    expect(decode(vector, labels)).toBeNull();
  });

  it("never returns another payload, however many modules are wrong", () => {
    const random = new SeededRandom(6);
    const vector = colourVectors().find(({ payload }) => payload.length === 88)!;
    let read = 0;
    for (let round = 0; round < 120; round++) {
      const labels = labelsOf(vector);
      const share = (round + 1) / 240;
      for (let i = 0; i < labels.index.length; i++) {
        if (random.between(0, 1) > share) continue;
        labels.index[i] = Math.floor(random.between(0, 8));
        labels.margin.fill(random.between(0, 9), i * 3, i * 3 + 3);
      }
      const payload = decode(vector, labels);
      if (payload) expect(payload).toEqual(vector.payload);
      if (payload) read++;
    }
    expect(read).toBeGreaterThan(5);
    expect(read).toBeLessThan(100);
  });

  it("returns nothing under a wrong mask or level", () => {
    const vector = colourVectors().find(({ payload }) => payload.length === 88)!;
    for (let mask = 0; mask < 8; mask++) if (mask !== vector.mask) expect(decode(vector, labelsOf(vector), mask)).toBeNull();
    for (const level of ["L", "Q", "H"] as const) expect(decode(vector, labelsOf(vector), vector.mask, level)).toBeNull();
  });
});

describe("the segment", () => {
  const whole = Uint8Array.from([0x40, 0x00, 0x2a, 0xbc, 0xd0, 0xec, 0x11, 0xec]);

  it("is parsed", () => {
    expect(parseSegment(whole)).toEqual(Uint8Array.from([0xab, 0xcd]));
    expect(parseSegment(Uint8Array.from([0x40, 0x00, 0x1f, 0xf0]))).toEqual(Uint8Array.from([0xff]));
  });

  it("is refused when anything is not as an encoder writes it", () => {
    for (let bit = 0; bit < whole.length * 8; bit++) {
      if (bit >= 20 && bit < 36) continue; // the payload itself
      const altered = whole.slice();
      altered[bit >> 3]! ^= 0x80 >> (bit & 7);
      expect(parseSegment(altered)).toBeNull();
    }
    expect(parseSegment(new Uint8Array())).toBeNull();
    expect(parseSegment(Uint8Array.from([0x40, 0x00, 0x00, 0xec]))).toBeNull();
  });

  it("never throws on noise", () => {
    const random = new SeededRandom(7);
    for (let i = 0; i < 2000; i++) {
      const bytes = random.bytes(i % 40);
      if (bytes.length && i % 2) bytes[0] = 0x40 | (bytes[0]! & 1);
      const payload = parseSegment(bytes);
      if (payload) expect(payload.length).toBeLessThan(bytes.length);
    }
  });
});
