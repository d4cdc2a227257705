/** What <tessera-messages> says, in both languages. */
import { defineMessages, plural } from "../../shared/i18n/index.js";

export const messages = defineMessages({
  en: {
    title: "Messages",
    loading: "One moment…",
    empty: "No messages",
    emptyLead: "What your bank writes to you appears here and on your phone.",
    unread: (count: number) => plural("en", count, "1 unread message", `${count} unread messages`),
    isUnread: "unread",
    until: (date: string) => `Until ${date}`,
    more: "Older messages",
    retry: "Try again",
  },
  fr: {
    title: "Messages",
    loading: "Un instant…",
    empty: "Aucun message",
    emptyLead: "Ce que votre banque vous écrit apparaît ici et sur votre téléphone.",
    unread: (count: number) => plural("fr", count, "1 message non lu", `${count} messages non lus`),
    isUnread: "non lu",
    until: (date: string) => `Jusqu’au ${date}`,
    more: "Messages plus anciens",
    retry: "Réessayer",
  },
});

export type Words = (typeof messages)["en"];
