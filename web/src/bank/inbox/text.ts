/** Which language of a message is shown. */
import type { InboxMessage, InboxText } from "../../shared/api/index.js";
import type { Lang } from "../../shared/i18n/index.js";

/** Returns the message in the page's language, or in the other one where the bank wrote that alone, and which it is. */
export function textIn({ texts }: Pick<InboxMessage, "texts">, lang: Lang): { readonly text: InboxText; readonly lang: Lang } {
  const other = lang === "fr" ? "en" : "fr";
  const own = texts[lang];
  if (own !== null && own !== undefined) return { text: own, lang };
  return { text: texts[other] ?? { title: "", body: "" }, lang: other };
}
