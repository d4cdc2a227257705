/** The gateway's REST API and event stream, for pages with a page token. */
export { GatewayClient, problemOf, type ClientOptions } from "./client.js";
export { ApiError, explain, type Attempt, type Explanation } from "./problem.js";
export { EventStream, SseParser, backoffMs, type SseMessage, type StreamOptions, type StreamState } from "./sse.js";
export * from "./types.js";
