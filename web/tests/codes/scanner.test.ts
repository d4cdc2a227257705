import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FromWorker, ToWorker } from "../../src/shared/codes/messages.js";
import { CodeScanner } from "../../src/shared/codes/scanner.js";

/** Stands for the worker; answers when the test says so. */
class FakeWorker extends EventTarget {
  readonly received: ToWorker[] = [];
  terminated = false;

  constructor(readonly answerStart: FromWorker | null = { kind: "ready" }) {
    super();
  }

  postMessage(message: ToWorker): void {
    this.received.push(message);
    if (message.kind === "start" && this.answerStart) this.answer(this.answerStart);
  }

  answer(message: FromWorker): void {
    this.dispatchEvent(new MessageEvent("message", { data: message }));
  }

  terminate(): void {
    this.terminated = true;
  }
}

const bitmap = { width: 640, height: 480, close: vi.fn() } as unknown as ImageBitmap;
const source = { width: 1920, height: 1080 } as ImageData;
const outcome: FromWorker = { kind: "outcome", outcome: null, readMs: 3 };

function open(worker: FakeWorker): Promise<CodeScanner> {
  return CodeScanner.open({ wasmUrl: "/assets/reader.wasm", createWorker: () => worker as unknown as Worker });
}

beforeEach(() => {
  vi.stubGlobal("location", { href: "https://bank.example/phone/" });
  vi.stubGlobal("createImageBitmap", vi.fn(() => Promise.resolve(bitmap)));
});

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("CodeScanner", () => {
  it("tells the worker an absolute URL on the page's own origin", async () => {
    const worker = new FakeWorker();
    await open(worker);
    expect(worker.received).toEqual([{ kind: "start", wasmUrl: "https://bank.example/assets/reader.wasm", limits: {} }]);
  });

  it("rejects when the worker is of no use", async () => {
    await expect(open(new FakeWorker({ kind: "failed", reason: "no wasm" }))).rejects.toThrow("no wasm");
  });

  it("drops frames while the worker is busy", async () => {
    const worker = new FakeWorker();
    const scanner = await open(worker);
    const first = scanner.scan(source);
    expect(scanner.busy).toBe(true);
    expect(await scanner.scan(source)).toBe("dropped");
    await vi.waitFor(() => {
      expect(worker.received).toHaveLength(2);
    });
    expect(await scanner.scan(source)).toBe("dropped");
    worker.answer(outcome);
    expect(await first).toBeNull();
    expect(scanner.busy).toBe(false);
  });

  it("scales long frames down and leaves short ones alone", async () => {
    const worker = new FakeWorker();
    const scanner = await open(worker);
    void scanner.scan(source);
    expect(createImageBitmap).toHaveBeenLastCalledWith(source, { resizeWidth: 1280, resizeHeight: 720, resizeQuality: "medium" });
    await vi.waitFor(() => {
      expect(worker.received).toHaveLength(2);
    });
    worker.answer(outcome);
    const small = { width: 640, height: 480 } as ImageData;
    void scanner.scan(small);
    expect(createImageBitmap).toHaveBeenLastCalledWith(small);
  });

  it("drops a source without a picture and goes on", async () => {
    const scanner = await open(new FakeWorker());
    vi.mocked(createImageBitmap).mockRejectedValueOnce(new DOMException("no frame", "InvalidStateError"));
    expect(await scanner.scan(source)).toBe("dropped");
    expect(scanner.busy).toBe(false);
  });

  it("ends the worker and the frame under way when it is closed", async () => {
    const worker = new FakeWorker();
    const scanner = await open(worker);
    const pending = scanner.scan(source);
    await vi.waitFor(() => {
      expect(worker.received).toHaveLength(2);
    });
    scanner.close();
    scanner.close();
    expect(await pending).toBeNull();
    expect(worker.terminated).toBe(true);
    expect(await scanner.scan(source)).toBe("dropped");
  });
});
