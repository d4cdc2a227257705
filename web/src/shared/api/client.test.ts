/** The REST client against a server of our own making: what it sends, and what each failure becomes. */
import { describe, expect, it } from "vitest";
import { ApiError, GatewayClient, explain } from "./index.js";

interface Sent {
  readonly url: string;
  readonly init: RequestInit;
}

function clientWith(answers: readonly (() => Response | Promise<Response>)[], timeoutMs = 1_000): { client: GatewayClient; sent: Sent[] } {
  const sent: Sent[] = [];
  const client = new GatewayClient({
    base: "https://gateway.example/",
    token: "ptk_secret",
    timeoutMs,
    fetch: async (input, init) => {
      sent.push({ url: input as string, init: init ?? {} });
      const answer = answers[sent.length - 1];
      if (answer === undefined) throw new Error("one request too many");
      return answer();
    },
  });
  return { client, sent };
}

function json(body: unknown, status = 200, headers: Record<string, string> = {}): () => Response {
  return () => new Response(JSON.stringify(body), { status, headers });
}

async function failure(work: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await work.then(
    () => null,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describe("what is sent", () => {
  it("carries the token in the header alone and sends no cookies", async () => {
    const { client, sent } = clientWith([json({ id: "act_1" })]);
    await client.activation("act_1/../x");
    expect(sent[0]?.url).toBe("https://gateway.example/api/v1/activations/act_1%2F..%2Fx");
    expect(sent[0]?.url).not.toContain("ptk_");
    expect(new Headers(sent[0]?.init.headers).get("Authorization")).toBe("Bearer ptk_secret");
    expect(sent[0]?.init.credentials).toBe("omit");
  });

  it("gives each suspension an idempotency key of its own", async () => {
    const { client, sent } = clientWith([json({}), json({})]);
    await client.suspend("bnd_1");
    await client.suspend("bnd_1");
    const keys = sent.map(({ init }) => new Headers(init.headers).get("Idempotency-Key"));
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys[0]).not.toBe(keys[1]);
  });

  it("gives up when the caller does, also where AbortSignal.any is missing", async () => {
    const any = Object.getOwnPropertyDescriptor(AbortSignal, "any");
    Reflect.deleteProperty(AbortSignal, "any");
    try {
      const { client, sent } = clientWith([json({}), json({})]);
      const wish = new AbortController();
      await client.code("act_1", "qr", wish.signal);
      expect(sent[0]?.init.signal?.aborted).toBe(false);
      wish.abort();
      expect(sent[0]?.init.signal?.aborted).toBe(true);
      await client.code("act_1", "qr", wish.signal);
      expect(sent[1]?.init.signal?.aborted).toBe(true);
    } finally {
      if (any !== undefined) Object.defineProperty(AbortSignal, "any", any);
    }
  });

  it("follows the cursor of a list to its end", async () => {
    const { client, sent } = clientWith([json({ items: [{ id: "a" }], next_cursor: "n&1" }), json({ items: [{ id: "b" }], next_cursor: null })]);
    expect((await client.bindings()).map(({ id }) => id)).toEqual(["a", "b"]);
    expect(sent[1]?.url).toContain("cursor=n%261");
  });

  it("takes an empty answer", async () => {
    const { client } = clientWith([() => new Response(null, { status: 204 })]);
    await expect(client.remove("bnd_1")).resolves.toBeUndefined();
  });
});

describe("failures", () => {
  it("keeps the problem's code, members and request id", async () => {
    const problem = { code: "device-code-wrong", status: 422, left: 2, request_id: "r1" };
    const error = await failure(clientWith([json(problem, 422)]).client.confirm("act_1", "12345678"));
    expect([error.code, error.status, error.number("left"), error.requestId]).toEqual(["device-code-wrong", 422, 2, "r1"]);
    expect(error.number("missing")).toBeNull();
    expect(error.transient).toBe(false);
  });

  it("reads a code out of the status when a proxy answers with a page", async () => {
    const page = (status: number) => clientWith([() => new Response("<html>", { status })]).client.activation("a");
    expect((await failure(page(502))).code).toBe("unavailable");
    expect((await failure(page(401))).code).toBe("unauthenticated");
    expect((await failure(page(404))).code).toBe("not-found");
    expect((await failure(page(500))).code).toBe("internal");
  });

  it("takes Retry-After in seconds, bounded, and nothing else", async () => {
    const limited = (value: string) => clientWith([json({ code: "rate-limited" }, 429, { "Retry-After": value })]).client.activation("a");
    expect((await failure(limited("7"))).retryAfter).toBe(7);
    expect((await failure(limited("99999999"))).retryAfter).toBe(3600);
    expect((await failure(limited("soon"))).retryAfter).toBeNull();
    expect((await failure(limited("-1"))).retryAfter).toBeNull();
  });

  it("tells a broken network from a slow answer", async () => {
    const broken = clientWith([() => Promise.reject(new TypeError("Failed to fetch"))]).client.activation("a");
    const slow = clientWith([() => Promise.reject(new DOMException("late", "TimeoutError"))]).client.activation("a");
    expect((await failure(broken)).code).toBe("offline");
    expect((await failure(slow)).code).toBe("timeout");
  });

  it("does not take half an answer for a whole one", async () => {
    const error = await failure(clientWith([() => new Response('{"id": "act', { status: 200 })]).client.activation("a"));
    expect(error.code).toBe("internal");
  });
});

describe("explanations", () => {
  const codes = ["offline", "timeout", "unauthenticated", "forbidden", "not-found", "conflict", "rate-limited", "activation-ended", "device-code-wrong", "unavailable", "invalid-request"];

  it.each(codes)("%s has a text and a next step of its own in both languages", (code) => {
    const general = explain(new Error("x"), "en");
    for (const lang of ["fr", "en"] as const) {
      const said = explain(new ApiError(code, 400), lang);
      expect(said.title).not.toBe("");
      expect(said.nextStep).not.toBe("");
      expect(said.title).not.toBe(general.title);
    }
    expect(explain(new ApiError(code, 400), "fr").title).not.toBe(explain(new ApiError(code, 400), "en").title);
  });

  it("speaks of adding a phone, not of activations, which customers do not know", () => {
    for (const lang of ["fr", "en"] as const) {
      const { title, nextStep } = explain(new ApiError("activation-ended", 409), lang);
      expect(`${title} ${nextStep}`).not.toMatch(/activation/i);
      expect(nextStep).toMatch(/téléphone|phone/);
    }
  });

  it("gives the reference of a fault on the server's side only", () => {
    expect(explain(new ApiError("internal", 500, { request_id: "abc" }), "en").nextStep).toContain("abc");
    expect(explain(new ApiError("conflict", 409, { request_id: "abc" }), "en").nextStep).not.toContain("abc");
  });
});
