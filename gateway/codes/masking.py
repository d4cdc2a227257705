"""Which of the eight data masks a symbol takes: the one with the least penalty (ISO/IEC 18004:2015 section
7.8.3), all eight scored at once. Where ISO leaves room the HCC2D reference encoder decides, so that equal
payloads give equal symbols: a finder-like pattern counts once however many light sides it has, light space
may run off the far edge, and none is assumed before the near edge."""

import numpy as np
from numpy.typing import NDArray

_FINDER = (1, 0, 1, 1, 1, 0, 1)
_LIGHT = 4


def penalties(matrices: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the penalty of each of (count, size, size) matrices, 1 = dark."""
    lines = np.concatenate((matrices, matrices.transpose(0, 2, 1)), axis=1)
    total: NDArray[np.int64] = _runs(lines) + _squares(matrices) + _finders(lines) + _balance(matrices)
    return total


def _count(hits: NDArray[np.bool_]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.count_nonzero(hits.reshape(len(hits), -1), axis=1)
    return counts


def _runs(lines: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Length less two for each run of five or more: one for each window of five, and two for each run."""
    same = lines[:, :, 1:] == lines[:, :, :-1]
    pairs = same[:, :, 1:] & same[:, :, :-1]
    fives = pairs[:, :, 2:] & pairs[:, :, :-2]
    starts = fives.copy()
    starts[:, :, 1:] &= ~fives[:, :, :-1]
    return _count(fives) + 2 * _count(starts)


def _squares(matrices: NDArray[np.uint8]) -> NDArray[np.int64]:
    across = matrices[:, :, 1:] == matrices[:, :, :-1]
    down = matrices[:, 1:, :-1] == matrices[:, :-1, :-1]
    return 3 * _count(across[:, 1:] & across[:, :-1] & down)


def _finders(lines: NDArray[np.uint8]) -> NDArray[np.int64]:
    count, rows, size = lines.shape
    places = size - len(_FINDER) + 1
    padded = np.zeros((count, rows, size + 2 * _LIGHT), bool)
    padded[:, :, _LIGHT:-_LIGHT] = lines
    dark = padded[:, :, _LIGHT : size + _LIGHT]
    hits = dark[:, :, :places].copy()
    for offset, wanted in enumerate(_FINDER):
        part = dark[:, :, offset : offset + places]
        hits &= part if wanted else ~part
    pairs = padded[:, :, 1:] | padded[:, :, :-1]
    taken = pairs[:, :, 2:] | pairs[:, :, :-2]
    before = taken[:, :, :places].copy()
    before[:, :, 0] = True
    after = taken[:, :, len(_FINDER) + _LIGHT :][:, :, :places]
    return 40 * _count(hits & ~(before & after))


def _balance(matrices: NDArray[np.uint8]) -> NDArray[np.int64]:
    area = matrices.shape[1] * matrices.shape[2]
    tenths: NDArray[np.int64] = np.abs(_count(matrices.astype(bool)) * 2 - area) * 10 // area
    return tenths * 10
