/** The binding protocol in the browser, without I/O. See README.md. */
export * from "./approval";
export * from "./bytes";
export * from "./code";
export * from "./errors";
export * from "./frames";
export * from "./handshake";
export * from "./keys";
export * from "./messages";
export type { DhKey } from "./noise";
export * from "./offline";
export * from "./oprf";
export * from "./pin";
export { compressPoint, randomBytes, uncompressPoint, webCryptoDhKey } from "./primitives";
export { type ExportLabel, Session } from "./session";
export type { Suite } from "./suites";
