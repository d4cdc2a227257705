/**
 * What the phone client needs of the browser: sockets, one kind of GET, time, locks between tabs, whether there is a
 * network, and the device's authenticator (`credentials.ts`). It comes in as one object, so that tests and other hosts bring their own. Nothing else in this folder touches
 * a global but WebCrypto and IndexedDB.
 */
import type { Bytes } from "../protocol/bytes";
import { MAX_FRAME_BYTES, SUBPROTOCOL } from "../protocol/frames";
import { type PlatformCredentials, webAuthn } from "./credentials";
import { PhoneClientError } from "./errors";

/** A connected socket of binary frames. */
export interface FrameSocket {
  send(frame: Bytes): void;
  /** The next frame. Rejects with `connection-lost` once closed, or `protocol` for a frame that is not allowed. */
  receive(): Promise<Bytes>;
  close(): void;
}

export interface PhoneEnvironment {
  /** Whether this page came over https: only then may the channel, and it must, be wss. */
  readonly secure: boolean;
  connect(url: string): Promise<FrameSocket>;
  /** GET of a JSON document on this origin: its status and, for 200, its bytes. Rejects with `connection-lost`. */
  get(path: string): Promise<{ readonly status: number; readonly body: Bytes }>;
  /** Milliseconds of the phone's clock. */
  now(): number;
  /** Calls back after a time; the returned function stops it. */
  after(milliseconds: number, callback: () => void): () => void;
  /** Takes a lock that no other tab holds; null when another one keeps it. The returned function releases it. */
  lock(name: string): Promise<(() => void) | null>;
  online(): boolean;
  /** Calls back when the network comes or goes, and when the page comes to the front. */
  onNetwork(listener: () => void): () => void;
  persist(): Promise<boolean>;
  /** The device's own authenticator. */
  readonly credentials: PlatformCredentials;
}

const LOCK_PATIENCE_MS = 3_000;
const MAX_DOCUMENT_BYTES = 65_536;
const MAX_WAITING_FRAMES = 64;

class BrowserSocket implements FrameSocket {
  readonly #socket: WebSocket;
  readonly #frames: Bytes[] = [];
  #waiting: { resolve: (frame: Bytes) => void; reject: (error: Error) => void } | null = null;
  #failure: PhoneClientError | null = null;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", (event) => {
      this.#take(event.data);
    });
    socket.addEventListener("close", () => {
      this.#fail(new PhoneClientError("connection-lost"));
    });
  }

  send(frame: Bytes): void {
    if (this.#failure !== null) throw this.#failure;
    this.#socket.send(frame);
  }

  receive(): Promise<Bytes> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  close(): void {
    this.#fail(new PhoneClientError("connection-lost"));
  }

  #take(data: unknown): void {
    const allowed = data instanceof ArrayBuffer && data.byteLength <= MAX_FRAME_BYTES;
    if (!allowed || this.#frames.length >= MAX_WAITING_FRAMES) {
      this.#fail(new PhoneClientError("protocol"));
      return;
    }
    const frame = new Uint8Array(data);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#frames.push(frame);
    else waiting.resolve(frame);
  }

  #fail(error: PhoneClientError): void {
    this.#failure ??= error;
    this.#waiting?.reject(this.#failure);
    this.#waiting = null;
    this.#socket.close();
  }
}

/** A socket of the platform, binary frames of bounded size alone. */
export function connectSocket(url: string): Promise<FrameSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    const frames = new BrowserSocket(socket);
    socket.addEventListener("open", () => {
      if (socket.protocol === SUBPROTOCOL) {
        resolve(frames);
        return;
      }
      socket.close();
      reject(new PhoneClientError("protocol"));
    });
    socket.addEventListener("close", () => {
      reject(new PhoneClientError("connection-lost"));
    });
  });
}

async function getDocument(path: string): Promise<{ status: number; body: Bytes }> {
  try {
    const response = await fetch(path, { credentials: "omit", cache: "no-store", redirect: "error" });
    const body = new Uint8Array(await response.arrayBuffer());
    if (body.length > MAX_DOCUMENT_BYTES) throw new PhoneClientError("protocol");
    return { status: response.status, body };
  } catch (cause) {
    if (cause instanceof PhoneClientError) throw cause;
    throw new PhoneClientError("connection-lost", {}, { cause });
  }
}

/** Holds a web lock until the returned function is called; the browser frees it when the tab dies. */
function takeLock(name: string): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    const hold = (): Promise<void> =>
      new Promise((release) => {
        resolve(release);
      });
    navigator.locks.request(name, { signal: AbortSignal.timeout(LOCK_PATIENCE_MS) }, hold).catch((cause: unknown) => {
      const late = cause instanceof DOMException && (cause.name === "TimeoutError" || cause.name === "AbortError");
      if (late) resolve(null);
      else reject(new PhoneClientError("unsupported", {}, { cause }));
    });
  });
}

function watchNetwork(listener: () => void): () => void {
  const onVisible = (): void => {
    if (document.visibilityState === "visible") listener();
  };
  window.addEventListener("online", listener);
  window.addEventListener("offline", listener);
  document.addEventListener("visibilitychange", onVisible);
  return () => {
    window.removeEventListener("online", listener);
    window.removeEventListener("offline", listener);
    document.removeEventListener("visibilitychange", onVisible);
  };
}

/** The environment of a page. Raises `unsupported` where a browser lacks what it needs (or the page is not secure). */
export function browserEnvironment(): PhoneEnvironment {
  const supported = globalThis.isSecureContext && "indexedDB" in globalThis && "locks" in navigator;
  if (!supported) throw new PhoneClientError("unsupported");
  return {
    secure: location.protocol !== "http:",
    connect: connectSocket,
    get: getDocument,
    now: () => Date.now(),
    after: (milliseconds, callback) => {
      const timer = setTimeout(callback, milliseconds);
      return () => {
        clearTimeout(timer);
      };
    },
    lock: takeLock,
    online: () => navigator.onLine,
    onNetwork: watchNetwork,
    persist: () => navigator.storage.persist(),
    credentials: webAuthn,
  };
}
