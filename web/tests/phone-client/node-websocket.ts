/** As much of the browser's WebSocket (RFC 6455) as the phone client uses, over node:http: Node 20 has none of its own. */
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import type { Duplex } from "node:stream";

const CONTINUED_LENGTH: Record<number, number> = { 126: 2, 127: 8 };

export class NodeWebSocket extends EventTarget {
  binaryType = "blob";
  protocol = "";
  #stream: Duplex | null = null;
  #pending = Buffer.alloc(0);
  #closed = false;

  constructor(url: string, protocol: string) {
    super();
    const headers = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
      "Sec-WebSocket-Protocol": protocol,
    };
    const upgrading = request(url.replace(/^ws/, "http"), { headers });
    upgrading.on("upgrade", (response, stream, head) => {
      this.protocol = response.headers["sec-websocket-protocol"] ?? "";
      this.#stream = stream;
      stream.on("data", (data: Buffer) => {
        this.#take(data);
      });
      for (const event of ["close", "end", "error"]) stream.on(event, this.#end);
      this.dispatchEvent(new Event("open"));
      this.#take(head);
    });
    upgrading.on("response", this.#end);
    upgrading.on("error", this.#end);
    upgrading.end();
  }

  send(frame: Uint8Array): void {
    this.#write(2, frame);
  }

  close(): void {
    if (this.#stream !== null && !this.#closed) this.#write(8, new Uint8Array(0));
    this.#end();
  }

  #write(opcode: number, payload: Uint8Array): void {
    const mask = randomBytes(4);
    const long = payload.length > 125;
    const head = Buffer.alloc(long ? 4 : 2);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (long ? 126 : payload.length);
    if (long) head.writeUInt16BE(payload.length, 2);
    const masked = Buffer.from(payload.map((byte, index) => byte ^ mask[index % 4]!));
    this.#stream?.write(Buffer.concat([head, mask, masked]));
  }

  #take(data: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, data]);
    while (this.#pending.length >= 2) {
      const short = this.#pending[1]! & 127;
      const extra = CONTINUED_LENGTH[short] ?? 0;
      if (this.#pending.length < 2 + extra) return;
      const length = extra === 0 ? short : this.#pending.readUIntBE(extra === 8 ? 4 : 2, extra === 8 ? 6 : 2);
      const end = 2 + extra + length;
      if (this.#pending.length < end) return;
      const payload = this.#pending.subarray(2 + extra, end);
      const opcode = this.#pending[0]! & 15;
      this.#pending = this.#pending.subarray(end);
      this.#frame(opcode, payload);
    }
  }

  #frame(opcode: number, payload: Buffer): void {
    if (opcode === 2) {
      this.dispatchEvent(new MessageEvent("message", { data: new Uint8Array(payload).buffer }));
    } else if (opcode === 9) {
      this.#write(10, payload);
    } else if (opcode === 8) {
      this.close();
    }
  }

  readonly #end = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream?.destroy();
    this.dispatchEvent(new Event("close"));
  };
}
