/**
 * Plane projective geometry: from module coordinates of a symbol (0..size, y down) to pixels of a frame. Pure functions of
 * numbers, called by refining and sampling.
 */
import { solve } from "./solve.js";
import type { Corners, Point } from "./types.js";

/** The eight coefficients a..h of x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (gx + hy + 1). */
export type Homography = Float64Array;

/**
 * The homography that takes the square (0,0)..(size,size) to four corners, in closed form (Heckbert 1989, section 2.2).
 * Null when three corners lie on one line.
 */
export function squareToQuad(corners: Corners, size: number): Homography | null {
  const [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] = corners;
  const dx1 = x1 - x2;
  const dx2 = x3 - x2;
  const dx3 = x0 - x1 + x2 - x3;
  const dy1 = y1 - y2;
  const dy2 = y3 - y2;
  const dy3 = y0 - y1 + y2 - y3;
  const determinant = dx1 * dy2 - dx2 * dy1;
  if (Math.abs(determinant) < 1e-6) return null;
  const g = (dx3 * dy2 - dx2 * dy3) / determinant;
  const h = (dx1 * dy3 - dx3 * dy1) / determinant;
  return Float64Array.of(
    (x1 - x0 + g * x1) / size,
    (x3 - x0 + h * x3) / size,
    x0,
    (y1 - y0 + g * y1) / size,
    (y3 - y0 + h * y3) / size,
    y0,
    g / size,
    h / size,
  );
}

/** The homography that takes four points to four others. Null when three of them lie on one line. */
export function quadToQuad(from: Corners, to: Corners): Homography | null {
  const system = new Float64Array(8 * 9);
  from.forEach(([x, y], i) => {
    const [u, v] = to[i]!;
    system.set([x, y, 1, 0, 0, 0, -u * x, -u * y, u], i * 18);
    system.set([0, 0, 0, x, y, 1, -v * x, -v * y, v], i * 18 + 9);
  });
  return solve(system, 8);
}

/** The pixel at module coordinates (x, y). */
export function project(map: Homography, x: number, y: number): Point {
  const w = map[6]! * x + map[7]! * y + 1;
  return [(map[0]! * x + map[1]! * y + map[2]!) / w, (map[3]! * x + map[4]! * y + map[5]!) / w];
}

/** Where a symbol's corners are in the frame. */
export function cornersOf(map: Homography, size: number): Corners {
  return [project(map, 0, 0), project(map, size, 0), project(map, size, size), project(map, 0, size)];
}

/** Mean length of a module in pixels, from the sides of the symbol. */
export function moduleLength(corners: Corners, size: number): number {
  let sum = 0;
  for (let i = 0; i < 4; i++) sum += distance(corners[i]!, corners[(i + 1) % 4]!);
  return sum / (4 * size);
}

export function distance(a: Point, b: Point): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

/** True for a convex quadrilateral with its corners clockwise as the frame shows them, as an unmirrored symbol has. */
export function isConvexClockwise(corners: Corners): boolean {
  for (let i = 0; i < 4; i++) {
    const [a, b, c] = [corners[i]!, corners[(i + 1) % 4]!, corners[(i + 2) % 4]!];
    const cross = (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]);
    if (!(cross > 0)) return false;
  }
  return true;
}
