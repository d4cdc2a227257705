/** Lists what a build left behind, for the service worker's precache. Called by build.mjs alone. */
import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";

async function files(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name !== "sw.js" && !entry.name.startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Returns the URL of every file under `folder`, as served below `base`; the index page stands for `base` itself. */
export async function listAssets(folder, base) {
  return (await files(folder)).map((path) => {
    const name = relative(folder, path).split(sep).join("/");
    return name === "index.html" ? base : base + name;
  });
}

/** Returns 16 hex digits that change when any file's name or content does. */
export async function versionOf(folder) {
  const hash = createHash("sha256");
  for (const path of await files(folder)) hash.update(`${relative(folder, path)}\0`).update(await readFile(path)).update("\0");
  return hash.digest("hex").slice(0, 16);
}
