import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../bench/random.js";
import { correctBlock } from "../../src/shared/codes/reed-solomon.js";

/** Multiplication in GF(256) by shifting, so that the test shares no table with the code. */
function times(a: number, b: number): number {
  let product = 0;
  for (let [x, y] = [a, b]; y > 0; y >>= 1, x = x & 0x80 ? (x << 1) ^ 0x11d : x << 1) if (y & 1) product ^= x;
  return product;
}

/** Check codewords by long division. */
function encode(data: Uint8Array, checks: number): Uint8Array {
  let generator = [1];
  for (let i = 0, root = 1; i < checks; i++, root = times(root, 2)) {
    generator = [...generator, 0].map((value, k) => value ^ times(generator[k - 1] ?? 0, root));
  }
  const remainder = new Uint8Array(data.length + checks);
  remainder.set(data);
  for (let i = 0; i < data.length; i++) {
    const factor = remainder[i]!;
    generator.forEach((value, k) => (remainder[i + k]! ^= times(value, factor)));
  }
  const block = new Uint8Array(data.length + checks);
  block.set(data);
  block.set(remainder.subarray(data.length), data.length);
  return block;
}

/** `count` different positions below `length`. */
function positions(random: SeededRandom, count: number, length: number): number[] {
  const all = Array.from({ length }, (_, i) => i);
  return Array.from({ length: count }, () => all.splice(Math.floor(random.between(0, all.length)), 1)[0]!);
}

function spoil(block: Uint8Array, places: readonly number[], random: SeededRandom): Uint8Array {
  const spoilt = block.slice();
  for (const place of places) spoilt[place]! ^= 1 + Math.floor(random.between(0, 255));
  return spoilt;
}

describe("Reed-Solomon", () => {
  it("agrees with the example of ISO/IEC 18004 annex I (version 1-M)", () => {
    const data = Uint8Array.from([0x10, 0x20, 0x0c, 0x56, 0x61, 0x80, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11]);
    const checks = [0xa5, 0x24, 0xd4, 0xc1, 0xed, 0x36, 0xc7, 0x87, 0x2c, 0x55];
    expect([...encode(data, 10).subarray(16)]).toEqual(checks);
    const block = Uint8Array.from([...data, ...checks]);
    expect(correctBlock(block, 10)).toBe(true);
    block[3] = 0;
    block[20] = 0;
    expect(correctBlock(block, 10)).toBe(true);
    expect([...block]).toEqual([...data, ...checks]);
  });

  it("corrects every mix of errors and erasures within its bound", () => {
    const random = new SeededRandom(1);
    for (const [length, checks] of [
      [44, 26],
      [9, 17],
      [121, 30],
      [225, 30],
    ] as const) {
      for (let erased = 0; erased <= checks; erased += 3) {
        const block = encode(random.bytes(length), checks);
        const places = positions(random, erased + Math.floor((checks - erased) / 2), block.length);
        const spoilt = spoil(block, places, random);
        expect(correctBlock(spoilt, checks, places.slice(0, erased))).toBe(true);
        expect(spoilt).toEqual(block);
      }
    }
  });

  it("takes erasures that were right all along", () => {
    const random = new SeededRandom(2);
    const block = encode(random.bytes(44), 26);
    const spoilt = spoil(block, [5, 6, 7], random);
    expect(correctBlock(spoilt, 26, [0, 1, 2, 5, 60])).toBe(true);
    expect(spoilt).toEqual(block);
  });

  it("refuses blocks beyond its bound, and never pretends that they are the first codeword", () => {
    const random = new SeededRandom(3);
    let accepted = 0;
    for (let i = 0; i < 300; i++) {
      const block = encode(random.bytes(44), 26);
      const spoilt = spoil(block, positions(random, 14 + (i % 20), block.length), random);
      if (correctBlock(spoilt, 26)) accepted++;
    }
    expect(accepted).toBe(0);
  });

  it("refuses noise, more erasures than checks, and blocks that are too long", () => {
    const random = new SeededRandom(4);
    for (let i = 0; i < 300; i++) expect(correctBlock(random.bytes(70), 26, positions(random, i % 18, 70))).toBe(false);
    expect(correctBlock(random.bytes(20), 4, [0, 1, 2, 3, 4])).toBe(false);
    expect(correctBlock(random.bytes(256), 30)).toBe(false);
  });
});
