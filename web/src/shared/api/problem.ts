/**
 * Failures of the REST API, and what to tell the person about them. `ApiError` is the only error the client throws; its text
 * for people is ours, by code, in both languages, and always says what to do next. The server's own texts are for developers.
 */
import { defineMessages, type Lang } from "../i18n/index.js";

export interface ProblemDetails {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly next_step: string;
  readonly request_id: string | null;
  readonly [member: string]: unknown;
}

export class ApiError extends Error {
  /** The problem's stable code; `offline` and `timeout` are ours, for when no answer came. */
  readonly code: string;
  readonly status: number;
  readonly requestId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
  /** Seconds the server asked us to wait, or null. */
  readonly retryAfter: number | null;

  constructor(code: string, status: number, details: Readonly<Record<string, unknown>> = {}, retryAfter: number | null = null) {
    super(code);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.details = details;
    this.retryAfter = retryAfter;
    this.requestId = typeof details["request_id"] === "string" ? details["request_id"] : null;
  }

  /** Whether the same request may succeed later with nothing changed. */
  get transient(): boolean {
    return this.code === "offline" || this.code === "timeout" || this.status === 429 || this.status >= 500;
  }

  /** Returns a whole-number member of the problem, such as `left`, or null. */
  number(member: string): number | null {
    const value = this.details[member];
    return typeof value === "number" && Number.isInteger(value) ? value : null;
  }
}

export interface Explanation {
  readonly title: string;
  readonly nextStep: string;
}

const messages = defineMessages({
  en: {
    offline: "There is no connection",
    offlineNext: "Check your network. We try again by ourselves.",
    offlineAct: "As far as we know, nothing was sent. Check your network, then try again.",
    timeout: "The answer takes too long",
    timeoutNext: "Check your network, then try again.",
    unauthenticated: "Your time on this page is over",
    unauthenticatedNext: "Reload the page and sign in again if you are asked to.",
    forbidden: "This is not allowed here",
    forbiddenNext: "Reload the page. If it happens again, call your bank.",
    notFound: "This no longer exists",
    notFoundNext: "Reload the page to see how things stand now.",
    conflict: "This has changed in the meantime",
    conflictNext: "Reload the page to see how things stand now, then try again.",
    rateLimited: "Too many tries in a short time",
    rateLimitedNext: "Wait a minute, then try again.",
    ended: "This is over already",
    endedNext: "To add a phone, simply start again.",
    asked: "This request is over",
    askedNext: "Begin again on your bank’s page.",
    wrongDigits: "These are not the digits of the phone",
    wrongDigitsNext: "Compare them with the phone and type them again.",
    noPhone: "None of your phones can answer now",
    noPhoneNext: "Look at your list of phones, or call your bank.",
    wrongCode: "This is not the code on the phone",
    wrongCodeNext: "Compare the eight digits with those on the phone and type them again.",
    unavailable: "The service cannot answer just now",
    unavailableNext: "Nothing is lost. Try again in a moment.",
    invalid: "Something in this request is not right",
    invalidNext: "Correct it and try again.",
    internal: "Something went wrong on our side",
    internalNext: "Try again. If it happens again, call your bank.",
    reference: (id: string) => `Reference for your bank: ${id}`,
  },
  fr: {
    offline: "Pas de connexion",
    offlineNext: "Vérifiez votre réseau. Nouvelle tentative automatique.",
    offlineAct: "À notre connaissance, rien n’a été envoyé. Vérifiez votre réseau, puis réessayez.",
    timeout: "La réponse tarde trop",
    timeoutNext: "Vérifiez votre réseau, puis réessayez.",
    unauthenticated: "Votre temps sur cette page est écoulé",
    unauthenticatedNext: "Rechargez la page et reconnectez-vous si on vous le demande.",
    forbidden: "Ce n’est pas autorisé ici",
    forbiddenNext: "Rechargez la page. Si cela se reproduit, appelez votre banque.",
    notFound: "Cela n’existe plus",
    notFoundNext: "Rechargez la page pour voir où en sont les choses.",
    conflict: "La situation a changé entre-temps",
    conflictNext: "Rechargez la page pour voir où en sont les choses, puis réessayez.",
    rateLimited: "Trop d’essais en peu de temps",
    rateLimitedNext: "Patientez une minute, puis réessayez.",
    ended: "Cet ajout est déjà terminé",
    endedNext: "Pour ajouter un téléphone, recommencez simplement.",
    asked: "Cette demande est terminée",
    askedNext: "Recommencez sur la page de votre banque.",
    wrongDigits: "Ce ne sont pas les chiffres du téléphone",
    wrongDigitsNext: "Comparez-les avec le téléphone et saisissez-les à nouveau.",
    noPhone: "Aucun de vos téléphones ne peut répondre",
    noPhoneNext: "Regardez la liste de vos téléphones, ou appelez votre banque.",
    wrongCode: "Ce n’est pas le code affiché sur le téléphone",
    wrongCodeNext: "Comparez les huit chiffres avec ceux du téléphone et saisissez-les à nouveau.",
    unavailable: "Le service ne peut pas répondre pour l’instant",
    unavailableNext: "Rien n’est perdu. Réessayez dans un instant.",
    invalid: "Quelque chose ne va pas dans cette demande",
    invalidNext: "Corrigez, puis réessayez.",
    internal: "Une erreur s’est produite de notre côté",
    internalNext: "Réessayez. Si cela se reproduit, appelez votre banque.",
    reference: (id: string) => `Référence pour votre banque : ${id}`,
  },
});

type Words = (typeof messages)["en"];
type TextKey = { [K in keyof Words]: Words[K] extends string ? K : never }[keyof Words];

const BY_CODE: Readonly<Record<string, readonly [TextKey, TextKey]>> = {
  offline: ["offline", "offlineNext"],
  timeout: ["timeout", "timeoutNext"],
  unauthenticated: ["unauthenticated", "unauthenticatedNext"],
  forbidden: ["forbidden", "forbiddenNext"],
  "not-found": ["notFound", "notFoundNext"],
  conflict: ["conflict", "conflictNext"],
  "idempotency-outcome-unknown": ["conflict", "conflictNext"],
  "rate-limited": ["rateLimited", "rateLimitedNext"],
  "activation-ended": ["ended", "endedNext"],
  "approval-ended": ["asked", "askedNext"],
  "offline-answer-wrong": ["wrongDigits", "wrongDigitsNext"],
  "no-phone": ["noPhone", "noPhoneNext"],
  "device-code-wrong": ["wrongCode", "wrongCodeNext"],
  unavailable: ["unavailable", "unavailableNext"],
  "invalid-request": ["invalid", "invalidNext"],
};

/** What failed: a `view`, which pages read again by themselves, or an `act` of the person, which they never repeat. */
export type Attempt = "view" | "act";

/** Returns what to tell the person about any thrown value: what happened, and what to do next. */
export function explain(error: unknown, lang: Lang, attempt: Attempt = "view"): Explanation {
  const words = messages[lang];
  const [title, next] = (error instanceof ApiError ? BY_CODE[error.code] : undefined) ?? (["internal", "internalNext"] as const);
  const serverFault = error instanceof ApiError && error.status >= 500 && error.requestId !== null;
  const reference = serverFault ? ` ${words.reference(error.requestId)}` : "";
  const step = attempt === "act" && next === "offlineNext" ? "offlineAct" : next;
  return { title: words[title], nextStep: words[step] + reference };
}
