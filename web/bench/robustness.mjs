/**
 * How well the colour symbol is read beside QR level M on the same distorted frames. Prints one JSON object a line; run by
 * `tessera bench robustness`. The symbols are drawn by the gateway's own encoder, in the Python of TESSERA_PYTHON (the
 * repository's .venv by default).
 *
 *   node bench/robustness.mjs [--payloads 6] [--seed 0] [--rows size,blur] [--bytes 100,88] [--misses DIR] [--details]
 */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build } from "vite";

const web = fileURLToPath(new URL("..", import.meta.url));
const root = join(web, "..");

const { values: options } = parseArgs({
  options: {
    payloads: { type: "string", default: "6" },
    seed: { type: "string", default: "0" },
    rows: { type: "string" },
    bytes: { type: "string", default: "100,88" },
    misses: { type: "string" },
    details: { type: "boolean", default: false },
  },
});

/** Draws the payloads on stdin (hexadecimal, a JSON list) in both forms. */
const DRAW = `
import json, sys
from gateway.codes import Form, render

def drawn(payload, form):
    symbol = render(payload, form=form)
    return {"rows": symbol.modules.tolist(), "palette": [list(colour) for colour in symbol.palette]}

payloads = [bytes.fromhex(text) for text in json.load(sys.stdin)]
json.dump([{"colour": drawn(p, Form.COLOUR), "qr": drawn(p, Form.QR)} for p in payloads], sys.stdout)
`;

function drawPairs(payloads) {
  const python = process.env.TESSERA_PYTHON ?? join(root, ".venv", "bin", "python");
  const input = JSON.stringify(payloads.map((payload) => Buffer.from(payload).toString("hex")));
  const run = spawnSync(python, ["-c", DRAW], { input, cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });
  if (run.status !== 0) throw new Error(`the gateway's encoder failed: ${run.error?.message ?? run.stderr}`);
  return JSON.parse(run.stdout).map((pair, i) => ({ ...pair, payload: payloads[i] }));
}

/** The table's module, bundled as a browser would get it. */
async function loadTable(directory) {
  await build({
    root: web,
    configFile: false,
    logLevel: "error",
    publicDir: false,
    ssr: { noExternal: true },
    build: {
      ssr: true,
      target: "node20",
      outDir: directory,
      emptyOutDir: false,
      rollupOptions: {
        input: { table: join(web, "bench/robustness-table.ts"), random: join(web, "bench/random.ts") },
        output: { entryFileNames: "[name].mjs" },
      },
    },
  });
  const load = (name) => import(pathToFileURL(join(directory, `${name}.mjs`)).href);
  return { ...(await load("table")), ...(await load("random")) };
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function print(line) {
  console.log(JSON.stringify(line));
}

function reportRow(result) {
  const value = result.colourRead / result.frames;
  const bound = result.qrRead / result.frames;
  print({
    bench: "robustness",
    case: `${result.row}, ${result.bytes} bytes`,
    value,
    unit: "share",
    bound,
    ratio: bound > 0 ? value / bound : null,
    bar: "no worse than QR level M, no wrong payload",
    meets: value >= bound && result.wrong === 0,
    frames: result.frames,
    wrong: result.wrong,
    ...(options.details ? { levels: result.levels } : {}),
  });
}

/** Both forms by the same reader on the same frames, hopeless ones included: the bound is what QR costs. */
function reportTimes(times, qrTimes) {
  for (const list of [times, qrTimes]) list.sort((a, b) => a - b);
  const [median, bound] = [times, qrTimes].map((list) => quantile(list, 0.5));
  print({
    bench: "robustness",
    case: "time a 720p frame, median",
    value: Number(median.toFixed(1)),
    unit: "ms",
    bound: Number(bound.toFixed(1)),
    ratio: median / bound,
    bar: "at most 20 ms",
    meets: median <= 20,
    p95: Number(quantile(times, 0.95).toFixed(1)),
  });
}

async function main() {
  const directory = mkdtempSync(join(tmpdir(), "tessera-robustness-"));
  try {
    const { measureRows, SeededRandom } = await loadTable(directory);
    const wasm = readFileSync(join(web, "node_modules/zxing-wasm/dist/reader/zxing_reader.wasm"));
    const wasmBinary = wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength);
    const seed = Number(options.seed);
    if (!Number.isInteger(seed) || seed < 0) throw new Error("--seed takes a whole number, 0 or more");
    const rows = options.rows?.split(",");
    const onMiss = ({ row, level, index, frame }) => {
      if (!options.misses) return;
      const name = `${row.replace(" ", "-")}-${level}-${index}.rgba`;
      writeFileSync(join(options.misses, name), frame.data);
    };
    const [times, qrTimes] = [[], []];
    for (const length of options.bytes.split(",").map(Number)) {
      const random = new SeededRandom(length + 65_537 * seed);
      const pairs = drawPairs(Array.from({ length: Number(options.payloads) }, () => random.bytes(length)));
      for await (const result of measureRows(pairs, { wasmBinary, onMiss, seed, ...(rows ? { rows } : {}) })) {
        reportRow(result);
        times.push(...result.times);
        qrTimes.push(...result.qrTimes);
      }
    }
    reportTimes(times, qrTimes);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
