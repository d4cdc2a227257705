/**
 * Reads one frame: an eight-colour HCC2D symbol or an ordinary QR Code, whichever is there. The phone app runs it in a
 * worker (`worker.ts`), tests and the bench run it in Node. It never throws on a picture, never fetches anything but its
 * WebAssembly, and starts no new attempt after its time budget.
 */
import { decodeColour } from "./decode.js";
import { isConvexClockwise, moduleLength } from "./geometry.js";
import { layoutOf, MAX_VERSION } from "./layout.js";
import { Planes, type Plane, type PlaneName } from "./planes.js";
import { contrastOf } from "./refine.js";
import type { CodeRead, CodeSeen, Corners, Frame, FrameOutcome, ReadLimits, WasmSource } from "./types.js";
import { QrFinder, type Finding } from "./zxing.js";

/** Where the finder looks, in turn. */
const ATTEMPTS: readonly PlaneName[] = ["grey", "half", "smooth", "peak", "green", "quarter"];
const DEFAULT_BUDGET_MS = 45;
const CANDIDATES_A_PLANE = 3;
/** Frames outside of these sides are not looked at. */
const LEAST_SIDE = 32;
const MOST_PIXELS = 4096 * 4096;
/** Fewer pixels than this a module hold no colour. */
const LEAST_MODULE_PIXELS = 1.5;

export type ReaderOptions = WasmSource & { readonly limits?: ReadLimits };

export class CodeReader {
  readonly #finder: QrFinder;
  readonly #budgetMs: number;
  readonly #planes = new Planes();
  /** The plane that found the last symbol goes first. */
  #lucky = 0;

  private constructor(finder: QrFinder, limits: ReadLimits) {
    this.#finder = finder;
    this.#budgetMs = limits.budgetMs ?? DEFAULT_BUDGET_MS;
  }

  /** Loads the WebAssembly of the QR finder. Rejects when it cannot be had. */
  static async create(options: ReaderOptions): Promise<CodeReader> {
    return new CodeReader(await QrFinder.load(options), options.limits ?? {});
  }

  /** What the frame shows. A frame that is no picture (sizes that do not agree) shows nothing. */
  read(frame: Frame): Promise<FrameOutcome> {
    let outcome: FrameOutcome = null;
    try {
      if (isPicture(frame)) outcome = this.#read(frame);
    } catch {
      outcome = null; // the finder ran out of memory: the next frame may be smaller
    }
    this.#planes.release();
    return Promise.resolve(outcome);
  }

  #read(frame: Frame): FrameOutcome {
    const until = performance.now() + this.#budgetMs;
    this.#planes.use(frame);
    let seen: CodeSeen | null = null;
    for (let i = 0; i < ATTEMPTS.length; i++) {
      const attempt = (this.#lucky + i) % ATTEMPTS.length;
      const findings = this.#finder.find(this.#planes.get(ATTEMPTS[attempt]!));
      for (const finding of findings.slice(0, CANDIDATES_A_PLANE)) {
        const read = this.#readFinding(frame, finding);
        if (read) {
          this.#lucky = attempt;
          return read;
        }
        seen ??= { corners: finding.corners };
        if (performance.now() > until) return seen;
      }
      if (performance.now() > until) break;
    }
    return seen;
  }

  #readFinding(frame: Frame, finding: Finding): CodeRead | null {
    if (finding.bytes) return { bytes: finding.bytes, symbology: "qr", corners: finding.corners };
    if (!isConvexClockwise(finding.corners)) return null;
    const image = this.#planes.get("grey");
    for (const version of versionsOf(finding, image)) {
      const decoded = decodeColour(frame, image, finding.corners, version);
      if (decoded) return { bytes: decoded.bytes, symbology: "hcc2d8", corners: decoded.corners };
    }
    return null;
  }
}

function isPicture({ data, width, height }: Frame): boolean {
  return (
    Number.isInteger(width) &&
    Number.isInteger(height) &&
    Math.min(width, height) >= LEAST_SIDE &&
    width * height <= MOST_PIXELS &&
    data.length === width * height * 4
  );
}

/** The versions that a finding may have: the one that the finder says, else the one whose patterns fit best. */
function versionsOf(finding: Finding, image: Plane): number[] {
  const said = finding.format?.version;
  if (said !== undefined && said >= 1 && said <= MAX_VERSION) return [said];
  return bestVersions(finding.corners, image).slice(0, 1);
}

function bestVersions(corners: Corners, image: Plane): number[] {
  const fits: { version: number; contrast: number }[] = [];
  for (let version = 1; version <= MAX_VERSION; version++) {
    const layout = layoutOf(version);
    if (moduleLength(corners, layout.size) < LEAST_MODULE_PIXELS) break;
    fits.push({ version, contrast: contrastOf(image, corners, layout) });
  }
  return fits.sort((a, b) => b.contrast - a.contrast).map(({ version }) => version);
}
