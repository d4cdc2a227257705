/** Which words tell the end of a request, and what is said of tries and blocks beside it. Pure; drawn by the request's screen. */
import { formatTime, type Lang } from "../shared/i18n/index.js";
import { PhoneClientError } from "../shared/phone-client/index.js";
import type { AskEnd } from "./ask-flow.js";
import { ask, ends } from "./text/ask.js";
import { explainFailure } from "./text/errors.js";

export interface SaidEnd {
  readonly tone: "ok" | "warn" | "bad";
  readonly title: string;
  readonly text: string;
  /** About blocks, where there is something to know. */
  readonly notes: readonly string[];
}

/** Ends that somebody decided. */
const DECIDED = ["approved", "refused", "reported"] as const;

function isDecided(state: AskEnd["state"]): state is (typeof DECIDED)[number] {
  return (DECIDED as readonly string[]).includes(state);
}

/** What is to be known after an answer that was not accepted: tries left, until when, by whom, and a warning in time. */
export function blockNotes(failure: unknown, lang: Lang): readonly string[] {
  if (!(failure instanceof PhoneClientError) || failure.code !== "answer-wrong") return [];
  const { left, until, bank, last } = failure.details;
  const text = ask[lang];
  if (bank === true) return [text.blockedBank];
  if (typeof until === "number") return [text.blockedUntil(formatTime(lang, until)), ...(last === true ? [text.lastBlock] : [])];
  return [...(left === undefined || left === 0 ? [] : [text.left(left)]), ...(last === true ? [text.last] : [])];
}

export function sayEnd(end: AskEnd, failure: unknown, lang: Lang): SaidEnd {
  const text = ends[lang];
  const { state, here } = end;
  if (state === "unknown" && !here) {
    const said = explainFailure(failure, lang);
    return { tone: "bad", title: text.brokenTitle, text: `${said.title}. ${said.text}`, notes: [] };
  }
  if (!here && isDecided(state)) {
    return { tone: state === "approved" ? "ok" : "warn", title: text[`${state}ElsewhereTitle`], text: text[`${state}ElsewhereText`], notes: [] };
  }
  // What the person decided and the bank has taken went well, whichever it was.
  const tone = isDecided(state) ? "ok" : state === "failed" ? "bad" : "warn";
  return { tone, title: text[`${state}Title`], text: text[`${state}Text`], notes: blockNotes(failure, lang) };
}
