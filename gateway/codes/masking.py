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

_FINDER = (1, 0, 1, 1, 1, 0, 1)
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
        finders=set_of(size - len(_FINDER) + 1, size, columns=size),
        firsts=set_of(1, size, columns=size),
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
    found = (fives, starts, _squares(dark, same, places), _finders(dark, places))
    each = [_split(hits, count, len(packed)) for hits in found]
    rows = len(packed) // count // 2
    balances = (
        _balance(int.from_bytes(packed[start : start + rows]).bit_count(), size * size)
        for start in range(0, len(packed), 2 * rows)
    )
    return [
        five + 2 * start + 3 * square + 40 * finder + balance
        for five, start, square, finder, balance in zip(*each, balances, strict=True)
    ]


def _split(hits: int, count: int, length: int) -> list[int]:
    """How many bits each candidate has."""
    packed, part = hits.to_bytes(length, "little"), length // count
    return [int.from_bytes(packed[at : at + part]).bit_count() for at in range(0, length, part)]


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
    hits = places.finders
    for offset, wanted in enumerate(_FINDER):
        part = dark >> offset
        hits &= part if wanted else ~part
    before, after = places.firsts, 0
    for distance in range(_LIGHT):
        before |= dark << 1 + distance
        after |= dark >> len(_FINDER) + distance
    return hits & ~(before & after)


def _balance(dark: int, area: int) -> int:
    return abs(dark * 2 - area) * 10 // area * 10
