"""SVG, PNG and terminal drawings show exactly the modules of the symbol."""

import io
import re
import secrets
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray
from PIL import Image

from gateway.codes import (
    LANGUAGES,
    Form,
    PayloadTooLong,
    Symbol,
    alt_text,
    render,
    to_png,
    to_svg,
    to_terminal,
)
from gateway.codes.model import QUIET_ZONE

LINK = "https://bank.example.com/a#" + "AZaz09-_" * 14
SVG = "{http://www.w3.org/2000/svg}"
RUN = re.compile(r"M(\d+) (\d+) *h(\d+) *")


def symbols() -> list[Symbol]:
    payload = secrets.token_bytes(88)
    return [
        render(payload, form=Form.COLOUR),
        render(payload, form=Form.QR),
        render(payload, form=Form.QR, text=LINK),
    ]


def with_quiet_zone(symbol: Symbol) -> NDArray[np.uint8]:
    return np.pad(symbol.modules, QUIET_ZONE, constant_values=len(symbol.palette) - 1)


@pytest.mark.parametrize("index", range(3))
def test_svg_paints_every_module_once(index: int) -> None:
    symbol = symbols()[index]
    root = ElementTree.fromstring(to_svg(symbol, title="A <title> & more"))  # noqa: S314 - our own output
    side = symbol.size + 2 * QUIET_ZONE
    assert root.tag == f"{SVG}svg"
    assert root.attrib["viewBox"] == f"0 0 {side} {side}"
    assert root.attrib["role"] == "img"
    assert root.attrib["shape-rendering"] == "crispEdges"
    assert root.find(f"{SVG}title").text == "A <title> & more"
    white = len(symbol.palette) - 1
    painted = np.full((side, side), white, np.uint8)
    (ground,), (middle,) = root.findall(f"{SVG}path"), root.findall(f"{SVG}g")
    assert middle.attrib == {"transform": "translate(0 .5)"}
    assert ground.attrib == {"fill": "#fff", "d": f"M0 0h{side}v{side}H0z"}
    for path in middle.findall(f"{SVG}path"):
        digits = path.attrib["stroke"].lstrip("#")
        colour = tuple(int(digit * 2, 16) for digit in digits)
        assert RUN.sub("", path.attrib["d"]) == ""
        for column, row, length in RUN.findall(path.attrib["d"]):
            run = painted[int(row), int(column) : int(column) + int(length)]
            assert (run == white).all()
            run[:] = symbol.palette.index(colour)
    assert np.array_equal(painted, with_quiet_zone(symbol))


def test_svg_has_nothing_that_a_strict_policy_refuses() -> None:
    svg = to_svg(symbols()[0], title="x")
    for word in ("style", "script", "<use", "href", " id=", "class"):
        assert word not in svg
    assert len(svg) < 8_000


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("scale", [1, 7])
def test_png_shows_the_modules(index: int, scale: int) -> None:
    symbol = symbols()[index]
    image = Image.open(io.BytesIO(to_png(symbol, scale=scale)))
    assert image.mode == "P"
    pixels = np.asarray(image.convert("RGB"))
    expected = np.array(symbol.palette, np.uint8)[with_quiet_zone(symbol)]
    assert np.array_equal(pixels, np.kron(expected, np.ones((scale, scale, 1), np.uint8)))


@pytest.mark.parametrize("scale", [0, -1, 65])
def test_png_scale_is_bounded(scale: int) -> None:
    with pytest.raises(ValueError, match="scale"):
        to_png(symbols()[1], scale=scale)


def rasterize(symbol: Symbol, scale: int) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(to_png(symbol, scale=scale))).convert("L"))


@pytest.mark.parametrize("length", [1, 17, 88, 400])
def test_zxing_reads_the_qr_form_bytes(length: int) -> None:
    payload = secrets.token_bytes(length)
    (result,) = zxingcpp.read_barcodes(rasterize(render(payload, form=Form.QR), 3))
    assert result.bytes == payload
    assert result.ec_level == "M"


def test_zxing_reads_the_link_as_text() -> None:
    (result,) = zxingcpp.read_barcodes(rasterize(render(b"unused", form=Form.QR, text=LINK), 3))
    assert result.text == LINK
    assert result.ec_level == "M"


def test_qr_too_long_and_empty_are_refused() -> None:
    with pytest.raises(PayloadTooLong):
        render(bytes(3000), form=Form.QR)
    with pytest.raises(ValueError, match="at least one byte"):
        render(b"", form=Form.QR)


def test_zxing_reads_the_terminal_drawing() -> None:
    symbol = render(b"", form=Form.QR, text="https://192.0.2.7:8443/phone/")
    lines = [
        line.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m") for line in to_terminal(symbol).splitlines()
    ]
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    rows = [[halves[character][half] for character in line] for line in lines for half in (0, 1)]
    pixels = np.kron(np.array(rows, np.uint8), np.ones((4, 4), np.uint8))
    (result,) = zxingcpp.read_barcodes(pixels)
    assert result.text == "https://192.0.2.7:8443/phone/"


def test_terminal_refuses_the_colour_form() -> None:
    with pytest.raises(ValueError, match="QR form"):
        to_terminal(symbols()[0])


def test_alternative_texts_differ_by_kind_and_language() -> None:
    texts = {alt_text(kind, lang) for kind in ("activation", "code2") for lang in LANGUAGES}
    assert len(texts) == 4
    assert all(40 < len(text) < 200 for text in texts)
