/** The event stream: parsing at every cut, resuming, backing off, giving up what is dead. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, EventStream, SseParser, backoffMs, type SseMessage, type StreamState } from "./index.js";

const TEXT = '\uFEFF: hello\r\nid: 1\r\nevent: activation.present\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:x\n\nid: 2\rretry: 2500\rdata\r\rid\ndata: last\n\n';
const EXPECTED: readonly SseMessage[] = [
  { id: "1", event: "activation.present", data: '{"a":\n1}' },
  { id: "1", event: "message", data: "x" },
  { id: "2", event: "message", data: "" },
  { id: "", event: "message", data: "last" },
];

describe("SseParser", () => {
  it("reads every line ending, comments, several data lines and bare fields", () => {
    const parser = new SseParser();
    expect(parser.push(TEXT)).toEqual(EXPECTED);
    expect(parser.retryMs).toBe(2500);
  });

  it("gives the same at every cut of the text", () => {
    for (let cut = 0; cut <= TEXT.length; cut++) {
      const parser = new SseParser();
      expect([...parser.push(TEXT.slice(0, cut)), ...parser.push(TEXT.slice(cut))], `cut at ${cut}`).toEqual(EXPECTED);
    }
  });

  it("gives the same character by character", () => {
    const parser = new SseParser();
    expect(Array.from(TEXT).flatMap((character) => parser.push(character))).toEqual(EXPECTED);
  });

  it("drops a message that the stream did not finish, and ids with a NUL", () => {
    const parser = new SseParser();
    expect(parser.push("id: a\0b\ndata: never finished\n")).toEqual([]);
    expect(parser.lastEventId).toBeNull();
  });

  it("refuses a line without end", () => {
    const parser = new SseParser();
    expect(() => {
      for (let at = 0; at < 40; at++) parser.push("x".repeat(50_000));
    }).toThrow(ApiError);
  });
});

describe("backoff", () => {
  it("doubles, keeps within its bound, spreads by a quarter", () => {
    expect(backoffMs(0, 1_000, 20_000, 0.5)).toBe(1_000);
    expect(backoffMs(3, 1_000, 20_000, 0.5)).toBe(8_000);
    expect(backoffMs(50, 1_000, 20_000, 0.5)).toBe(20_000);
    expect(backoffMs(0, 1_000, 20_000, 0)).toBe(750);
    expect(backoffMs(0, 1_000, 20_000, 1)).toBe(1_250);
  });
});

/** A server whose connections the test feeds and breaks by hand. */
class FakeServer {
  readonly asked: (string | null)[] = [];
  feeds: ReadableStreamDefaultController<Uint8Array>[] = [];
  refuse: ApiError | null = null;

  readonly open = (lastEventId: string | null, signal: AbortSignal): Promise<Response> => {
    this.asked.push(lastEventId);
    if (this.refuse !== null) return Promise.reject(this.refuse);
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.feeds.push(controller);
        signal.addEventListener("abort", () => {
          try {
            controller.error(new DOMException("aborted", "AbortError"));
          } catch {
            // already closed by the test
          }
        });
      },
    });
    return Promise.resolve(new Response(body));
  };

  say(text: string): void {
    this.feeds.at(-1)?.enqueue(new TextEncoder().encode(text));
  }
}

describe("EventStream", () => {
  let server: FakeServer;
  let events: [string, unknown][];
  let states: StreamState[];
  let refused: ApiError[];
  let stream: EventStream;

  beforeEach(() => {
    vi.useFakeTimers();
    server = new FakeServer();
    events = [];
    states = [];
    refused = [];
    stream = new EventStream({
      open: server.open,
      onEvent: (type, data) => events.push([type, data]),
      onState: (state) => states.push(state),
      onRefused: (error) => refused.push(error),
      random: () => 0.5,
    });
  });

  afterEach(() => {
    stream.close();
    vi.useRealTimers();
  });

  const settle = async (ms = 0): Promise<void> => vi.advanceTimersByTimeAsync(ms).then(() => undefined);

  it("delivers events, and resumes after the last one that it saw", async () => {
    stream.start();
    await settle();
    server.say('id: 41\nevent: activation.present\ndata: {"tries_left":3}\n\n');
    await settle();
    expect(events).toEqual([["activation.present", { tries_left: 3 }]]);
    server.feeds[0]?.close();
    await settle(1_100);
    expect(server.asked).toEqual([null, "41"]);
    server.say(": ok\n\n");
    await settle();
    expect(states).toEqual(["connecting", "open", "lost", "open"]);
  });

  it("drops a connection whose heartbeats stopped", async () => {
    stream.start();
    await settle();
    server.say(": beat\n\n");
    await settle(39_000);
    server.say(": beat\n\n");
    await settle(39_000);
    expect(server.asked).toHaveLength(1);
    await settle(2_500);
    expect(server.asked).toHaveLength(2);
  });

  it("lets go of its connection when the network is gone, and takes it up again once nudged", async () => {
    stream.start();
    await settle();
    server.say(": beat\n\n");
    await settle();
    server.refuse = new ApiError("offline", 0);
    stream.drop();
    await settle();
    expect(stream.state).toBe("lost");
    await settle(20_000);
    server.refuse = null;
    const before = server.asked.length;
    stream.nudge();
    await settle();
    expect(server.asked).toHaveLength(before + 1);
    server.say(": ok\n\n");
    await settle();
    expect(states).toEqual(["connecting", "open", "lost", "open"]);
  });

  it("waits longer from failure to failure, and not at all when nudged", async () => {
    server.refuse = new ApiError("offline", 0);
    stream.start();
    await settle();
    expect(server.asked).toHaveLength(1);
    await settle(1_000);
    expect(server.asked).toHaveLength(2);
    await settle(1_000);
    expect(server.asked).toHaveLength(2);
    stream.nudge();
    await settle();
    expect(server.asked).toHaveLength(3);
  });

  it("waits as long as the server asks", async () => {
    server.refuse = new ApiError("rate-limited", 429, {}, 9);
    stream.start();
    await settle(8_900);
    expect(server.asked).toHaveLength(1);
    await settle(200);
    expect(server.asked).toHaveLength(2);
  });

  it("stops for good when its token is refused", async () => {
    server.refuse = new ApiError("unauthenticated", 401);
    stream.start();
    await settle(120_000);
    expect(server.asked).toHaveLength(1);
    expect(refused.map(({ code }) => code)).toEqual(["unauthenticated"]);
    expect(stream.state).toBe("closed");
  });

  it("passes over data that is no JSON object", async () => {
    stream.start();
    await settle();
    server.say("event: a\ndata: nonsense\n\nevent: b\ndata: [1]\n\nevent: c\ndata: null\n\nevent: d\ndata: {}\n\n");
    await settle();
    expect(events).toEqual([["d", {}]]);
  });

  it("says nothing more once closed", async () => {
    stream.start();
    await settle();
    stream.close();
    await settle(60_000);
    expect(server.asked).toHaveLength(1);
    expect(stream.state).toBe("closed");
  });
});
