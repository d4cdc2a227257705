/** Finds vector files: the published ones beside the tree when they are there, and those of tests/vectors. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const FOLDERS = [`${ROOT}tests/vectors`, `${ROOT}../shared/vectors`];

/** The parsed JSON of the first folder that has the file, or null. */
export function readVectors(path: string): unknown {
  const found = FOLDERS.map((folder) => `${folder}/${path}`).find((file) => existsSync(file));
  return found === undefined ? null : JSON.parse(readFileSync(found, "utf8"));
}

/** The names of JSON files in a sub-folder of either. */
export function listVectors(folder: string): string[] {
  const names = FOLDERS.map((root) => `${root}/${folder}`)
    .filter((path) => existsSync(path))
    .flatMap((path) => readdirSync(path).filter((name) => name.endsWith(".json")));
  return [...new Set(names)].sort();
}
