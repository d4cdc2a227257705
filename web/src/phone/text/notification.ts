/** All that a push ever shows: what the bank asks comes by the channel alone. The service worker loads this, so nothing of pages is imported. */
import { defineMessages } from "../../shared/i18n/table.js";

export const notification = defineMessages({
  en: { title: "Your bank asks you something", body: "Open the app to see it." },
  fr: { title: "Votre banque vous demande quelque chose", body: "Ouvrez l’application pour voir quoi." },
});
