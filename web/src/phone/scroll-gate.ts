/**
 * Whether what is asked was read to its end: closed until its end was in sight, closed again for the next request. Pure; the part
 * `ts-read-to-end` tells it what the eye has reached. Used by the screens that approve.
 */

/** A press that was meant for "Read to the end" must not fall on what stands there a moment later. */
const SETTLE_MS = 500;

export class ScrollGate {
  #of: string | null = null;
  #openedAt: number | null = null;
  #wasPressed = false;

  /** Whose end is wanted; another one closes the gate. */
  watch(id: string): void {
    if (id === this.#of) return;
    this.#of = id;
    this.#openedAt = null;
    this.#wasPressed = false;
  }

  get isOpen(): boolean {
    return this.#openedAt !== null;
  }

  /** The end is in sight. */
  reach(now: number): void {
    this.#openedAt ??= now;
  }

  /** Whether a press counts; one on a closed gate is a wish to read on. */
  press(now: number): boolean {
    if (this.#openedAt === null) {
      this.#wasPressed = true;
      return false;
    }
    return !this.#wasPressed || now - this.#openedAt >= SETTLE_MS;
  }
}
