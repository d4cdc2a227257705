/** A small seeded generator (mulberry32), so that a failing fuzz case can be run again. */
import type { Bytes } from "../../src/shared/protocol/bytes";

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  bytes(length: number): Bytes {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** One to four bytes changed, cut out or put in. */
  mutate(original: Uint8Array): Bytes {
    const bytes = Array.from(original);
    for (let changes = 1 + this.below(4); changes > 0; changes -= 1) {
      const place = this.below(bytes.length + 1);
      const kind = this.below(3);
      if (kind === 0) bytes.splice(place, 0, this.below(256));
      else if (kind === 1) bytes.splice(place, 1);
      else if (place < bytes.length) bytes[place] = this.below(256);
    }
    return Uint8Array.from(bytes);
  }
}
