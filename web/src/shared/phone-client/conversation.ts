/**
 * One established connection: JSON messages over a Session over a socket. It answers requests in order, one at a time,
 * hands everything else to its owner, and ends at the first thing that is not as the specification says. First contact
 * and channel own one each.
 */
import { copyBytes, wipe } from "../protocol/bytes";
import { decodeGatewayMessage, encodePhoneMessage, type GatewayMessage, type GatewayMessageOf, type GatewayTag, type PhoneMessage } from "../protocol/messages";
import type { Session } from "../protocol/session";
import type { FrameSocket, PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import { isPassing, toPhoneError } from "./failures";

export const ANSWER_PATIENCE_MS = 15_000;
const MAX_EARLY = 32;

interface Waiting {
  readonly answers: (message: GatewayMessage) => boolean;
  readonly resolve: (message: GatewayMessage) => void;
  readonly reject: (error: PhoneClientError) => void;
}

export interface ConversationOwner {
  /** A message that answers no request. Throwing ends the conversation. */
  onMessage(message: GatewayMessage): void;
  /** Once, at its end; null when `close` was called. */
  onEnd(error: PhoneClientError | null): void;
}

export class Conversation {
  readonly session: Session;
  readonly #socket: FrameSocket;
  readonly #environment: PhoneEnvironment;
  #owner: ConversationOwner | null = null;
  readonly #early: GatewayMessage[] = [];
  #waiting: Waiting | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #ended: PhoneClientError | null = null;

  constructor(socket: FrameSocket, session: Session, environment: PhoneEnvironment) {
    this.#socket = socket;
    this.session = session;
    this.#environment = environment;
    void this.#listen();
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  /** Whoever takes over what a handshake opened hears of everything that answered no request, and of the end. */
  handTo(owner: ConversationOwner): void {
    this.#owner = owner;
    try {
      for (const message of this.#early.splice(0)) owner.onMessage(message);
    } catch (cause) {
      this.#end(toPhoneError(cause));
      return;
    }
    const ended = this.#ended;
    if (ended === null) return;
    queueMicrotask(() => {
      owner.onEnd(ended.code === "closed" ? null : ended);
    });
  }

  /** Sends a message and waits for its answer, one of `tags`. `problem` rejects. */
  request<T extends GatewayTag>(message: PhoneMessage, ...tags: readonly T[]): Promise<GatewayMessageOf<T>> {
    return this.#exchange(message, (answer) => hasTag(answer, tags));
  }

  /** Likewise, where not every message of these tags is the answer. */
  requestWhere<T extends GatewayTag>(
    message: PhoneMessage,
    tags: readonly T[],
    holds: (answer: GatewayMessageOf<T>) => boolean,
  ): Promise<GatewayMessageOf<T>> {
    return this.#exchange(message, (answer) => hasTag(answer, tags) && holds(answer as GatewayMessageOf<T>));
  }

  #exchange<T extends GatewayMessage>(message: PhoneMessage, answers: (answer: GatewayMessage) => boolean): Promise<T> {
    const run = async (): Promise<GatewayMessage> => {
      this.#check();
      const answer = new Promise<GatewayMessage>((resolve, reject) => {
        this.#waiting = { answers, resolve, reject };
      });
      answer.catch(() => undefined);
      const stop = this.#environment.after(ANSWER_PATIENCE_MS, () => {
        this.#end(new PhoneClientError("timeout"));
      });
      try {
        this.#socket.send(await this.session.encrypt(encodePhoneMessage(message)));
        return await answer;
      } catch (cause) {
        const error = toPhoneError(cause);
        if (isPassing(error)) this.#end(error);
        throw error;
      } finally {
        stop();
        this.#waiting = null;
      }
    };
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => undefined);
    return result as Promise<T>;
  }

  /** Ends it, without an error. */
  close(): void {
    this.#end(null);
  }

  /** Ends it as a lost connection, for instance when the phone knows that its network has gone. */
  drop(): void {
    this.#end(new PhoneClientError("connection-lost"));
  }

  async #listen(): Promise<void> {
    try {
      for (;;) {
        const plaintext = await this.session.decrypt(copyBytes(await this.#socket.receive()));
        const message = decodeGatewayMessage(plaintext);
        wipe(plaintext);
        this.#dispatch(message);
      }
    } catch (cause) {
      this.#end(toPhoneError(cause));
    }
  }

  #dispatch(message: GatewayMessage): void {
    this.#check();
    const waiting = this.#waiting;
    if (waiting?.answers(message) === true) {
      this.#waiting = null;
      // What comes behind it is for whoever takes the channel over.
      if (message.t === "active") this.#owner = null;
      waiting.resolve(message);
    } else if (message.t === "problem") {
      const error = new PhoneClientError("problem", { problem: message.code });
      this.#waiting = null;
      if (waiting === null) this.#end(error);
      else waiting.reject(error);
    } else if (this.#owner !== null) {
      this.#owner.onMessage(message);
    } else if (this.#early.push(message) > MAX_EARLY) {
      throw new PhoneClientError("protocol");
    }
  }

  #check(): void {
    if (this.#ended !== null) throw this.#ended;
  }

  #end(error: PhoneClientError | null): void {
    if (this.#ended !== null) return;
    this.#ended = error ?? new PhoneClientError("closed");
    this.#waiting?.reject(this.#ended);
    this.#waiting = null;
    this.session.close();
    this.#socket.close();
    this.#owner?.onEnd(error);
  }
}

function hasTag(message: GatewayMessage, tags: readonly GatewayTag[]): boolean {
  return tags.includes(message.t);
}
