"""Reed-Solomon parity over GF(256) for the colour form: the field of QR (polynomial 0x11D, first root 2^0),
by a generator matrix computed once a block size. Only the encoder uses it; the reader corrects with
`reedsolo`."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x11D


def _powers() -> list[int]:
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value <<= 1
        if value & 0x100:
            value ^= _POLYNOMIAL
    return powers


def _product_table() -> NDArray[np.uint8]:
    powers = np.array(_powers(), np.uint8)
    logarithm = np.zeros(256, np.intp)
    logarithm[powers] = np.arange(255)
    table: NDArray[np.uint8] = powers[(logarithm[:, None] + logarithm) % 255]
    table[0, :] = 0
    table[:, 0] = 0
    return table


PRODUCT = _product_table()
"""PRODUCT[a, b] = a times b in GF(256)."""


@cache
def parity_matrix(length: int, parity: int) -> NDArray[np.uint8]:
    """Return the (length, parity) matrix whose row i is the parity of a message that is 1 at i and 0
    elsewhere."""
    generator = np.array([1], np.uint8)
    for root in _powers()[:parity]:
        shifted = np.append(generator, np.uint8(0))
        shifted[1:] ^= PRODUCT[generator, root]
        generator = shifted
    rows = np.zeros((length, parity), np.uint8)
    remainder = generator[1:].copy()
    for i in range(length - 1, -1, -1):
        rows[i] = remainder
        carry = remainder[0]
        remainder = np.append(remainder[1:], np.uint8(0)) ^ PRODUCT[generator[1:], carry]
    rows.flags.writeable = False
    return rows


def parity_of(messages: NDArray[np.uint8], parity: int) -> NDArray[np.uint8]:
    """Return (blocks, parity) parity codewords of (blocks, length) data codewords. Leading zeros change
    nothing, so shorter blocks may be right-aligned."""
    matrix = parity_matrix(messages.shape[1], parity)
    parities: NDArray[np.uint8] = np.bitwise_xor.reduce(PRODUCT[messages[:, :, None], matrix], axis=1)
    return parities
