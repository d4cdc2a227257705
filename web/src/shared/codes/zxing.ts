/**
 * The QR finder: zxing-cpp compiled to WebAssembly, over one luminance plane at a time. It reads ordinary QR Codes whole;
 * of a colour symbol, which is a QR Code whose data it cannot decode, it still reports where the symbol is and what its
 * black and white format information says. Called by `reader.ts` only. It never fetches from a CDN: the caller says where
 * the WebAssembly is.
 */
import { encodeFormats, prepareZXingModule, type ZXingReadResult, type ZXingVector } from "zxing-wasm/reader";
import { MAX_VERSION } from "./layout.js";
import type { Plane } from "./planes.js";
import type { Corners, WasmSource } from "./types.js";

/** An ordinary QR Code, or a symbol with QR's function patterns that holds something else. */
export interface Finding {
  readonly corners: Corners;
  /** The content, when zxing itself could decode it. */
  readonly bytes: Uint8Array | undefined;
  /** What the format information says, when zxing could read it. */
  readonly format: FoundFormat | undefined;
}

export interface FoundFormat {
  readonly version: number;
  readonly mask: number;
  readonly level: string;
}

/** What is used of the Emscripten module; its published type lacks the heap. */
interface ReaderModule {
  readonly HEAPU8: Uint8Array;
  _malloc(size: number): number;
  _free(pointer: number): void;
  /** One luminance byte a pixel. Every member of the options must be there. */
  readBarcodesFromPixmap(
    pointer: number,
    width: number,
    height: number,
    options: typeof OPTIONS,
  ): ZXingVector<ZXingReadResult> & { delete?: () => void };
}

const OPTIONS = {
  formats: encodeFormats(["QRCodeModel2"]),
  tryHarder: true,
  tryRotate: false, // QR detection needs no rotated copies
  tryInvert: false,
  tryDownscale: false,
  tryDenoise: false,
  binarizer: 0, // LocalAverage
  isPure: false,
  downscaleThreshold: 500,
  downscaleFactor: 3,
  minLineCount: 2,
  maxNumberOfSymbols: 4,
  validateOptionalChecksum: false,
  returnErrors: true,
  eanAddOnSymbol: 0,
  textMode: 0,
  characterSet: 0,
  tryCode39ExtendedMode: false,
};

export class QrFinder {
  readonly #module: ReaderModule;
  #pointer = 0;
  #capacity = 0;

  private constructor(module: ReaderModule) {
    this.#module = module;
  }

  /** Loads the WebAssembly. Rejects when it cannot be had or compiled. */
  static async load(source: WasmSource): Promise<QrFinder> {
    const overrides =
      "wasmUrl" in source ? { locateFile: (): string => source.wasmUrl } : { wasmBinary: source.wasmBinary };
    const module: unknown = await prepareZXingModule({ overrides, fireImmediately: true });
    return new QrFinder(module as ReaderModule);
  }

  /** All QR-like symbols in a plane, decoded ones first; corners are in pixels of the frame. */
  find({ pixels, width, height, scale }: Plane): Finding[] {
    const size = width * height;
    this.#reserve(size);
    this.#module.HEAPU8.set(pixels, this.#pointer);
    const found = this.#module.readBarcodesFromPixmap(this.#pointer, width, height, OPTIONS);
    const findings: Finding[] = [];
    for (let i = 0; i < found.size(); i++) {
      const result = found.get(i);
      if (!result) continue;
      const { topLeft, topRight, bottomRight, bottomLeft } = result.position;
      const corners: Corners = [
        [topLeft.x * scale, topLeft.y * scale],
        [topRight.x * scale, topRight.y * scale],
        [bottomRight.x * scale, bottomRight.y * scale],
        [bottomLeft.x * scale, bottomLeft.y * scale],
      ];
      const bytes = result.isValid ? Uint8Array.from(result.bytes) : undefined;
      findings.push({ corners, bytes, format: parseExtra(result.extra) });
    }
    found.delete?.();
    return findings.sort((a, b) => Number(b.bytes !== undefined) - Number(a.bytes !== undefined));
  }

  /** One buffer in the WebAssembly's memory, kept from frame to frame. */
  #reserve(size: number): void {
    if (size <= this.#capacity) return;
    if (this.#pointer) this.#module._free(this.#pointer);
    this.#pointer = this.#module._malloc(size);
    this.#capacity = this.#pointer ? size : 0;
    if (!this.#pointer) throw new RangeError("no memory left for the frame");
  }
}

function parseExtra(extra: string): FoundFormat | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(extra);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const fields = parsed as Readonly<Record<string, unknown>>;
  const version = Number(fields["Version"]);
  const mask = Number(fields["DataMask"]);
  const level = fields["ECLevel"];
  if (!Number.isInteger(version) || !Number.isInteger(mask) || typeof level !== "string") return undefined;
  return version >= 1 && version <= MAX_VERSION ? { version, mask, level } : undefined;
}
