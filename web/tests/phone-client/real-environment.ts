/** A phone's surroundings for the real gateway. */
import { copyBytes } from "../../src/shared/protocol/bytes";
import { connectSocket, type PhoneEnvironment } from "../../src/shared/phone-client/environment";
import { FakeAuthenticator } from "./fake-authenticator";
import { FakeEnvironment } from "./fake-environment";
import type { RealGateway } from "./real-process";
import { until } from "./setup";

/** Real sockets, documents, clock and timers; locks in memory. */
export function realEnvironment(gateway: RealGateway): PhoneEnvironment {
  const memory = new FakeEnvironment(() => undefined);
  return {
    secure: false,
    connect: connectSocket,
    get: async (path) => {
      const response = await fetch(gateway.origin + path);
      return { status: response.status, body: copyBytes(new Uint8Array(await response.arrayBuffer())) };
    },
    now: () => Date.now(),
    after: (milliseconds, callback) => {
      const timer = setTimeout(callback, milliseconds);
      return () => {
        clearTimeout(timer);
      };
    },
    lock: async (name) => {
      let release: (() => void) | null = null;
      await until(async () => (release = await memory.lock(name)) !== null);
      return release;
    },
    online: () => true,
    onNetwork: () => () => undefined,
    persist: () => Promise.resolve(true),
    credentials: new FakeAuthenticator(gateway.origin),
  };
}
