/**
 * What outlives a reload of this tab, in `sessionStorage`: ids of activations, nothing else. Which one is in front, which one the
 * person agreed to, which one began without a camera.
 */
export type Mark = "front" | "agreed" | "by-hand";

const ALL: readonly Mark[] = ["front", "agreed", "by-hand"];

function place(mark: Mark): string {
  return `tessera.${mark}`;
}

export function mark(activation: string, as: Mark): void {
  sessionStorage.setItem(place(as), activation);
}

export function isMarked(activation: string, as: Mark): boolean {
  return sessionStorage.getItem(place(as)) === activation;
}

/** Nothing is in front any more; what was agreed to stays agreed to. */
export function leaveFront(): void {
  sessionStorage.removeItem(place("front"));
}

/** The activation is over: nothing is remembered of it. */
export function unmark(activation: string): void {
  for (const as of ALL) if (isMarked(activation, as)) sessionStorage.removeItem(place(as));
}
