"""Where everything lies in a symbol of one version at error-correction level M: reserved modules, the order
of the data modules, masks, format information, blocks and their interleaving, the reference border of the
colour form. The encoder and the reader share it. Each layout is computed once a version and kept.

Sources: ISO/IEC 18004:2015 for the QR grid; the HCC2D specification 0.9.0 (DOI 10.5281/zenodo.22206528) for
planes and border."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

MAX_VERSION = 20
"""The largest symbol drawn or read: 97 modules a side; a camera resolves no more at arm's length."""

PLANES = 3
"""Bits a data module in the colour form."""

_FORMAT_GENERATOR = 0x537
_FORMAT_MASK = 0x5412
_VERSION_GENERATOR = 0x1F25

# Level M, versions 1 to 20 (ISO/IEC 18004:2015 table 9): parity codewords a block, and blocks.
_PARITY = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26)
_BLOCKS = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Reed-Solomon blocks of a symbol. `lengths` are data codewords a block (shorter blocks first), `parity`
    the parity codewords of every block. `interleave[k]` is the place of the k-th transmitted codeword in a
    table with one row a block: data right-aligned in `max(lengths)` columns, then the parity columns."""

    lengths: tuple[int, ...]
    parity: int
    interleave: NDArray[np.intp]

    @property
    def data_codewords(self) -> int:
        """Data codewords in all blocks."""
        return sum(self.lengths)

    @property
    def total_codewords(self) -> int:
        """Data and parity codewords in all blocks."""
        return self.data_codewords + self.parity * len(self.lengths)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The grid of one version. Arrays are read-only.

    `order`: flat index of each data module in placement order. `masks`: (8, data modules) mask bits in that
    order. `frames`: (8, size, size) function modules with the format information of each mask, 1 = dark,
    data modules 0. `template`: (size, size) +1 dark, -1 light for modules that are the same in every symbol,
    0 elsewhere. `border`: (size + 2, size + 2) palette index of the colour form's reference border, 255
    inside. `format_places`: (2, 15) flat indices of the two copies of the format information, least
    significant bit first."""

    version: int
    size: int
    order: NDArray[np.intp]
    masks: NDArray[np.uint8]
    frames: NDArray[np.uint8]
    template: NDArray[np.int8]
    border: NDArray[np.uint8]
    format_places: NDArray[np.intp]
    blocks: Blocks


def size_of(version: int) -> int:
    """Modules a side of the inner grid."""
    return 17 + 4 * version


@cache
def layout(version: int) -> Layout:
    """Return the layout of a version, 1 to MAX_VERSION."""
    if not 1 <= version <= MAX_VERSION:
        raise ValueError(f"version must be 1 to {MAX_VERSION}")
    size = size_of(version)
    template = _template(version)
    places = _format_places(size)
    reserved = template != 0
    reserved.flat[places.ravel()] = True
    version_places = _version_places(size) if version >= 7 else np.empty((2, 0), np.intp)
    reserved.flat[version_places.ravel()] = True
    order = _placement_order(reserved)
    frames = np.repeat((template == 1).astype(np.uint8)[None], 8, axis=0)
    for mask in range(8):
        frames[mask].flat[places] = _bits(format_word(mask), 15)
        frames[mask].flat[version_places] = _bits(_version_word(version), version_places.shape[1])
    result = Layout(
        version=version,
        size=size,
        order=order,
        masks=_masks(order, size),
        frames=frames,
        template=template,
        border=_border(size),
        format_places=places,
        blocks=_blocks(version, len(order) // 8),
    )
    for array in (order, result.masks, frames, template, result.border, places, result.blocks.interleave):
        array.flags.writeable = False
    return result


def format_word(mask: int) -> int:
    """Return the 15 bits of format information for level M and that mask (section 7.9)."""
    return (mask << 10 | _remainder(mask, _FORMAT_GENERATOR)) ^ _FORMAT_MASK


def _version_word(version: int) -> int:
    return version << 12 | _remainder(version, _VERSION_GENERATOR)


def _remainder(value: int, generator: int) -> int:
    degree = generator.bit_length() - 1
    value <<= degree
    while value.bit_length() > degree:
        value ^= generator << (value.bit_length() - degree - 1)
    return value


def _bits(value: int, count: int) -> list[int]:
    """Least significant first."""
    return [value >> shift & 1 for shift in range(count)]


def alignment_centres(version: int) -> list[tuple[int, int]]:
    """Return (row, column) of each alignment pattern's centre (annex E)."""
    if version < 2:
        return []
    count = version // 7 + 2
    last = size_of(version) - 7
    step = (version * 4 + count * 2 + 1) // (count * 2 - 2) * 2
    line = [6, *(last - step * i for i in range(count - 2, -1, -1))]
    corners = {(6, 6), (6, last), (last, 6)}
    return [(row, column) for row in line for column in line if (row, column) not in corners]


def _template(version: int) -> NDArray[np.int8]:
    size = size_of(version)
    template = np.zeros((size, size), np.int8)
    stripes = np.where(np.arange(size) % 2 == 0, 1, -1)
    template[6, :] = stripes
    template[:, 6] = stripes
    offsets = np.abs(np.arange(-4, 5))
    rings = np.maximum(offsets[:, None], offsets)
    finder = np.where((rings == 2) | (rings == 4), -1, 1)
    for row, column in ((3, 3), (3, size - 4), (size - 4, 3)):
        top, left = max(row - 4, 0), max(column - 4, 0)
        bottom, right = min(row + 5, size), min(column + 5, size)
        part = finder[top - row + 4 : bottom - row + 4, left - column + 4 : right - column + 4]
        template[top:bottom, left:right] = part
    alignment = np.where(rings[2:7, 2:7] == 1, -1, 1)
    for row, column in alignment_centres(version):
        template[row - 2 : row + 3, column - 2 : column + 3] = alignment
    template[size - 8, 8] = 1
    return template


def _format_places(size: int) -> NDArray[np.intp]:
    first = [(row, 8) for row in (0, 1, 2, 3, 4, 5, 7, 8)] + [(8, column) for column in (7, 5, 4, 3, 2, 1, 0)]
    second = [(8, size - 1 - i) for i in range(8)] + [(size - 7 + i, 8) for i in range(7)]
    return np.array([[row * size + column for row, column in copy] for copy in (first, second)], np.intp)


def _version_places(size: int) -> NDArray[np.intp]:
    below = [(size - 11 + j, i) for i in range(6) for j in range(3)]
    return np.array([[r * size + c for r, c in below], [c * size + r for r, c in below]], np.intp)


def _placement_order(reserved: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Two-module columns from the right, up and down in turn, past the vertical timing pattern (section
    7.7.3)."""
    size = reserved.shape[0]
    order: list[int] = []
    rightmost = [*range(size - 1, 6, -2), 5, 3, 1]
    for turn, right in enumerate(rightmost):
        rows = range(size) if turn % 2 else range(size - 1, -1, -1)
        order += [
            row * size + column for row in rows for column in (right, right - 1) if not reserved[row, column]
        ]
    return np.array(order, np.intp)


def _masks(order: NDArray[np.intp], size: int) -> NDArray[np.uint8]:
    i, j = np.divmod(order, size)
    conditions = (
        (i + j) % 2,
        i % 2,
        j % 3,
        (i + j) % 3,
        (i // 2 + j // 3) % 2,
        i * j % 2 + i * j % 3,
        (i * j % 2 + i * j % 3) % 2,
        ((i + j) % 2 + i * j % 3) % 2,
    )
    return np.array([condition == 0 for condition in conditions], np.uint8)


def _border(size: int) -> NDArray[np.uint8]:
    """Cycling palette indices beside the data area, white elsewhere."""
    colours = 1 << PLANES
    border = np.full((size + 2, size + 2), colours - 1, np.uint8)
    long, short = np.arange(size - 8) % colours, np.arange(size - 16) % colours
    border[0, 9 : size - 7] = short
    border[-1, 9 : size + 1] = long
    border[9 : size - 7, 0] = short[::-1]
    border[9 : size + 1, -1] = long
    border[1:-1, 1:-1] = 255
    return border


def _blocks(version: int, codewords_a_plane: int) -> Blocks:
    """The colour form has the QR block structure three times over."""
    parity, count = _PARITY[version - 1], _BLOCKS[version - 1] * PLANES
    total = codewords_a_plane * PLANES
    short_length, longer = divmod(total, count)
    lengths = [short_length - parity] * (count - longer) + [short_length - parity + 1] * longer
    widest = lengths[-1]
    width = widest + parity
    data = [
        block * width + widest - length + i
        for i in range(widest)
        for block, length in enumerate(lengths)
        if i < length
    ]
    check = [block * width + widest + i for i in range(parity) for block in range(count)]
    return Blocks(tuple(lengths), parity, np.array(data + check, np.intp))
