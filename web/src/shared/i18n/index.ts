/** Languages, message tables and formatting, for every page and element. */
export { LANGS, browserLang, langOf, locale, matchLang, type Lang } from "./locale.js";
export { defineMessages, plural, type Message, type Table } from "./table.js";
export { formatAgo, formatCountdown, formatDate, formatDateTime, formatMoment, formatMoney, formatTime, formatWait, groupText } from "./format.js";
export { formatAccount, formatAmount, formatAnswer } from "./amount.js";
export { LangController } from "./controller.js";
