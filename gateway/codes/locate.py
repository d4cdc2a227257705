"""Find code symbols in a picture. zxing-cpp does the looking: a QR symbol it reads itself; a colour symbol
it reports as a QR symbol whose checksum fails, with corners and version, which is what the next step needs.
`gateway.codes.reader` calls this. Misses are mostly of locating, so that several views of the picture are
tried, cheapest first."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import zxingcpp
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from gateway.codes.layout import MAX_VERSION

COARSE_SIDE = 1600
"""Longest side, pixels, of the first look at a larger picture."""

_FORMATS = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)
_BLUR = 1.2
_SAME_PLACE = 6.0


@dataclass(frozen=True, slots=True)
class ReadSymbol:
    """A QR symbol and the bytes in it."""

    payload: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """Something with the grid of a symbol whose content is yet unread. `corners`: (4, 2) x and y in pixels
    of the picture, clockwise from the symbol's upper left, without the colour form's border."""

    corners: NDArray[np.float64]
    version: int


def search(picture: Image.Image) -> Iterator[ReadSymbol | Sighting]:
    """Yield what there is in an RGB picture, likeliest first. The caller stops when one of them reads."""
    seen: list[Sighting] = []
    for view, factor in _views(picture):
        found = zxingcpp.read_barcodes(view, formats=_FORMATS, return_errors=True, try_downscale=True)
        for barcode in found:
            if barcode.valid:
                yield ReadSymbol(barcode.bytes)
                continue
            sighting = _sighting(barcode, factor)
            if sighting is not None and not any(_is_same(sighting, other) for other in seen):
                seen.append(sighting)
                yield sighting


def _views(picture: Image.Image) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Yield grey views and the factor from their pixels to the picture's."""
    longest = max(picture.size)
    if longest > COARSE_SIDE:
        coarse = picture.copy()
        coarse.thumbnail((COARSE_SIDE, COARSE_SIDE), Image.Resampling.BOX, reducing_gap=None)
        for view in _greys(coarse):
            yield view, picture.width / coarse.width
    for view in _greys(picture):
        yield view, 1.0


def _greys(picture: Image.Image) -> Iterator[NDArray[np.uint8]]:
    grey = picture.convert("L")
    yield np.asarray(grey)
    yield np.asarray(grey.filter(ImageFilter.GaussianBlur(_BLUR)))
    colours = np.asarray(picture)
    yield colours.max(axis=2)
    yield np.ascontiguousarray(colours[:, :, 1])


def _sighting(barcode: zxingcpp.Barcode, factor: float) -> Sighting | None:
    details = barcode.extra
    text = details.get("Version", "") if isinstance(details, dict) else ""
    version = int(text) if isinstance(text, str) and text.isdecimal() else 0
    if not 1 <= version <= MAX_VERSION:
        return None
    place = barcode.position
    points = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    corners = (np.array([(point.x, point.y) for point in points], np.float64) + 0.5) * factor
    return Sighting(corners, version)


def _is_same(one: Sighting, other: Sighting) -> bool:
    if one.version != other.version:
        return False
    return bool(np.abs(one.corners - other.corners).max() < _SAME_PLACE)
