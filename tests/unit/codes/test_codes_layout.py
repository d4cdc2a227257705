"""The grid of each version is what ISO/IEC 18004 says, by figures that do not come from the code under
test."""

import numpy as np
import pytest

from gateway.codes.layout import MAX_VERSION, format_word, layout
from gateway.codes.masking import penalties
from gateway.codes.reed_solomon import parity_of

# ISO/IEC 18004:2015 table 9: total codewords and data codewords at level M.
CODEWORDS = {
    1: (26, 16),
    2: (44, 28),
    3: (70, 44),
    6: (172, 108),
    7: (196, 124),
    10: (346, 216),
    20: (1085, 669),
}


@pytest.mark.parametrize(("version", "total", "data"), [(v, *both) for v, both in CODEWORDS.items()])
def test_capacity(version: int, total: int, data: int) -> None:
    grid = layout(version)
    assert grid.blocks.total_codewords == 3 * total
    assert grid.blocks.data_codewords == 3 * data
    assert len(grid.order) // 8 == total


@pytest.mark.parametrize("version", range(1, MAX_VERSION + 1))
def test_order_and_interleaving_visit_each_place_once(version: int) -> None:
    grid = layout(version)
    assert len(set(grid.order.tolist())) == len(grid.order)
    assert len(set(grid.blocks.interleave.tolist())) == grid.blocks.total_codewords
    assert (grid.template.flat[grid.order] == 0).all()
    assert (grid.frames.reshape(8, -1)[:, grid.order] == 0).all()


def test_format_information_of_level_m_mask_5() -> None:
    """Annex C works this example: level M (00), mask 101."""
    assert format_word(0b101) == 0b100000011001110


def test_a_layout_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        layout(3).order[0] = 0


@pytest.mark.parametrize("version", [0, MAX_VERSION + 1])
def test_versions_are_bounded(version: int) -> None:
    with pytest.raises(ValueError, match="version"):
        layout(version)


def test_parity_of_the_standards_example() -> None:
    """Annex I: version 1-M symbol of 01234567."""
    data = bytes([0x10, 0x20, 0x0C, 0x56, 0x61, 0x80, *[0xEC, 0x11] * 5])
    expected = [0xA5, 0x24, 0xD4, 0xC1, 0xED, 0x36, 0xC7, 0x87, 0x2C, 0x55]
    assert parity_of(np.frombuffer(data, np.uint8)[None], 10).tolist() == [expected]


def test_penalty_of_an_all_dark_square() -> None:
    side = 21
    runs = 2 * side * (side - 2)
    squares = 3 * (side - 1) ** 2
    assert penalties(np.ones((1, side, side), np.uint8)) == [runs + squares + 100]
