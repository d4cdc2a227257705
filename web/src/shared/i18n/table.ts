/**
 * Message tables. A table holds each message in every language; the compiler refuses one that lacks a message, has one too
 * many, or whose French takes other arguments than its English.
 */
import type { Lang } from "./locale.js";

/** A message is a text, or a function of typed arguments to a text. */
export type Message = string | ((...args: never[]) => string);

type Same<T> = { readonly [K in keyof T]: T[K] extends string ? string : T[K] };

export type Table<T> = Readonly<Record<Lang, Same<T>>>;

/** Declares a table: English is the reference, French must match it key by key. */
export function defineMessages<const T extends Readonly<Record<string, Message>>>(tables: {
  readonly en: T;
  readonly fr: Same<T>;
}): Table<T> {
  return tables as Table<T>;
}

/** Chooses between the one and the many, as the language does (French counts 0 as one). */
export function plural(lang: Lang, count: number, one: string, other: string): string {
  return new Intl.PluralRules(lang).select(count) === "one" ? one : other;
}
