/** The API page's reading of an OpenAPI document, on a small one written by hand in the gateway's manner. */
import { describe, expect, it } from "vitest";
import { noteOf, operationsOf, rowsOf, schemasOf, typeName, type JsonObject } from "./openapi.js";

const DOCUMENT: JsonObject = {
  openapi: "3.1.0",
  paths: {
    "/api/v1/things/{id}": {
      get: {
        operationId: "getThing",
        summary: "Read a thing",
        tags: ["things"],
        security: [{ apiKey: [] }, { pageToken: [] }],
        parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
        responses: { "200": { description: "Done.", content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } } }, "404": { description: "not-found" } },
      },
      parameters: [],
    },
    "/healthz": { get: { responses: {} } },
  },
  components: {
    schemas: {
      Thing: {
        type: "object",
        required: ["id"],
        properties: {
          id: { type: "string", description: "Its id" },
          parts: { type: "array", items: { $ref: "#/components/schemas/Part" } },
          state: { anyOf: [{ enum: ["on", "off"] }, { type: "null" }] },
          size: { type: ["integer", "null"], minimum: 1, maximum: 9, default: 3 },
        },
      },
      Part: { type: "string", format: "date-time" },
    },
  },
};

describe("operationsOf", () => {
  const [thing, health] = operationsOf(DOCUMENT);

  it("reads method, path, credentials, parameters and answers", () => {
    expect(thing).toMatchObject({ method: "GET", path: "/api/v1/things/{id}", tag: "things", credentials: ["apiKey", "pageToken"], body: null });
    expect(thing?.parameters).toEqual([{ name: "id", place: "path", required: true, type: "string", note: "" }]);
    expect(thing?.answers.map(({ status }) => status)).toEqual(["200", "404"]);
  });

  it("does with as little as a document may say", () => {
    expect(health).toMatchObject({ id: "get-/healthz", summary: "", tag: "other", credentials: [], answers: [] });
    expect(operationsOf({})).toEqual([]);
  });

  it("tells webhooks after the paths, by their names", () => {
    const told = operationsOf({ paths: {}, webhooks: { "thing.done": { post: { summary: "Tell of it", tags: ["webhooks"] } } } });
    expect(told).toMatchObject([{ method: "POST", path: "thing.done", tag: "webhooks" }]);
  });

  it("reads no schemas where there are none", () => {
    expect(schemasOf({})).toEqual({});
  });
});

describe("schemas", () => {
  it("are drawn as rows, with references to follow", () => {
    expect(rowsOf(schemasOf(DOCUMENT)["Thing"] ?? {})).toEqual([
      { name: "id", required: true, type: "string", note: "Its id", ref: null },
      { name: "parts", required: false, type: "list of Part", note: "", ref: "Part" },
      { name: "state", required: false, type: '"on" or "off" or null', note: "", ref: null },
      { name: "size", required: false, type: "integer or null", note: "at least 1; at most 9; default 3", ref: null },
    ]);
  });

  it("name anything that is not understood", () => {
    expect(typeName({})).toBe("anything");
    expect(typeName({ const: 7 })).toBe("7");
    expect(typeName({ type: "string", format: "date-time" })).toBe("string (date-time)");
    expect(noteOf({ description: "A thing", pattern: "^a$" })).toBe("A thing; matches ^a$");
  });
});
