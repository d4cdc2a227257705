/**
 * What the phone app says about each failure of the phone client: what happened, what to do next. The compiler holds this table
 * to the client's closed list of codes.
 */
import type { Lang } from "../../shared/i18n/index.js";
import { isPassingProblem, PhoneClientError, type EndReason, type NextStep, type PhoneErrorCode } from "../../shared/phone-client/index.js";

export interface Failure {
  readonly title: string;
  readonly text: string;
  readonly next: NextStep;
}

type Pair = readonly [title: string, text: string];
type Texts = Readonly<Record<Lang, Readonly<Record<PhoneErrorCode, Pair>>>>;

const TEXTS: Texts = {
  en: {
    "code-invalid": ["This code could not be read", "Scan the code on your bank’s page again."],
    "code-foreign-host": ["This code belongs elsewhere", "It was not made for this app’s address. Open your bank’s page yourself and start there; never follow a code that somebody sent you."],
    "code-expired": ["This code is over", "Start a new activation on your bank’s page. If that fails again, check the clock of this phone."],
    "typed-invalid": ["There is a typing mistake", "Compare the code group by group with your bank’s page."],
    "typed-unknown": ["No bank knows this code", "It may be over. Compare it with your bank’s page, or start a new activation there."],
    "bank-key-changed": ["This bank’s key is not the one this phone knows", "Nothing was sent. Scan the code on your bank’s page instead of typing it. If you cannot scan, call your bank before you go on."],
    unknown: ["Your bank does not know this", "Start a new activation on your bank’s page."],
    expired: ["This code has moved on", "It changes every few seconds. Scan the one that your bank’s page shows now."],
    ended: ["This activation is over", "Start a new one on your bank’s page."],
    refused: ["Your bank did not accept this code", "Scan the code that its page shows now. If it happens again, start a new activation."],
    suite: ["This app is too old for your bank", "Close the app and open it again with a network; it then updates itself."],
    platform: ["Your bank does not allow this kind of phone", "Try another phone, or ask your bank which ones it allows."],
    suspended: ["This phone is suspended", "Resume it on your bank’s page under “My devices”. If that page does not let you, call your bank: it may have to be removed and added anew."],
    removed: ["This phone was removed", "Add it again on your bank’s page if you want to use it."],
    retired: ["Your bank has changed its key", "This phone or code was made with a key that your bank has given up. Start a new activation on your bank’s page and add this phone anew."],
    busy: ["Your bank is busy", "Nothing is lost. Try again in a moment."],
    "code2-invalid": ["This is not the second code", "Scan the second code that your bank’s page shows now."],
    "code2-wrong": ["This second code is for another connection", "Scan the one that your bank’s page shows now."],
    "code2-elsewhere": ["This is the second code", "Go back to the window of this app in which you began, and press “Scan the second code” there."],
    "code2-missing": ["The second code is needed", "Scan it from your bank’s page."],
    "not-confirmed": ["Your bank’s page is not done yet", "Type the eight digits there first."],
    "pin-format": ["The PIN has another length", "Type it again with the number of digits shown."],
    "pin-weak": ["This PIN is too easy to guess", "Choose another one."],
    "pin-wrong": ["This is not your PIN", "Type it again."],
    "pin-blocked": ["Your PIN is blocked", "Wait until it opens again, or ask your bank to unblock it."],
    "not-committed": ["This activation was never finished", "Start a new one on your bank’s page."],
    "answer-wrong": ["That was not accepted", "Try again, or refuse if you did not ask for this."],
    "answer-incomplete": ["Something is missing", "Choose the number that your bank’s page shows, then approve once more."],
    "approval-ended": ["This request is over", "Begin again on your bank’s page if you still want it."],
    "approval-unreadable": ["This app is too old to show this request", "Nothing can be approved unseen. Close the app and open it again with a network; it then updates itself."],
    "biometric-cancelled": ["Your fingerprint or face was not taken", "Try again, or use your PIN."],
    "biometric-unsupported": ["Fingerprint and face do not work here", "Use your PIN. To use them, set up a screen lock with fingerprint or face in the settings of this phone."],
    "biometric-missing": ["Fingerprint or face is not set up", "Use your PIN. You can set it up under this bank’s settings."],
    "offline-foreign": ["This code is for another phone", "None of the banks on this phone can open it. Choose this phone on your bank’s page, then scan again."],
    "offline-stale": ["This phone and your bank have to meet first", "Go online for a moment with this app open; then ask for a new code on your bank’s page."],
    "offline-unsettled": ["Your new PIN is not confirmed yet", "Go online for a moment with this app open and type your PIN once, under “Change the PIN”; then it works without a network too."],
    "push-invalid": ["Notifications could not be set up", "Switch them on once more. If it happens again, your browser’s notification service does not work here."],
    "binding-missing": ["This phone does not hold that bank", "Add it on your bank’s page."],
    offline: ["No network", "Nothing is lost. Switch on Wi-Fi or mobile data and try again."],
    "connection-lost": ["The connection was lost", "Nothing is lost. Try again."],
    timeout: ["Your bank does not answer", "Check your network, then try again."],
    protocol: ["This app and your bank do not understand one another", "Close the app and open it again with a network; it then updates itself."],
    problem: ["Your bank refused this step", "Try again. If it happens again, call your bank."],
    storage: ["This phone could not keep the keys", "Free some space, leave private browsing, then try again."],
    unsupported: ["This browser cannot keep keys safely", "Open this page over https in an up-to-date Chrome, Safari, Edge or Firefox, outside private browsing."],
    "name-invalid": ["This name does not work", "Use 1 to 64 letters and digits."],
    "other-tab": ["Open in another window", "This app already talks to your bank in another window. Close that one, then try again."],
    closed: ["This was closed", "Try again."],
  },
  fr: {
    "code-invalid": ["Ce code n’a pas pu être lu", "Scannez à nouveau le code sur la page de votre banque."],
    "code-foreign-host": ["Ce code vient d’ailleurs", "Il n’a pas été fait pour l’adresse de cette application. Ouvrez vous-même la page de votre banque et commencez là ; ne suivez jamais un code qu’on vous a envoyé."],
    "code-expired": ["Ce code est périmé", "Commencez une nouvelle activation sur la page de votre banque. Si cela échoue encore, vérifiez l’heure de ce téléphone."],
    "typed-invalid": ["Il y a une faute de frappe", "Comparez le code groupe par groupe avec la page de votre banque."],
    "typed-unknown": ["Aucune banque ne connaît ce code", "Il est peut-être périmé. Comparez-le avec la page de votre banque, ou commencez-y une nouvelle activation."],
    "bank-key-changed": ["La clé de cette banque n’est pas celle que ce téléphone connaît", "Rien n’a été envoyé. Scannez le code sur la page de votre banque au lieu de le taper. Si vous ne pouvez pas scanner, appelez votre banque avant de continuer."],
    unknown: ["Votre banque ne connaît pas ceci", "Commencez une nouvelle activation sur la page de votre banque."],
    expired: ["Ce code a changé", "Il change sans cesse. Scannez celui que la page de votre banque montre maintenant."],
    ended: ["Cette activation est terminée", "Commencez-en une nouvelle sur la page de votre banque."],
    refused: ["Votre banque n’a pas accepté ce code", "Scannez le code que sa page montre maintenant. Si cela se reproduit, commencez une nouvelle activation."],
    suite: ["Cette application est trop ancienne pour votre banque", "Fermez-la et rouvrez-la avec du réseau ; elle se met alors à jour."],
    platform: ["Votre banque n’autorise pas ce genre de téléphone", "Essayez avec un autre téléphone, ou demandez à votre banque lesquels elle autorise."],
    suspended: ["Ce téléphone est suspendu", "Réactivez-le sur la page de votre banque, dans « Mes appareils ». Si elle ne le permet pas, appelez votre banque : il faudra peut-être le retirer et l’ajouter à nouveau."],
    removed: ["Ce téléphone a été retiré", "Ajoutez-le à nouveau sur la page de votre banque si vous voulez l’utiliser."],
    retired: ["Votre banque a changé de clé", "Ce téléphone ou ce code date d’une clé que votre banque a abandonnée. Commencez une nouvelle activation sur la page de votre banque et ajoutez à nouveau ce téléphone."],
    busy: ["Votre banque est occupée", "Rien n’est perdu. Réessayez dans un instant."],
    "code2-invalid": ["Ce n’est pas le second code", "Scannez le second code que la page de votre banque montre maintenant."],
    "code2-wrong": ["Ce second code est pour une autre connexion", "Scannez celui que la page de votre banque montre maintenant."],
    "code2-elsewhere": ["Ceci est le second code", "Revenez à la fenêtre de cette application où vous avez commencé, et touchez-y « Scanner le second code »."],
    "code2-missing": ["Le second code est nécessaire", "Scannez-le sur la page de votre banque."],
    "not-confirmed": ["La page de votre banque n’a pas terminé", "Saisissez-y d’abord les huit chiffres."],
    "pin-format": ["Le code PIN a une autre longueur", "Saisissez-le avec le nombre de chiffres indiqué."],
    "pin-weak": ["Ce code PIN est trop facile à deviner", "Choisissez-en un autre."],
    "pin-wrong": ["Ce n’est pas votre code PIN", "Saisissez-le à nouveau."],
    "pin-blocked": ["Votre code PIN est bloqué", "Attendez qu’il soit débloqué, ou demandez à votre banque de le débloquer."],
    "not-committed": ["Cette activation n’a jamais été terminée", "Commencez-en une nouvelle sur la page de votre banque."],
    "answer-wrong": ["Cela n’a pas été accepté", "Réessayez, ou refusez si vous n’avez rien demandé."],
    "answer-incomplete": ["Il manque quelque chose", "Choisissez le nombre que montre la page de votre banque, puis approuvez à nouveau."],
    "approval-ended": ["Cette demande est terminée", "Recommencez sur la page de votre banque si vous la voulez encore."],
    "approval-unreadable": ["Cette application est trop ancienne pour montrer cette demande", "Rien ne s’approuve sans être vu. Fermez l’application et rouvrez-la avec du réseau ; elle se met alors à jour."],
    "biometric-cancelled": ["Votre empreinte ou votre visage n’a pas été pris", "Réessayez, ou utilisez votre code PIN."],
    "biometric-unsupported": ["L’empreinte et le visage ne fonctionnent pas ici", "Utilisez votre code PIN. Pour vous en servir, réglez un verrouillage par empreinte ou visage dans les réglages de ce téléphone."],
    "biometric-missing": ["L’empreinte ou le visage n’est pas réglé", "Utilisez votre code PIN. Vous pouvez le régler dans les réglages de cette banque."],
    "offline-foreign": ["Ce code est pour un autre téléphone", "Aucune des banques de ce téléphone ne peut l’ouvrir. Choisissez ce téléphone sur la page de votre banque, puis scannez à nouveau."],
    "offline-stale": ["Ce téléphone et votre banque doivent d’abord se parler", "Mettez-vous en ligne un instant avec cette application ouverte ; demandez ensuite un nouveau code sur la page de votre banque."],
    "offline-unsettled": ["Votre nouveau code PIN n’est pas encore confirmé", "Mettez-vous en ligne un instant avec cette application ouverte et saisissez une fois votre code PIN, sous « Changer le code PIN » ; il servira alors aussi sans réseau."],
    "push-invalid": ["Les notifications n’ont pas pu être réglées", "Activez-les encore une fois. Si cela se reproduit, le service de notification de votre navigateur ne fonctionne pas ici."],
    "binding-missing": ["Ce téléphone ne contient pas cette banque", "Ajoutez-la depuis la page de votre banque."],
    offline: ["Pas de réseau", "Rien n’est perdu. Activez le Wi-Fi ou les données mobiles, puis réessayez."],
    "connection-lost": ["La connexion a été perdue", "Rien n’est perdu. Réessayez."],
    timeout: ["Votre banque ne répond pas", "Vérifiez votre réseau, puis réessayez."],
    protocol: ["Cette application et votre banque ne se comprennent pas", "Fermez l’application et rouvrez-la avec du réseau ; elle se met alors à jour."],
    problem: ["Votre banque a refusé cette étape", "Réessayez. Si cela se reproduit, appelez votre banque."],
    storage: ["Ce téléphone n’a pas pu garder les clés", "Libérez de la place, quittez la navigation privée, puis réessayez."],
    unsupported: ["Ce navigateur ne sait pas garder les clés en sécurité", "Ouvrez cette page en https dans un Chrome, Safari, Edge ou Firefox à jour, hors navigation privée."],
    "name-invalid": ["Ce nom ne convient pas", "Utilisez 1 à 64 lettres et chiffres."],
    "other-tab": ["Ouverte dans une autre fenêtre", "Cette application parle déjà à votre banque dans une autre fenêtre. Fermez-la, puis réessayez."],
    closed: ["Ceci a été fermé", "Réessayez."],
  },
};

const ENDS: Readonly<Record<Lang, Readonly<Record<EndReason, Pair>>>> = {
  en: {
    "device-code": ["Three wrong codes were typed", "For your safety this activation is over. Start a new one on your bank’s page."],
    expired: ["Time is up", "This activation is over. Start a new one on your bank’s page."],
    cancelled: ["This activation was cancelled", "If it was not you, call your bank. Otherwise start a new one on your bank’s page."],
    contested: ["Another phone scanned this code", "For your safety nothing was bound. If nobody near you scanned it too, somebody may be watching your screen: call your bank, then start a new activation."],
    unknown: ["This activation is over", "Start a new one on your bank’s page."],
  },
  fr: {
    "device-code": ["Trois codes erronés ont été saisis", "Pour votre sécurité, cette activation est terminée. Commencez-en une nouvelle sur la page de votre banque."],
    expired: ["Le temps est écoulé", "Cette activation est terminée. Commencez-en une nouvelle sur la page de votre banque."],
    cancelled: ["Cette activation a été annulée", "Si ce n’était pas vous, appelez votre banque. Sinon, commencez-en une nouvelle sur sa page."],
    contested: ["Un autre téléphone a scanné ce code", "Pour votre sécurité, rien n’a été lié. Si personne près de vous ne l’a scanné aussi, quelqu’un voit peut-être votre écran : appelez votre banque, puis recommencez une activation."],
    unknown: ["Cette activation est terminée", "Commencez-en une nouvelle sur la page de votre banque."],
  },
};

const BUG: Readonly<Record<Lang, Pair>> = {
  en: ["Something went wrong here", "Try again. If it happens again, close the app and open it anew."],
  fr: ["Une erreur s’est produite ici", "Réessayez. Si cela se reproduit, fermez l’application et rouvrez-la."],
};

/** Returns what to show for any thrown value. */
export function explainFailure(error: unknown, lang: Lang): Failure {
  if (!(error instanceof PhoneClientError)) return { title: BUG[lang][0], text: BUG[lang][1], next: "retry" };
  const code = isPassingProblem(error) ? "busy" : error.code;
  const [title, text] = code === "ended" ? ENDS[lang][error.details.reason ?? "unknown"] : TEXTS[lang][code];
  return { title, text, next: error.next };
}
