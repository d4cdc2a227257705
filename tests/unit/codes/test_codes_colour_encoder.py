"""The HCC2D8 encoder equals the public reference encoder, module by module."""

import json
import secrets
from pathlib import Path

import numpy as np
import pytest
from hcc2d_encoder import PALETTE_8_MODEL2, encode_hcc2d
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.codes import Form, PayloadTooLong, render
from gateway.codes.layout import MAX_VERSION, layout
from gateway.codes.model import PALETTE_CUBE

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "hcc2d8.json").read_text())


def reference_modules(payload: bytes) -> tuple[int, NDArray[np.uint8]]:
    symbol = encode_hcc2d(
        payload, mode="hcc2d8", ec_level="M", palette=PALETTE_8_MODEL2, scale=6, quiet_zone=0
    )
    pixels = np.array(symbol.pixels, np.uint8).reshape(symbol.height, symbol.width)
    return symbol.version, pixels[::6, ::6]


def assert_equals_reference(payload: bytes) -> None:
    version, modules = reference_modules(payload)
    symbol = render(payload, form=Form.COLOUR)
    assert symbol.version == version
    assert np.array_equal(symbol.modules, modules)


def test_palette_is_the_references() -> None:
    assert list(PALETTE_CUBE) == [tuple(colour) for colour in PALETTE_8_MODEL2]


@settings(max_examples=120, deadline=None)
@given(st.binary(min_size=1, max_size=400))
def test_any_payload_up_to_400_bytes(payload: bytes) -> None:
    assert_equals_reference(payload)


def test_random_activation_payloads() -> None:
    for _ in range(25):
        assert_equals_reference(secrets.token_bytes(88))


@pytest.mark.parametrize("version", range(1, MAX_VERSION + 1))
def test_every_version_filled_to_the_brim_and_one_byte_less(version: int) -> None:
    capacity = layout(version).blocks.data_codewords - 3
    for length in (capacity, capacity - 1):
        assert_equals_reference(secrets.token_bytes(length))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{len(case['payload']) // 2} bytes")
def test_published_vectors(case: dict[str, object]) -> None:
    symbol = render(bytes.fromhex(str(case["payload"])), form=Form.COLOUR)
    assert ["".join(map(str, row)) for row in symbol.modules.tolist()] == case["modules"]


def test_too_long_and_empty_are_refused() -> None:
    largest = layout(MAX_VERSION).blocks.data_codewords - 3
    with pytest.raises(PayloadTooLong):
        render(bytes(largest + 1), form=Form.COLOUR)
    with pytest.raises(ValueError, match="at least one byte"):
        render(b"", form=Form.COLOUR)


def test_activation_payload_is_31_modules_a_side() -> None:
    assert render(bytes(88), form=Form.COLOUR).size == 31
