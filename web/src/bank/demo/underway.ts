/** The activation that a customer is in, kept by the tab so that a reload takes it up again. */
import type { Started } from "./api.js";

const KEY = "demo.activation";

interface Underway {
  readonly user: string;
  readonly started: Started;
}

/** Returns the activation that this customer was in when the tab was reloaded, or null. */
export function underway(user: string): Started | null {
  const kept = sessionStorage.getItem(KEY);
  const found = kept === null ? null : (JSON.parse(kept) as Partial<Underway>);
  return found?.user === user ? (found.started ?? null) : null;
}

export function keepUnderway(user: string, started: Started): void {
  sessionStorage.setItem(KEY, JSON.stringify({ user, started } satisfies Underway));
}

export function forgetUnderway(): void {
  sessionStorage.removeItem(KEY);
}
