/** A seeded source of numbers for the bench and the tests: the same seed gives the same frames on every machine. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to 2³² - 1 (mulberry32). */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return (value ^ (value >>> 14)) >>> 0;
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + ((high - low) * this.word()) / 2 ** 32;
  }

  /** One of the standard normal distribution. */
  normal(): number {
    return GAUSSIANS[this.word() & (GAUSSIANS.length - 1)]!;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.word() >>> 24);
  }
}

const GAUSSIANS = new Float32Array(1 << 16);
{
  const source = new SeededRandom(1);
  for (let i = 0; i < GAUSSIANS.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - source.between(0, 1)));
    const angle = source.between(0, 2 * Math.PI);
    GAUSSIANS[i] = radius * Math.cos(angle);
    GAUSSIANS[i + 1] = radius * Math.sin(angle);
  }
}
