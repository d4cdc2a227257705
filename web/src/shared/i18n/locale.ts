/**
 * Which language is spoken: the one the person chose (kept in this browser), else the browser's, else English. Pages use
 * the one `locale` of this module; embedded elements take their own from the `lang` attribute by `langOf`.
 */

export const LANGS = ["fr", "en"] as const;
export type Lang = (typeof LANGS)[number];

const KEY = "tessera.lang";

/** Returns the language that a BCP 47 tag means here, or null when we don't speak it. */
export function matchLang(tag: string | null | undefined): Lang | null {
  const primary = tag?.trim().toLowerCase().split(/[-_]/)[0];
  return LANGS.find((lang) => lang === primary) ?? null;
}

/** Returns the first of the browser's languages that we speak, else English. */
export function browserLang(tags: readonly string[] = globalThis.navigator.languages): Lang {
  for (const tag of tags) {
    const lang = matchLang(tag);
    if (lang !== null) return lang;
  }
  return "en";
}

/** Returns an embedded element's language: its own `lang`, else the nearest ancestor's, else the browser's. */
export function langOf(element: Element): Lang {
  let at: Element | null = element;
  while (at !== null) {
    const lang = matchLang(at.getAttribute("lang"));
    if (lang !== null) return lang;
    const root = at.getRootNode();
    at = at.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
  }
  return browserLang();
}

function stored(): Lang | null {
  try {
    return matchLang(globalThis.localStorage.getItem(KEY));
  } catch {
    return null; // storage may be forbidden by the browser's settings; the choice then lasts as long as the page
  }
}

/** The language of a whole page. Set it, and every listener is told. */
class Locale {
  #lang: Lang | null = null;
  readonly #listeners = new Set<() => void>();

  get lang(): Lang {
    this.#lang ??= stored() ?? browserLang();
    return this.#lang;
  }

  set(lang: Lang): void {
    this.#lang = lang;
    try {
      globalThis.localStorage.setItem(KEY, lang);
    } catch {
      // see stored()
    }
    this.#apply();
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` after each change; returns the function that stops it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#apply();
    return () => this.#listeners.delete(listener);
  }

  #apply(): void {
    if (typeof document !== "undefined") document.documentElement.lang = this.lang;
  }
}

export const locale = new Locale();
