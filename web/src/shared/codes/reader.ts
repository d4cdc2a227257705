/**
 * Reads one frame: an eight-colour HCC2D symbol or an ordinary QR Code, whichever is there. The phone app runs it in a
 * worker (`worker.ts`), tests and the bench run it in Node. It never throws on a picture, never fetches anything but its
 * WebAssembly, and starts no third attempt after its time budget.
 */
import { placeSymbol, readSymbol, type Placed } from "./decode.js";
import { distance, isConvexClockwise, moduleLength, squareToQuad } from "./geometry.js";
import { layoutOf, MAX_VERSION } from "./layout.js";
import { locateByFinders } from "./locate.js";
import { Planes, type Plane, type PlaneName } from "./planes.js";
import { quickContrast } from "./refine.js";
import type { CodeRead, Corners, Frame, FrameOutcome, ReadLimits, WasmSource } from "./types.js";
import { QrFinder } from "./zxing.js";

/** Who looks where, in turn: zxing in a plane, or our own search for finder patterns. */
const ATTEMPTS: readonly { readonly by: "zxing" | "finders"; readonly plane: PlaneName }[] = [
  { by: "zxing", plane: "grey" },
  { by: "finders", plane: "half" },
  { by: "zxing", plane: "half" },
  { by: "zxing", plane: "smooth" },
  { by: "finders", plane: "quarter" },
  { by: "finders", plane: "grey" },
  { by: "zxing", plane: "flat" },
  { by: "finders", plane: "flat" },
  { by: "zxing", plane: "peak" },
];
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
  /** Which of the attempts after the first is next: the one that found the last symbol, or the one that time ran out before. */
  #turn = 0;

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
    const tried: Placed[] = [];
    const others = ATTEMPTS.length - 1;
    // The first attempt runs in every frame, and one of the others on however slow a phone; where the time is too short for
    // more they take turns.
    let read = this.#try(0, frame, tried, until);
    for (let i = 0; i < others && !read && (i === 0 || performance.now() < until); i++) {
      read = this.#try(1 + this.#turn, frame, tried, until);
      if (!read) this.#turn = (this.#turn + 1) % others;
    }
    const [placed] = tried;
    return read ?? (placed ? { corners: placed.corners } : null);
  }

  #try(attempt: number, frame: Frame, tried: Placed[], until: number): CodeRead | null {
    for (const sighting of this.#look(attempt)) {
      const read = this.#readSighting(frame, sighting, tried);
      if (read || performance.now() > until) return read;
    }
    return null;
  }

  #look(attempt: number): Sighting[] {
    const { by, plane } = ATTEMPTS[attempt]!;
    const pixels = this.#planes.get(plane);
    const image = this.#planes.get("grey");
    if (by === "finders") return locateByFinders(pixels, image).map(({ corners, version }) => ({ corners, version }));
    return this.#finder
      .find(pixels)
      .slice(0, CANDIDATES_A_PLANE)
      .map(({ corners, bytes, format }) => ({ corners, bytes, version: format?.version }));
  }

  #readSighting(frame: Frame, sighting: Sighting, tried: Placed[]): CodeRead | null {
    const { corners, bytes } = sighting;
    if (bytes) return { bytes, symbology: "qr", corners };
    if (!isConvexClockwise(corners)) return null;
    const image = this.#planes.get("grey");
    const placed = placeSymbol(image, corners, sighting.version ?? bestVersion(corners, image));
    if (!placed || tried.some((other) => isSame(placed, other))) return null;
    tried.push(placed);
    const payload = readSymbol(frame, placed);
    return payload && { bytes: payload, symbology: "hcc2d8", corners: placed.corners };
  }
}

/** A symbol somebody saw; `bytes` when it was an ordinary QR Code that could be read. */
interface Sighting {
  readonly corners: Corners;
  readonly bytes?: Uint8Array | undefined;
  readonly version?: number | undefined;
}

/** True when two attempts came to the same symbol: reading it once more would give the same. */
function isSame(a: Placed, b: Placed): boolean {
  const tolerance = 0.1 * moduleLength(a.corners, a.layout.size);
  return a.layout === b.layout && a.corners.every((corner, i) => distance(corner, b.corners[i]!) < tolerance);
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

/** The version whose patterns fit best, where zxing could not tell. */
function bestVersion(corners: Corners, image: Plane): number {
  let best = { version: 1, contrast: -Infinity };
  for (let version = 1; version <= MAX_VERSION; version++) {
    const layout = layoutOf(version);
    const map = squareToQuad(corners, layout.size);
    if (!map || moduleLength(corners, layout.size) < LEAST_MODULE_PIXELS) break;
    const contrast = quickContrast(image, map, layout);
    if (contrast > best.contrast) best = { version, contrast };
  }
  return best.version;
}
