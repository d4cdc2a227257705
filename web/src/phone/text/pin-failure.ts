/** What is said of a PIN that was not taken. Used wherever a PIN is typed. */
import { formatTime, type Lang } from "../../shared/i18n/index.js";
import { PhoneClientError } from "../../shared/phone-client/index.js";
import { isBlocked } from "../pin-block.js";
import { pin as words } from "./contact.js";
import { explainFailure } from "./errors.js";

/** Says what is wrong with a PIN that was proved, with the tries left or the time it opens again. */
export function sayPinFailure(error: unknown, lang: Lang): string {
  const text = words[lang];
  if (error instanceof PhoneClientError) {
    const { left, until } = error.details;
    const blocked = isBlocked(error);
    if (blocked && typeof until === "number") {
      return text.blockedUntil(formatTime(lang, until));
    }
    if (blocked) return text.blocked;
    if (error.code === "pin-wrong" && left !== undefined) return text.wrong(left);
  }
  const failure = explainFailure(error, lang);
  return `${failure.title}. ${failure.text}`;
}
