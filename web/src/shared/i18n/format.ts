/** Dates, durations and money as the language writes them. Every page and element formats through here. */
import { matchLang, type Lang } from "./locale.js";

/** Returns the browser's own regional form of the language (fr-CH, en-US) where it has one, else the European one. */
export function regionOf(lang: Lang, tags: readonly string[] = globalThis.navigator.languages): string {
  return tags.find((tag) => tag.includes("-") && matchLang(tag) === lang) ?? (lang === "fr" ? "fr-FR" : "en-GB");
}

/** Formats a moment (milliseconds since 1970 or RFC 3339) as date and time to the minute. */
export function formatDateTime(lang: Lang, when: number | string): string {
  return new Intl.DateTimeFormat(regionOf(lang), { dateStyle: "long", timeStyle: "short" }).format(new Date(when));
}

/** Formats a moment as date and time to the second, for what has to be put in order. */
export function formatMoment(lang: Lang, when: number | string): string {
  return new Intl.DateTimeFormat(regionOf(lang), { dateStyle: "long", timeStyle: "medium" }).format(new Date(when));
}

/** Formats a day. */
export function formatDate(lang: Lang, when: number | string): string {
  return new Intl.DateTimeFormat(regionOf(lang), { dateStyle: "long" }).format(new Date(when));
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** Formats a time of day to the minute. */
export function formatTime(lang: Lang, when: number | string): string {
  return new Intl.DateTimeFormat(regionOf(lang), { timeStyle: "short" }).format(new Date(when));
}

/** Formats how long ago (or ahead) a moment is, coarsely: "2 days ago"; under a minute, "now". Past 30 days, the date. */
export function formatAgo(lang: Lang, when: number | string, now: number): string {
  const moment = new Date(when).getTime();
  const seconds = Math.round((moment - now) / 1000);
  if (Math.abs(seconds) > 30 * 86_400) return formatDate(lang, moment);
  const format = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(0, "second");
}

/** Formats a countdown as minutes and seconds, "4:07"; never below "0:00". */
export function formatCountdown(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = String(seconds % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Formats how long to wait, in words that stay true while they are read: "58 seconds"; from two minutes on, minutes. */
export function formatWait(lang: Lang, seconds: number): string {
  const isShort = seconds < 120;
  const style = { style: "unit", unit: isShort ? "second" : "minute", unitDisplay: "long" } as const;
  return new Intl.NumberFormat(regionOf(lang), style).format(Math.ceil(isShort ? seconds : seconds / 60));
}

/** Formats an amount of money given in cents. */
export function formatMoney(lang: Lang, cents: number, currency = "EUR"): string {
  return new Intl.NumberFormat(regionOf(lang), { style: "currency", currency }).format(cents / 100);
}

/** Groups digits or letters for reading aloud: ("12345678", [4, 4]) gives "1234 5678". */
export function groupText(text: string, sizes: readonly number[]): string {
  const parts: string[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= text.length) break;
    parts.push(text.slice(at, at + size));
    at += size;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts.join(" ");
}
