/**
 * Reaching the gateway: opens the socket, exchanges hello and answer, and tries again for as long as that makes sense.
 * First contact and resume stand on it.
 */
import type { Bytes } from "../protocol/bytes";
import { CHANNEL_PATH, type GatewayFrame, parseGatewayFrame } from "../protocol/frames";
import type { FrameSocket, PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import { isPassing, toPhoneError } from "./failures";

const CONNECT_PATIENCE_MS = 10_000;
const FRAME_PATIENCE_MS = 15_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** Rejects with `timeout` when `work` takes too long; what it yields later goes to `discard`. */
export async function within<T>(
  environment: PhoneEnvironment,
  milliseconds: number,
  work: Promise<T>,
  discard: (late: T) => void = () => undefined,
): Promise<T> {
  let late = false;
  let stop = (): void => undefined;
  const limit = new Promise<never>((_, reject) => {
    stop = environment.after(milliseconds, () => {
      late = true;
      reject(new PhoneClientError("timeout"));
    });
  });
  work.then(
    (value) => {
      if (late) discard(value);
    },
    () => undefined,
  );
  try {
    return await Promise.race([work, limit]);
  } finally {
    stop();
  }
}

export interface Answered {
  readonly socket: FrameSocket;
  readonly frame: GatewayFrame;
}

/** Opens a socket, sends the hello, and returns the gateway's frame beside the open socket. */
export async function sendHello(environment: PhoneEnvironment, host: string, hello: Bytes): Promise<Answered> {
  return reaching(environment, () => exchange(environment, host, hello));
}

/** A lost connection of a phone that has no network is told as `offline`. */
export async function reaching<T>(environment: PhoneEnvironment, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const error = toPhoneError(cause);
    const offline = error.code === "connection-lost" && !environment.online();
    throw offline ? new PhoneClientError("offline", {}, { cause }) : error;
  }
}

async function exchange(environment: PhoneEnvironment, host: string, hello: Bytes): Promise<Answered> {
  const url = `${environment.secure ? "wss" : "ws"}://${host}${CHANNEL_PATH}`;
  const socket = await within(environment, CONNECT_PATIENCE_MS, environment.connect(url), (late) => {
    late.close();
  });
  try {
    socket.send(hello);
    return { socket, frame: await nextFrame(environment, socket) };
  } catch (cause) {
    socket.close();
    throw cause;
  }
}

/** The next frame before the handshake is done. */
export async function nextFrame(environment: PhoneEnvironment, socket: FrameSocket): Promise<GatewayFrame> {
  return parseGatewayFrame(await within(environment, FRAME_PATIENCE_MS, socket.receive()));
}

export interface Persistence {
  readonly environment: PhoneEnvironment;
  readonly attempt: () => Promise<void>;
  /** Told before each wait; null while the phone is offline. */
  readonly onWait: (milliseconds: number | null) => void;
  readonly signal: AbortSignal;
  /** At most so many tries, then the last error is raised; with a limit, a phone without a network is told at once. */
  readonly tries?: number;
}

/** Tries until it works. Raises the first error that time does not mend, or `closed` when `signal` says so. */
export async function tryAgain(persistence: Persistence): Promise<void> {
  const { environment, attempt, onWait, signal, tries: limit = Infinity } = persistence;
  for (let tries = 0; ; tries += 1) {
    if (signal.aborted) throw new PhoneClientError("closed");
    try {
      await attempt();
      return;
    } catch (cause) {
      const error = toPhoneError(cause);
      const hopeless = error.code === "offline" && limit !== Infinity;
      if (!isPassing(error) || hopeless || tries + 1 >= limit) throw error;
    }
    // Spread over half the time, so that the phones of a restarted gateway do not come all at once.
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
    const spread = crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 33;
    const wait = Math.round(longest * (0.5 + spread));
    const online = environment.online();
    onWait(online ? wait : null);
    // Browsers are sometimes wrong about being offline: try even then, but seldom.
    await pause(environment, online ? wait : LONGEST_WAIT_MS, signal);
  }
}

/** Waits a time, or until the network comes back. */
function pause(environment: PhoneEnvironment, milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      stopTimer();
      stopNetwork();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const stopTimer = environment.after(milliseconds, finish);
    const stopNetwork = environment.onNetwork(() => {
      if (environment.online()) finish();
    });
    signal.addEventListener("abort", finish);
  });
}
