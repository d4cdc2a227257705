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

/** The paths of all JSON vector files of a kind, such as "noise": `noise-….json`, and those of a folder `noise`. */
export function listVectors(kind: string): string[] {
  const own = jsonFiles(FOLDERS[0]!).filter((name) => name.startsWith(`${kind}-`));
  return [...own, ...jsonFiles(`${FOLDERS[1]!}/${kind}`).map((name) => `${kind}/${name}`)];
}

function jsonFiles(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
}
