/** Refuses a build whose pages the strict Content-Security-Policy would break. Called by build.mjs alone. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

const RULES = [
  [/<script(?![^>]*\bsrc=)[^>]*>/i, "an inline script"],
  [/<style[\s>]/i, "an inline style sheet"],
  [/\sstyle=/i, "a style attribute"],
  [/\son[a-z]+=/i, "an inline event handler"],
  [/\b(?:src|href)="(?:https?:)?\/\//i, "an asset of another host"],
];

/** Throws when an HTML page under `dist` holds anything inline or foreign. */
export async function checkPages(dist) {
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".html")) continue;
    const path = join(entry.parentPath, entry.name);
    const text = await readFile(path, "utf8");
    for (const [pattern, what] of RULES) {
      if (pattern.test(text)) throw new Error(`${path} holds ${what}, which the Content-Security-Policy forbids`);
    }
  }
}
