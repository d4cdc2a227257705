/**
 * Reed-Solomon over GF(256) as QR Code has it: field polynomial 0x11D, first root of the generator 2^0 (ISO/IEC 18004
 * section 7.5). Corrects errors and erasures of one block. Called by `decode.ts`; it knows nothing of symbols.
 */

const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let i = 0, value = 1; i < 255; i++) {
  EXP[i] = value;
  EXP[i + 255] = value;
  LOG[value] = i;
  value = value & 0x80 ? (value << 1) ^ 0x11d : value << 1;
}

function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : EXP[LOG[a]! + LOG[b]!]!;
}

function invert(a: number): number {
  return EXP[255 - LOG[a]!]!;
}

/** Syndromes of the block, or null when all are zero (no error). */
function syndromesOf(block: Uint8Array, checks: number): Uint8Array | null {
  const syndromes = new Uint8Array(checks);
  let any = 0;
  for (let i = 0; i < checks; i++) {
    let value = 0;
    for (const codeword of block) {
      value = (value === 0 ? 0 : EXP[LOG[value]! + i]!) ^ codeword;
    }
    syndromes[i] = value;
    any |= value;
  }
  return any === 0 ? null : syndromes;
}

/** Value of a polynomial (lowest coefficient first) at x. */
function evaluate(polynomial: ArrayLike<number>, x: number): number {
  let value = 0;
  for (let i = polynomial.length - 1; i >= 0; i--) value = multiply(value, x) ^ polynomial[i]!;
  return value;
}

/** Product of (1 + X x) over the positions known to be doubtful; X is the position's locator. */
function erasureLocator(length: number, erasures: readonly number[]): number[] {
  let polynomial = [1];
  for (const position of erasures) {
    const locator = EXP[length - 1 - position]!;
    const next = [...polynomial, 0];
    for (let i = 0; i < polynomial.length; i++) next[i + 1]! ^= multiply(polynomial[i]!, locator);
    polynomial = next;
  }
  return polynomial;
}

/** Berlekamp-Massey, begun with the erasure locator: the locator of errors and erasures together. */
function locator(syndromes: Uint8Array, erasures: number[], erased: number): number[] {
  let current = erasures.slice();
  let previous = erasures.slice();
  let degree = erased;
  for (let step = erased; step < syndromes.length; step++) {
    let discrepancy = 0;
    for (let i = 0; i < current.length && i <= step; i++) discrepancy ^= multiply(current[i]!, syndromes[step - i]!);
    previous.unshift(0);
    if (discrepancy === 0) continue;
    const next = current.slice();
    for (let i = 0; i < previous.length; i++) next[i] = (next[i] ?? 0) ^ multiply(discrepancy, previous[i]!);
    if (2 * degree <= step + erased) {
      degree = step + 1 + erased - degree;
      const scale = invert(discrepancy);
      previous = current.map((coefficient) => multiply(coefficient, scale));
    }
    current = next;
  }
  while (current.length > 1 && current[current.length - 1] === 0) current.pop();
  return current;
}

/** Error evaluator: syndromes times locator, modulo x^checks. */
function evaluator(syndromes: Uint8Array, errorLocator: readonly number[]): Uint8Array {
  const product = new Uint8Array(syndromes.length);
  for (let i = 0; i < product.length; i++) {
    for (let j = 0; j < errorLocator.length && j <= i; j++) product[i]! ^= multiply(errorLocator[j]!, syndromes[i - j]!);
  }
  return product;
}

/**
 * Corrects a block in place: data codewords, then `checks` check codewords, at most 255 in all. `erasures` are positions
 * whose value is doubtful; 2 * errors + erasures may be at most `checks`. False when the block cannot be corrected (it is
 * then garbage); true when it is a codeword afterwards.
 */
export function correctBlock(block: Uint8Array, checks: number, erasures: readonly number[] = []): boolean {
  const syndromes = syndromesOf(block, checks);
  if (!syndromes) return true;
  if (erasures.length > checks || block.length > 255) return false;
  const errorLocator = locator(syndromes, erasureLocator(block.length, erasures), erasures.length);
  const degree = errorLocator.length - 1;
  if (2 * (degree - erasures.length) + erasures.length > checks) return false;
  const errorEvaluator = evaluator(syndromes, errorLocator);
  const derivative = errorLocator.map((coefficient, power) => (power % 2 === 1 ? coefficient : 0)).slice(1);
  let roots = 0;
  for (let position = 0; position < block.length; position++) {
    const x = EXP[block.length - 1 - position]!;
    const inverse = invert(x);
    if (evaluate(errorLocator, inverse) !== 0) continue;
    roots++;
    const slope = evaluate(derivative, inverse);
    if (slope === 0) return false;
    block[position]! ^= multiply(x, multiply(evaluate(errorEvaluator, inverse), invert(slope)));
  }
  return roots === degree && syndromesOf(block, checks) === null;
}
