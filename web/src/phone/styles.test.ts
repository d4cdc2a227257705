/** A phone has no pointer that hovers: a hover style outside its media query sticks to whatever was touched last. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const FOLDER = import.meta.dirname;
const SOURCES = (readdirSync(FOLDER, { recursive: true }) as string[]).filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"));
const QUERY = "@media (hover: hover) {";

/** Whether the media query that stands before this place is still open there. */
function isWithinQuery(text: string, at: number): boolean {
  const query = text.lastIndexOf(QUERY, at);
  if (query === -1) return false;
  const between = text.slice(query, at);
  return between.split("{").length > between.split("}").length;
}

it("answers the pointer only where there is one that hovers", () => {
  let count = 0;
  for (const path of SOURCES) {
    const text = readFileSync(join(FOLDER, path), "utf8");
    for (const found of text.matchAll(/:hover\b/g)) {
      count += 1;
      expect(isWithinQuery(text, found.index), `${path}: ${text.slice(found.index - 30, found.index)}`).toBe(true);
    }
  }
  expect(count).toBeGreaterThan(0);
});
