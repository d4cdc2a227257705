/**
 * What JPEG does to a picture, without the entropy coding that loses nothing: YCbCr, chroma at half resolution (4:2:0), 8 by 8
 * cosine transform, the tables of ITU-T T.81 annex K at an IJG quality, and back. Planes are 0..255, sizes multiples of 16.
 */

/** Red, green and blue planes of a picture. */
export interface Planar {
  readonly width: number;
  readonly height: number;
  readonly channels: readonly [Float32Array, Float32Array, Float32Array];
}

// prettier-ignore
const LUMA = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
  18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
// prettier-ignore
const CHROMA = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
  ...new Array<number>(32).fill(99),
];

/** Rows are frequencies; the inverse is the transpose. */
const FORWARD = new Float32Array(64);
const INVERSE = new Float32Array(64);
for (let k = 0; k < 8; k++) {
  for (let n = 0; n < 8; n++) {
    const value = (k === 0 ? Math.SQRT1_2 : 1) * 0.5 * Math.cos(((2 * n + 1) * k * Math.PI) / 16);
    FORWARD[k * 8 + n] = value;
    INVERSE[n * 8 + k] = value;
  }
}

/** Compresses and decompresses in place. */
export function throughJpeg(image: Planar, quality: number): void {
  const { width, height } = image;
  const [red, green, blue] = image.channels;
  const half = width >> 1;
  const cb = new Float32Array(half * (height >> 1));
  const cr = new Float32Array(half * (height >> 1));
  const luma = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const [r, g, b] = [red[i]!, green[i]!, blue[i]!];
      const brightness = 0.299 * r + 0.587 * g + 0.114 * b;
      luma[i] = brightness;
      const j = (y >> 1) * half + (x >> 1);
      cb[j]! += 0.564 * (b - brightness) * 0.25;
      cr[j]! += 0.713 * (r - brightness) * 0.25;
    }
  }
  quantise(luma, width, height, scaled(LUMA, quality), 128);
  quantise(cb, half, height >> 1, scaled(CHROMA, quality), 0);
  quantise(cr, half, height >> 1, scaled(CHROMA, quality), 0);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const u = upsample(cb, x, y, half, height >> 1);
      const v = upsample(cr, x, y, half, height >> 1);
      red[i] = clip(luma[i]! + 1.402 * v);
      green[i] = clip(luma[i]! - 0.344 * u - 0.714 * v);
      blue[i] = clip(luma[i]! + 1.772 * u);
    }
  }
}

function clip(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : Math.round(value);
}

/** Triangle filter, as libjpeg's fancy upsampling. */
function upsample(plane: Float32Array, x: number, y: number, width: number, height: number): number {
  const nearX = x >> 1;
  const nearY = y >> 1;
  const farX = Math.min(width - 1, Math.max(0, nearX + (x & 1 ? 1 : -1)));
  const farY = Math.min(height - 1, Math.max(0, nearY + (y & 1 ? 1 : -1)));
  const near = 3 * plane[nearY * width + nearX]! + plane[nearY * width + farX]!;
  const far = 3 * plane[farY * width + nearX]! + plane[farY * width + farX]!;
  return (3 * near + far) / 16;
}

function scaled(table: readonly number[], quality: number): Float32Array {
  const scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  return Float32Array.from(table, (value) => Math.min(255, Math.max(1, Math.floor((value * scale + 50) / 100))));
}

function quantise(plane: Float32Array, width: number, height: number, table: Float32Array, offset: number): void {
  const block = new Float32Array(64);
  const half = new Float32Array(64);
  for (let top = 0; top < height; top += 8) {
    for (let left = 0; left < width; left += 8) {
      for (let i = 0; i < 64; i++) {
        const y = Math.min(height - 1, top + (i >> 3));
        block[i] = plane[y * width + Math.min(width - 1, left + (i & 7))]! - offset;
      }
      transform(block, half, FORWARD);
      for (let i = 0; i < 64; i++) block[i] = Math.round(block[i]! / table[i]!) * table[i]!;
      transform(block, half, INVERSE);
      for (let i = 0; i < 64; i++) {
        const [x, y] = [left + (i & 7), top + (i >> 3)];
        if (x < width && y < height) plane[y * width + x] = block[i]! + offset;
      }
    }
  }
}

/** The separable transform `matrix` of an 8 by 8 block, in place: along the rows, then along the columns. */
function transform(block: Float32Array, half: Float32Array, matrix: Float32Array): void {
  for (let k = 0; k < 8; k++) {
    const m = k * 8;
    const [m0, m1, m2, m3] = [matrix[m]!, matrix[m + 1]!, matrix[m + 2]!, matrix[m + 3]!];
    const [m4, m5, m6, m7] = [matrix[m + 4]!, matrix[m + 5]!, matrix[m + 6]!, matrix[m + 7]!];
    for (let i = 0; i < 64; i += 8) {
      half[i + k] =
        m0 * block[i]! + m1 * block[i + 1]! + m2 * block[i + 2]! + m3 * block[i + 3]! +
        m4 * block[i + 4]! + m5 * block[i + 5]! + m6 * block[i + 6]! + m7 * block[i + 7]!;
    }
  }
  for (let k = 0; k < 8; k++) {
    const m = k * 8;
    const [m0, m1, m2, m3] = [matrix[m]!, matrix[m + 1]!, matrix[m + 2]!, matrix[m + 3]!];
    const [m4, m5, m6, m7] = [matrix[m + 4]!, matrix[m + 5]!, matrix[m + 6]!, matrix[m + 7]!];
    for (let i = 0; i < 8; i++) {
      block[m + i] =
        m0 * half[i]! + m1 * half[i + 8]! + m2 * half[i + 16]! + m3 * half[i + 24]! +
        m4 * half[i + 32]! + m5 * half[i + 40]! + m6 * half[i + 48]! + m7 * half[i + 56]!;
    }
  }
}
