/** What the scripted gateway reads and says on one connection, with the losses that a test wants. */
import { fromUtf8, utf8 } from "../../src/shared/protocol/bytes";
import type { Session } from "../../src/shared/protocol/session";
import type { Json } from "./fake-desk";
import type { MemorySocket } from "./fake-environment";

/** Ends the serving of one socket; a fault, or the gateway's own wish. */
export class Hangup extends Error {}

/** One connection of the scripted gateway. */
export class Line {
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    readonly gateway: { readonly heard: string[]; lose(fault: string): void },
    readonly socket: MemorySocket,
    readonly session: Session,
  ) {}

  async read(): Promise<Json> {
    const frame = await this.socket.receive();
    const message = JSON.parse(fromUtf8(await this.session.decrypt(frame))) as Json;
    this.gateway.heard.push(String(message["t"]));
    this.gateway.lose(`before ${String(message["t"])}`);
    return message;
  }

  /** One after the other: what is encrypted first is sent first. */
  say(message: Json): Promise<void> {
    const said = this.#turn.then(() => this.#say(message));
    this.#turn = said.catch(() => undefined);
    return said;
  }

  async #say(message: Json): Promise<void> {
    const frame = await this.session.encrypt(utf8(JSON.stringify(message)));
    this.gateway.lose(`after ${String(message["t"])}`);
    this.socket.send(frame);
  }
}
