/**
 * The server's time, from the Date headers of its answers: a computer's own clock is often minutes off, and a countdown must not
 * be. Where no Date can be read (another origin that does not expose it), the computer's clock stands in.
 */

/** A Date header has whole seconds; within this much of what is known it says nothing new, and the countdown does not jump. */
const GRAIN_MS = 1_500;

export class ServerClock {
  readonly #local: () => number;
  #ahead: number | null = null;

  constructor(local: () => number = Date.now) {
    this.#local = local;
  }

  /** Takes in the Date header of an answer that has just come; one that is missing or is no date changes nothing. */
  hear(date: string | null): void {
    const said = Date.parse(date ?? "");
    if (Number.isNaN(said)) return;
    const ahead = said + 500 - this.#local();
    if (this.#ahead === null || Math.abs(ahead - this.#ahead) > GRAIN_MS) this.#ahead = ahead;
  }

  /** Returns the server's time, in milliseconds of the Unix epoch. */
  now(): number {
    return this.#local() + (this.#ahead ?? 0);
  }
}
