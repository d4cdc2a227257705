/**
 * Reads the gateway's OpenAPI 3.1 document into what the API page draws: operations by tag, schemas as rows. Pure; it
 * understands the parts of JSON Schema that the gateway writes, and shows anything else as its type's name.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json };
export type JsonObject = { readonly [member: string]: Json };

export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly description: string;
  readonly tag: string;
  readonly credentials: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly body: JsonObject | null;
  readonly answers: readonly Answer[];
}

export interface Parameter {
  readonly name: string;
  readonly place: string;
  readonly required: boolean;
  readonly type: string;
  readonly note: string;
}

export interface Answer {
  readonly status: string;
  readonly text: string;
  readonly schema: JsonObject | null;
}

/** A member of an object schema, ready to be drawn as a row. */
export interface Row {
  readonly name: string;
  readonly required: boolean;
  readonly type: string;
  readonly note: string;
  /** The name of the schema that this member refers to, or null. */
  readonly ref: string | null;
}

const METHODS = ["get", "post", "put", "patch", "delete"];

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

function list(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}

/** Returns the last name of a `$ref`, or null. */
export function refName(schema: JsonObject): string | null {
  const ref = schema["$ref"];
  return typeof ref === "string" ? (ref.split("/").at(-1) ?? null) : null;
}

/** Returns the type of a schema in words: `string`, `list of Binding`, `"fr" or "en"`. */
export function typeName(schema: JsonObject): string {
  const ref = refName(schema);
  if (ref !== null) return ref;
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"]);
  const choices = list(schema["enum"]);
  if (choices.length > 0) return choices.map((choice) => JSON.stringify(choice)).join(" or ");
  const several = [...list(schema["anyOf"]), ...list(schema["oneOf"])].filter(isObject);
  if (several.length > 0) return several.map(typeName).join(" or ");
  const type = schema["type"];
  const names = Array.isArray(type) ? type.map(text) : [text(type)];
  const named = names.map((name) => (name === "array" ? arrayName(schema) : withFormat(name, schema)));
  return named.filter((name) => name !== "").join(" or ") || "anything";
}

function arrayName(schema: JsonObject): string {
  const items = schema["items"];
  return isObject(items) ? `list of ${typeName(items)}` : "list";
}

function withFormat(name: string, schema: JsonObject): string {
  const format = text(schema["format"]);
  return name === "string" && format !== "" ? `string (${format})` : name;
}

function characters(count: string): string {
  return count === "1" ? "1 character" : `${count} characters`;
}

const LIMITS: readonly (readonly [string, (value: string) => string])[] = [
  ["minLength", (value) => `at least ${characters(value)}`],
  ["maxLength", (value) => `at most ${characters(value)}`],
  ["minimum", (value) => `at least ${value}`],
  ["maximum", (value) => `at most ${value}`],
  ["maxItems", (value) => `at most ${value} items`],
  ["pattern", (value) => `matches ${value}`],
];

/** Returns limits, default and description of a schema as one sentence-like note. */
export function noteOf(schema: JsonObject): string {
  const parts = [text(schema["description"])];
  for (const [key, say] of LIMITS) {
    const value = schema[key];
    if (typeof value === "string" || typeof value === "number") parts.push(say(String(value)));
  }
  const fallback = schema["default"];
  if (fallback !== undefined) parts.push(`default ${JSON.stringify(fallback)}`);
  return parts.filter((part) => part !== "").join("; ");
}

/** Returns the rows of an object schema. */
export function rowsOf(schema: JsonObject): readonly Row[] {
  const required = new Set(list(schema["required"]));
  const properties = schema["properties"];
  if (!isObject(properties)) return [];
  return Object.entries(properties).flatMap(([name, member]) => {
    if (!isObject(member)) return [];
    const items = member["items"];
    const union = [member, items, ...list(member["anyOf"]), ...list(member["oneOf"])].filter(isObject);
    const ref = union.map(refName).find((found) => found !== null) ?? null;
    return [{ name, required: required.has(name), type: typeName(member), note: noteOf(member), ref }];
  });
}

function schemaIn(holder: Json | undefined): JsonObject | null {
  const content = isObject(holder) ? holder["content"] : undefined;
  if (!isObject(content)) return null;
  const media = Object.values(content)[0];
  const schema = isObject(media) ? media["schema"] : undefined;
  return isObject(schema) ? schema : null;
}

function parameter(value: Json): readonly Parameter[] {
  if (!isObject(value)) return [];
  const schema = isObject(value["schema"]) ? value["schema"] : {};
  return [{ name: text(value["name"]), place: text(value["in"]), required: value["required"] === true, type: typeName(schema), note: noteOf(schema) }];
}

function credentials(security: Json | undefined): readonly string[] {
  return list(security).flatMap((scheme) => (isObject(scheme) ? Object.keys(scheme) : []));
}

/** Returns every operation of the document, in its order: those of the paths, then the webhooks by their names. */
export function operationsOf(document: JsonObject): readonly Operation[] {
  return [...operationsIn(document["paths"]), ...operationsIn(document["webhooks"])];
}

function operationsIn(paths: Json | undefined): readonly Operation[] {
  if (!isObject(paths)) return [];
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = isObject(item) ? item[method] : undefined;
      return isObject(operation) ? [operationOf(method, path, operation)] : [];
    }),
  );
}

function operationOf(method: string, path: string, operation: JsonObject): Operation {
  const responses = isObject(operation["responses"]) ? operation["responses"] : {};
  return {
    id: text(operation["operationId"]) || `${method}-${path}`,
    method: method.toUpperCase(),
    path,
    summary: text(operation["summary"]),
    description: text(operation["description"]),
    tag: text(list(operation["tags"])[0]) || "other",
    credentials: credentials(operation["security"]),
    parameters: list(operation["parameters"]).flatMap(parameter),
    body: schemaIn(operation["requestBody"]),
    answers: Object.entries(responses).map(([status, answer]) => ({
      status,
      text: isObject(answer) ? text(answer["description"]) : "",
      schema: schemaIn(answer),
    })),
  };
}

/** Returns the document's schemas by name. */
export function schemasOf(document: JsonObject): Readonly<Record<string, JsonObject>> {
  const components = document["components"];
  const schemas = isObject(components) ? components["schemas"] : undefined;
  if (!isObject(schemas)) return {};
  return Object.fromEntries(Object.entries(schemas).filter((entry): entry is [string, JsonObject] => isObject(entry[1])));
}
