/** Systems of linear equations, for the fits of `refine.ts` and `equalise.ts`. */

/**
 * Gaussian elimination with partial pivoting of `count` equations, each a row of `count` coefficients and its right side.
 * `system` is overwritten. Null when it is singular.
 */
export function solve(system: Float64Array, count: number): Float64Array | null {
  const stride = count + 1;
  for (let column = 0; column < count; column++) {
    let pivot = column;
    for (let row = column + 1; row < count; row++) {
      if (Math.abs(system[row * stride + column]!) > Math.abs(system[pivot * stride + column]!)) pivot = row;
    }
    if (!(Math.abs(system[pivot * stride + column]!) > 1e-12)) return null;
    for (let k = column; k < stride; k++) {
      const swapped = system[column * stride + k]!;
      system[column * stride + k] = system[pivot * stride + k]!;
      system[pivot * stride + k] = swapped;
    }
    for (let row = column + 1; row < count; row++) {
      const factor = system[row * stride + column]! / system[column * stride + column]!;
      for (let k = column; k < stride; k++) system[row * stride + k]! -= factor * system[column * stride + k]!;
    }
  }
  const result = new Float64Array(count);
  for (let row = count - 1; row >= 0; row--) {
    let value = system[row * stride + count]!;
    for (let k = row + 1; k < count; k++) value -= system[row * stride + k]! * result[k]!;
    result[row] = value / system[row * stride + row]!;
  }
  return result;
}
