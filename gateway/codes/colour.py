"""Encode bytes as an HCC2D8 symbol, level M, with the RGB-cube palette. `gateway.codes.render` calls it. The
output equals the public reference encoder's, module by module; its tests hold the two together.

Source: the HCC2D specification 0.9.0 (DOI 10.5281/zenodo.22206528)."""

import numpy as np
from numpy.typing import NDArray

from gateway.codes.layout import MAX_VERSION, PLANES, Layout, layout
from gateway.codes.masking import penalties
from gateway.codes.model import PALETTE_CUBE, Form, PayloadTooLong, Symbol
from gateway.codes.reed_solomon import parity_of

BYTE_MODE = 0b0100
HEADER_BYTES = 3
"""Mode (4 bits), byte count (16 bits) and terminator (4 bits)."""
PADDING = b"\xec\x11"

_WEIGHTS = np.array([4, 2, 1], np.uint8)
_INVERT = np.uint8((1 << PLANES) - 1)


def encode_colour(payload: bytes) -> Symbol:
    """Return the smallest symbol that holds `payload`, 1 byte or more. Raises PayloadTooLong."""
    if not payload:
        raise ValueError("a symbol needs at least one byte")
    grid = _choose_layout(len(payload))
    values = _module_values(grid, _codewords(grid, payload))
    mask = _choose_mask(grid, values)
    inner = grid.frames[mask] ^ np.uint8(1)
    inner *= _INVERT
    inner.flat[grid.order] = values ^ grid.masks[mask] * _INVERT
    modules = grid.border.copy()
    modules[1:-1, 1:-1] = inner
    return Symbol(Form.COLOUR, modules, PALETTE_CUBE, grid.version)


def _choose_layout(length: int) -> Layout:
    for version in range(1, MAX_VERSION + 1):
        grid = layout(version)
        if grid.blocks.data_codewords >= length + HEADER_BYTES:
            return grid
    raise PayloadTooLong(f"{length} bytes do not fit a version {MAX_VERSION} symbol")


def frame(payload: bytes, capacity: int) -> bytes:
    """Return `capacity` data codewords: mode, count, payload, terminator, padding."""
    length = len(payload)
    header = (BYTE_MODE << 16 | length) << 8 * length | int.from_bytes(payload)
    used = length + HEADER_BYTES
    padding = PADDING * ((capacity - used + 1) // 2)
    return (header << 4).to_bytes(used) + padding[: capacity - used]


def _codewords(grid: Layout, payload: bytes) -> NDArray[np.uint8]:
    blocks = grid.blocks
    widest = blocks.lengths[-1]
    data = np.frombuffer(frame(payload, blocks.data_codewords), np.uint8)
    table = np.zeros((len(blocks.lengths), widest + blocks.parity), np.uint8)
    split = blocks.lengths.count(blocks.lengths[0]) if blocks.lengths[0] != widest else 0
    head = split * (widest - 1)
    table[:split, 1:widest] = data[:head].reshape(split, widest - 1)
    table[split:, :widest] = data[head:].reshape(-1, widest)
    table[:, widest:] = parity_of(table[:, :widest], blocks.parity)
    return table.ravel()[blocks.interleave]


def _module_values(grid: Layout, codewords: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three consecutive bits a module, the first of them the highest; remainder modules are 0."""
    values = np.zeros(len(grid.order), np.uint8)
    bits = np.unpackbits(codewords).reshape(-1, PLANES)
    values[: len(bits)] = bits @ _WEIGHTS
    return values


def _choose_mask(grid: Layout, values: NDArray[np.uint8]) -> int:
    """All planes share the mask that plane 0 would take as a QR symbol with dark and light exchanged."""
    proxy = values < 1 << (PLANES - 1)
    proxy[len(grid.order) // 8 * 8 :] = False
    matrices = grid.frames.copy()
    matrices.reshape(8, -1)[:, grid.order] = grid.masks ^ proxy
    scores = penalties(matrices)
    return scores.index(min(scores))
