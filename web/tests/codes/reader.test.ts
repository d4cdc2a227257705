import { beforeAll, describe, expect, it } from "vitest";
import { prepareZXingModule, writeBarcode } from "zxing-wasm/writer";
import { CALM, takeFrame, type Conditions } from "../../bench/camera.js";
import { SeededRandom } from "../../bench/random.js";
import { CodeReader } from "../../src/shared/codes/reader.js";
import { isRead, type Frame } from "../../src/shared/codes/types.js";
import { colourVectors, drawFrame, wasmBinary } from "./support.js";

const vectors = colourVectors();
const activation = vectors.find(({ payload }) => payload.length === 88)!;
let reader: CodeReader;

beforeAll(async () => {
  reader = await CodeReader.create({ wasmBinary: wasmBinary(), limits: { budgetMs: 60_000 } });
});

describe("clean frames", () => {
  it("reads every symbol of the reference encoder", async () => {
    for (const { payload, symbol } of vectors) {
      for (const scale of [4, 7]) {
        const outcome = await reader.read(drawFrame(symbol, scale));
        expect(outcome).toMatchObject({ symbology: "hcc2d8", bytes: payload });
      }
    }
  });

  it("reads it turned by quarters, and says where its own top left corner is", async () => {
    const scale = 6;
    const near = 5 * scale;
    for (let quarters = 0; quarters < 4; quarters++) {
      const frame = drawFrame(activation.symbol, scale, quarters);
      const far = frame.width - near;
      const outcome = await reader.read(frame);
      if (!isRead(outcome)) throw new Error("not read");
      expect(outcome.bytes).toEqual(activation.payload);
      const expected = [[near, near], [far, near], [far, far], [near, far]][quarters]!;
      expect(Math.hypot(outcome.corners[0][0] - expected[0]!, outcome.corners[0][1] - expected[1]!)).toBeLessThan(scale / 4);
    }
  });

  it("reads an ordinary QR Code in the same pass", async () => {
    await prepareZXingModule({ overrides: { wasmBinary: wasmBinary("writer") }, fireImmediately: true });
    const text = "https://bank.example/a#AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8w";
    const { symbol } = await writeBarcode(text, { format: "QRCode", ecLevel: "M" });
    const rows = Array.from({ length: symbol.height }, (_, y) =>
      Array.from(symbol.data.subarray(y * symbol.width, (y + 1) * symbol.width), (value) => (value ? 1 : 0)),
    );
    const palette = [
      [0, 0, 0],
      [255, 255, 255],
    ] as const;
    const outcome = await reader.read(drawFrame({ rows, palette }, 5));
    if (!isRead(outcome)) throw new Error("not read");
    expect(outcome.symbology).toBe("qr");
    expect(new TextDecoder().decode(outcome.bytes)).toBe(text);
  });

  it("still says where a symbol is whose data is spoilt, and returns no payload", async () => {
    const random = new SeededRandom(8);
    const rows = activation.symbol.rows.map((row, y) =>
      row.map((index, x) => (y > 10 && y < 22 && x > 10 && x < 24 ? Math.floor(random.between(0, 8)) : index)),
    );
    const outcome = await reader.read(drawFrame({ rows, palette: activation.symbol.palette }, 6));
    expect(outcome).not.toBeNull();
    expect(outcome?.bytes).toBeUndefined();
    expect(outcome?.corners).toHaveLength(4);
  });
});

describe("a camera's frames", () => {
  const cases: readonly (readonly [name: string, change: Partial<Conditions>])[] = [
    ["five pixels a module", { side: 195 }],
    ["a tilt of 50 degrees", { tilt: 50 }],
    ["blur", { blur: 2.4 }],
    ["noise", { noise: 60 }],
    ["evening light", { gains: [1.2, 0.9, 0.4] }],
    ["a coarse JPEG", { quality: 25 }],
    ["a reflection", { glare: 0.4 }],
    ["a washed-out screen", { wash: 0.5 }],
  ];
  it.each(cases)("are read with %s", async (_name, change) => {
    const frame = takeFrame(activation.symbol, { ...CALM, side: 300, ...change }, new SeededRandom(11));
    expect(await reader.read(frame)).toMatchObject({ symbology: "hcc2d8", bytes: activation.payload });
  });

  it("are read by a phone too slow for more than the least, each attempt in its turn", async () => {
    const attempts = 9;
    // Of these zxing's first look sees nothing.
    for (const [name, change, seed] of [["noise", { noise: 90 }, 1], ["a steep tilt", { tilt: 58 }, 7]] as const) {
      const frame = takeFrame(activation.symbol, { ...CALM, side: 300, ...change }, new SeededRandom(seed));
      const slow = await CodeReader.create({ wasmBinary: wasmBinary(), limits: { budgetMs: 0 } });
      let looks = 0;
      while (looks < attempts && !isRead(await slow.read(frame))) looks++;
      expect(looks, name).toBeLessThan(attempts);
    }
  });
});

describe("bad frames", () => {
  const black = (width: number, height: number): Frame => ({ width, height, data: new Uint8ClampedArray(width * height * 4) });

  it("show nothing and throw nothing", async () => {
    const frames: Frame[] = [
      black(0, 0),
      black(1, 1),
      black(33, 1000),
      black(640, 480),
      { width: 640, height: 480, data: new Uint8ClampedArray(7) },
      { width: -5, height: 100, data: new Uint8ClampedArray() },
      { width: Number.NaN, height: 100, data: new Uint8ClampedArray() },
      { width: 99.5, height: 100, data: new Uint8ClampedArray(39800) },
      { width: 1e6, height: 1e6, data: new Uint8ClampedArray(4) },
    ];
    for (const frame of frames) expect(await reader.read(frame)).toBeNull();
  });

  it("of noise never give a payload", async () => {
    const random = new SeededRandom(9);
    for (let i = 0; i < 12; i++) {
      const width = 40 + Math.floor(random.between(0, 300));
      const height = 40 + Math.floor(random.between(0, 300));
      const grain = 1 + (i % 9);
      const data = new Uint8ClampedArray(width * height * 4);
      const words = random.bytes(width * height);
      for (let p = 0; p < width * height; p++) {
        const y = Math.floor(p / width / grain);
        const x = Math.floor((p % width) / grain);
        const word = words[y * width + x]!;
        data.set(i % 2 ? [word, word, word, 255] : [word & 4 ? 255 : 0, word & 2 ? 255 : 0, word & 1 ? 255 : 0, 255], p * 4);
      }
      expect((await reader.read({ width, height, data }))?.bytes).toBeUndefined();
    }
  });

  it("with a symbol cut off or overpainted give the payload or none", async () => {
    const random = new SeededRandom(10);
    let read = 0;
    for (let i = 0; i < 24; i++) {
      const frame = drawFrame(activation.symbol, 5);
      const left = Math.floor(random.between(0, frame.width));
      const top = Math.floor(random.between(0, frame.height));
      const side = 10 + i * 5;
      for (let y = top; y < Math.min(frame.height, top + side); y++) {
        frame.data.fill(i % 3 === 0 ? 0 : 160, (y * frame.width + left) * 4, (y * frame.width + Math.min(frame.width, left + side)) * 4);
      }
      const outcome = await reader.read(frame);
      if (!outcome?.bytes) continue;
      read++;
      expect(outcome.bytes).toEqual(activation.payload);
    }
    expect(read).toBeGreaterThan(3);
  });
});
