"""From the evened colour of every module to the payload: learns the palette from the reference border, names
each module's colour, takes the mask off, puts the blocks together and corrects them, treating the least
certain codewords as erasures. `gateway.codes.reader` calls this. It returns bytes only when every block is
corrected and the frame around the payload is exact, padding included."""

from functools import cache

import numpy as np
import reedsolo
from numpy.typing import NDArray

from gateway.codes.colour import BYTE_MODE, HEADER_BYTES, PADDING
from gateway.codes.layout import PLANES, Layout, format_word

Floats = NDArray[np.float64]

_COLOURS = 1 << PLANES
_ROUNDS = 4
_KEEP = 0.2
"""Share of the border's colour in a learned one."""
_FEWEST = 4
_ERASURES = (0.0, 1 / 3, 2 / 3)
"""Shares of the parity spent on erasures, tried in turn."""
_MAX_FORMAT_ERRORS = 5


class NotDecoded(Exception):
    """These modules hold no payload that can be corrected."""


def decode_modules(evened: Floats, grid: Layout) -> bytes:
    """Return the payload of a colour symbol from (size + 2, size + 2, 3) evened samples. Raises
    NotDecoded."""
    mask = _read_mask(evened[1:-1, 1:-1], grid)
    palette = _learn_palette(evened, grid)
    inner = evened[1:-1, 1:-1].reshape(-1, 3)[grid.order]
    values, certainty = _name_colours(inner, palette)
    values ^= grid.masks[mask] * np.uint8(_COLOURS - 1)
    codewords, trust = _codewords(values, certainty, grid)
    return _unframe(_correct(codewords, trust, grid))


def _read_mask(inner: Floats, grid: Layout) -> int:
    """The mask whose format information differs least from the modules, over both copies."""
    dark = inner.mean(axis=2).ravel()[grid.format_places] < 0.5
    expected = np.array([[format_word(mask) >> bit & 1 for bit in range(15)] for mask in range(8)], bool)
    errors = (dark[None] != expected[:, None]).sum(axis=2).min(axis=1)
    best = int(errors.argmin())
    if errors[best] > _MAX_FORMAT_ERRORS:
        raise NotDecoded("no format information of level M")
    return best


def _learn_palette(evened: Floats, grid: Layout) -> Floats:
    """Return (8, 3) colours: the border's medians, then drawn to where the data modules gather."""
    reference = np.array([np.median(evened[grid.border == index], axis=0) for index in range(_COLOURS)])
    inner = evened[1:-1, 1:-1].reshape(-1, 3)[grid.order]
    palette = reference.copy()
    for _ in range(_ROUNDS):
        names = _distances(inner, palette).argmin(axis=1)
        for index in range(_COLOURS):
            members = inner[names == index]
            if len(members) >= _FEWEST:
                palette[index] = (1 - _KEEP) * members.mean(axis=0) + _KEEP * reference[index]
    return palette


def _distances(colours: Floats, palette: Floats) -> Floats:
    return np.asarray(((colours[:, None] - palette) ** 2).sum(axis=2))


def _name_colours(colours: Floats, palette: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """Return the nearest palette index of each colour, and how much nearer it is than the next."""
    distances = np.sqrt(_distances(colours, palette))
    nearest = np.partition(distances, 1, axis=1)
    return distances.argmin(axis=1).astype(np.uint8), nearest[:, 1] - nearest[:, 0]


def _codewords(
    values: NDArray[np.uint8], certainty: Floats, grid: Layout
) -> tuple[NDArray[np.uint8], Floats]:
    """Return the transmitted codewords, and for each the certainty of its least certain module."""
    count = grid.blocks.total_codewords * 8
    bits = np.unpackbits(values[:, None], axis=1)[:, -PLANES:].ravel()[:count]
    trust = np.repeat(certainty, PLANES)[:count].reshape(-1, 8).min(axis=1)
    return np.packbits(bits), trust


def _correct(codewords: NDArray[np.uint8], trust: Floats, grid: Layout) -> bytes:
    blocks = grid.blocks
    widest = blocks.lengths[-1]
    table = np.zeros(len(blocks.lengths) * (widest + blocks.parity), np.uint8)
    trusted = np.full(table.shape, np.inf)
    table[blocks.interleave] = codewords
    trusted[blocks.interleave] = trust
    rows = zip(
        blocks.lengths,
        table.reshape(len(blocks.lengths), -1),
        trusted.reshape(len(blocks.lengths), -1),
        strict=True,
    )
    return b"".join(
        _correct_block(row[widest - length :], certain[widest - length :], blocks.parity)
        for length, row, certain in rows
    )


def _correct_block(block: NDArray[np.uint8], trust: Floats, parity: int) -> bytes:
    codec = _codec(parity)
    doubtful = np.argsort(trust).tolist()
    for share in _ERASURES:
        try:
            return bytes(codec.decode(block.tobytes(), erase_pos=doubtful[: int(parity * share)])[0])
        except (reedsolo.ReedSolomonError, ZeroDivisionError):
            continue
    raise NotDecoded("a block has too many errors")


@cache
def _codec(parity: int) -> reedsolo.RSCodec:
    return reedsolo.RSCodec(parity)


def _unframe(data: bytes) -> bytes:
    header = int.from_bytes(data[:HEADER_BYTES])
    length = header >> 4 & 0xFFFF
    if header >> 20 != BYTE_MODE or not 1 <= length <= len(data) - HEADER_BYTES:
        raise NotDecoded("not one byte-mode segment")
    used = length + HEADER_BYTES
    padding = data[used:]
    if data[used - 1] & 0x0F or padding != (PADDING * len(padding))[: len(padding)]:
        raise NotDecoded("the padding is not what an encoder writes")
    body = int.from_bytes(data[:used]) >> 4 & (1 << 8 * length) - 1
    return body.to_bytes(length)
