"""Which of the eight data masks a symbol takes: the one with the least penalty (ISO/IEC 18004:2015 section
7.8.3). Where ISO leaves room the HCC2D reference encoder decides, so that equal payloads give equal symbols: a
finder-like pattern counts once however many light sides it has, light space may run off the far edge, and none
is assumed before the near edge.

All rows and columns of all eight candidates stand in one long integer, a bit a module, so that a shift and an AND
look at every module at once: arrays this small cost more to call than to compute."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

_FINDER = 7
"""Modules of the pattern dark, light, three dark, light, dark."""
_LIGHT = 4


@dataclass(frozen=True, slots=True)
class _Places:
    """Where modules stand: bit i of a line is its module i, and light modules follow up to the next line. A candidate
    is `lines` lines of `width` bits, its rows first, then its columns. The rest are sets of such bits."""

    width: int
    pairs: int
    """The first of every two neighbours."""
    squares: int
    """The first of every four that are a square."""
    finders: int
    """The first module of everything as long as a finder."""
    firsts: int
    """The first module of each line."""
    rows: int
    """Every module once: those of the rows."""


@cache
def _places(count: int, size: int) -> _Places:
    width = (size + _LIGHT + 7) // 8 * 8

    def set_of(modules: int, rows: int, *, columns: int) -> int:
        line = ((1 << modules) - 1).to_bytes(width // 8, "little")
        none = bytes(width // 8)
        candidate = line * rows + none * (size - rows) + (line * columns + none * (size - columns))
        return int.from_bytes(candidate * count, "little")

    return _Places(
        width=width,
        pairs=set_of(size - 1, size, columns=size),
        squares=set_of(size - 1, size - 1, columns=0),
        finders=set_of(size - _FINDER + 1, size, columns=size),
        firsts=set_of(1, size, columns=size),
        rows=set_of(size, size, columns=0),
    )


def penalties(matrices: NDArray[np.uint8]) -> list[int]:
    """Return the penalty of each of (count, size, size) matrices, 1 = dark."""
    count, size, _ = matrices.shape
    places = _places(count, size)
    lines = np.zeros((count, 2 * size, places.width), np.uint8)
    lines[:, :size, :size] = matrices
    lines[:, size:, :size] = matrices.transpose(0, 2, 1)
    packed = np.packbits(lines, axis=None, bitorder="little").tobytes()
    dark = int.from_bytes(packed, "little")
    same = ~(dark ^ dark >> 1) & places.pairs
    fives, starts = _runs(same)
    counted = (fives, starts, _squares(dark, same, places), _finders(dark, places), dark & places.rows)
    hits = b"".join(each.to_bytes(len(packed), "little") for each in counted)
    bits = np.bitwise_count(np.frombuffer(hits, np.uint8)).reshape(len(counted), count, -1)
    area = size * size
    return [
        five + 2 * start + 3 * square + 40 * finder + abs(2 * darks - area) * 10 // area * 10
        for five, start, square, finder, darks in bits.sum(axis=2, dtype=np.int64).T.tolist()
    ]


def _runs(same: int) -> tuple[int, int]:
    """Runs of five or more: every window of five, and the first of each run. Length less two is the first and twice
    the second."""
    threes = same & same >> 1
    fives = threes & threes >> 2
    return fives, fives & ~(fives << 1)


def _squares(dark: int, same: int, places: _Places) -> int:
    down = ~(dark ^ dark >> places.width)
    return same & same >> places.width & down & places.squares


def _finders(dark: int, places: _Places) -> int:
    second = dark >> 1
    middle = (dark & second & dark >> 2) >> 2
    hits = places.finders & dark & ~second & middle & ~(second >> 4) & dark >> 6
    pairs = dark | dark << 1
    fours = pairs | pairs << 2  # dark within _LIGHT modules
    before, after = places.firsts | fours << 1, fours >> _FINDER + _LIGHT - 1
    return hits & ~(before & after)
