/**
 * Builds everything that the gateway serves to browsers, into web/dist:
 *   phone/  the phone app at /phone/, installable and working without a network (service worker, icons, manifest)
 *   demo/   the demo bank's pages at /demo/
 *   embed/  tessera.js, one classic script with both elements, for any bank's page
 *   docs/   the API page at /docs
 * Called by `npm run build`; `node build.mjs phone demo` builds only those. Nothing it writes needs inline scripts,
 * inline styles or eval, so the pages run under the strict Content-Security-Policy of gateway/http.
 */
import { mkdir, rm, utimes, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, createLogger } from "vite";
import { listAssets, versionOf } from "./tools/assets.mjs";
import { writeIcons } from "./tools/icons.mjs";
import { checkPages } from "./tools/check.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = `${here}dist/`;
const TARGET = ["chrome111", "edge111", "firefox115", "safari16.4"];

const logger = createLogger("warn");
const warn = logger.warn.bind(logger);
logger.warn = (message, options) => {
  // The demo bank loads the elements as any bank does, by a classic script that is not part of its own bundle.
  if (!message.includes('<script src="/embed/tessera.js">')) warn(message, options);
};

/** Settings that every build shares. */
const common = {
  configFile: false,
  customLogger: logger,
  worker: { format: "es" },
};

/** No asset is inlined, since the policy allows no data: scripts, fonts or workers. */
function buildOptions(outDir, extra = {}) {
  return {
    outDir,
    emptyOutDir: true,
    target: TARGET,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1500,
    ...extra,
  };
}

async function buildPages(name) {
  const root = name === "demo" ? `${here}src/bank/demo` : `${here}src/${name}`;
  await build({ ...common, root, base: `/${name}/`, build: buildOptions(`${dist}${name}`) });
}

async function buildScript({ entry, outDir, file, name, define = {}, emptyOutDir = false }) {
  await build({
    ...common,
    define: { "process.env.NODE_ENV": '"production"', ...define },
    publicDir: false,
    build: buildOptions(outDir, {
      emptyOutDir,
      lib: { entry, formats: ["iife"], name, fileName: () => file },
    }),
  });
}

async function buildPhone() {
  await buildPages("phone");
  await writeIcons(`${dist}phone/icons`);
  const assets = await listAssets(`${dist}phone`, "/phone/");
  const version = await versionOf(`${dist}phone`);
  await buildScript({
    entry: `${here}src/phone/service-worker.ts`,
    outDir: `${dist}phone`,
    file: "sw.js",
    name: "tesseraServiceWorker",
    define: { __ASSETS__: JSON.stringify(assets), __VERSION__: JSON.stringify(version) },
  });
}

const targets = {
  phone: buildPhone,
  demo: () => buildPages("demo"),
  docs: () => buildPages("docs"),
  embed: () =>
    buildScript({
      entry: `${here}src/bank/embed.ts`,
      outDir: `${dist}embed`,
      file: "tessera.js",
      name: "Tessera",
      emptyOutDir: true,
    }),
};

const wanted = process.argv.slice(2);
if (wanted.length === 0) await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
for (const name of wanted.length > 0 ? wanted : Object.keys(targets)) {
  if (!(name in targets)) throw new Error(`no build is called ${name}; there are ${Object.keys(targets).join(", ")}`);
  await targets[name]();
}
await checkPages(dist);
await writeFile(`${dist}.build-stamp`, "");
const now = new Date();
await utimes(`${dist}.build-stamp`, now, now);
