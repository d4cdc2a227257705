/** A phone's surroundings in memory: sockets to a fake gateway, a network that comes and goes, locks, quick timers. */
import type { Bytes } from "../../src/shared/protocol/bytes";
import type { FrameSocket, PhoneEnvironment } from "../../src/shared/phone-client/environment";
import { PhoneClientError } from "../../src/shared/phone-client/errors";
import { FakeAuthenticator } from "./fake-authenticator";

/** The waits of the client are so much shorter here. */
const HURRY = 5;

/** One end of a socket in memory. */
export class MemorySocket implements FrameSocket {
  peer: MemorySocket | null = null;
  readonly #frames: Bytes[] = [];
  #waiting: { resolve: (frame: Bytes) => void; reject: (error: Error) => void } | null = null;
  #closed = false;

  send(frame: Bytes): void {
    if (this.#closed) throw new PhoneClientError("connection-lost");
    const copy = frame.slice();
    queueMicrotask(() => this.peer?.deliver(copy));
  }

  deliver(frame: Bytes): void {
    if (this.#closed) return;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#frames.push(frame);
    else waiting.resolve(frame);
  }

  receive(): Promise<Bytes> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.#closed) return Promise.reject(new PhoneClientError("connection-lost"));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting?.reject(new PhoneClientError("connection-lost"));
    this.#waiting = null;
    // Frames sent before the end still arrive, as on a real socket.
    setTimeout(() => this.peer?.close(), 0);
  }
}

export class FakeEnvironment implements PhoneEnvironment {
  readonly secure = true;
  readonly credentials = new FakeAuthenticator("https://bank.example");
  readonly urls: string[] = [];
  readonly documents = new Map<string, { status: number; body: Bytes }>();
  readonly #accept: (socket: MemorySocket) => void;
  readonly #listeners = new Set<() => void>();
  readonly #locks: Set<string>;
  readonly #timers: { milliseconds: number; callback: () => void }[] = [];
  #online = true;
  clock = 1_800_000_000_000;

  /** Environments that share `locks` are tabs of one browser. */
  constructor(accept: (socket: MemorySocket) => void, locks: Set<string> = new Set()) {
    this.#accept = accept;
    this.#locks = locks;
  }

  connect(url: string): Promise<FrameSocket> {
    this.urls.push(url);
    if (!this.#online) return Promise.reject(new PhoneClientError("connection-lost"));
    const [near, far] = [new MemorySocket(), new MemorySocket()];
    near.peer = far;
    far.peer = near;
    this.#accept(far);
    return Promise.resolve(near);
  }

  get(path: string): Promise<{ status: number; body: Bytes }> {
    return Promise.resolve(this.documents.get(path) ?? { status: 404, body: new Uint8Array(0) });
  }

  now(): number {
    return this.clock;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const entry = { milliseconds, callback };
    this.#timers.push(entry);
    const forget = (): void => {
      const place = this.#timers.indexOf(entry);
      if (place >= 0) this.#timers.splice(place, 1);
    };
    const timer = setTimeout(() => {
      forget();
      callback();
    }, milliseconds / HURRY);
    return () => {
      clearTimeout(timer);
      forget();
    };
  }

  /** Lets every timer of this length ring now. */
  ring(milliseconds: number): number {
    const due = this.#timers.filter((entry) => entry.milliseconds === milliseconds);
    for (const entry of due) {
      this.#timers.splice(this.#timers.indexOf(entry), 1);
      entry.callback();
    }
    return due.length;
  }

  lock(name: string): Promise<(() => void) | null> {
    if (this.#locks.has(name)) return Promise.resolve(null);
    this.#locks.add(name);
    return Promise.resolve(() => {
      this.#locks.delete(name);
    });
  }

  get locks(): readonly string[] {
    return [...this.#locks];
  }

  online(): boolean {
    return this.#online;
  }

  setOnline(online: boolean): void {
    this.#online = online;
    for (const listener of [...this.#listeners]) listener();
  }

  onNetwork(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  persist(): Promise<boolean> {
    return Promise.resolve(true);
  }
}
