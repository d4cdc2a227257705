/** The phone without its pages: the one door that pages import from. See README.md. */
export * from "./types";
export { PhoneClientError, type EndReason, type NextStep, type PhoneErrorCode, type PhoneErrorDetails, type WeakReason } from "./errors";
export { isPassingProblem } from "./failures";
export { PhoneStore } from "./store";
export { browserEnvironment, type PhoneEnvironment } from "./environment";
export { parseCode2Typed, parseFragment, parseScanned, parseTyped } from "./codes";
export { rememberBanks } from "./config";
export { checkPin } from "./pin";
export { startFirstContact } from "./first-contact";
export { openChannel } from "./channel";
export { answerOffline, openOffline } from "./offline";
export { supportsBiometric } from "./biometrics";
