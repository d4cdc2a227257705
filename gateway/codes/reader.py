"""Read a code from a picture: `tessera phone scan IMAGE` and the tests call this. Takes either symbology;
what the bytes mean is for `gateway.protocol` to say. The picture comes from outside: its size is bounded
before it is decoded, and nothing but UnreadableCode is raised for what is in it."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway.codes.decode import NotDecoded, decode_modules
from gateway.codes.layout import layout
from gateway.codes.locate import ReadSymbol, Sighting, search
from gateway.codes.sample import even_light, fit_corners, sample_modules

MAX_FILE_BYTES = 20_000_000
MAX_PIXELS = 40_000_000
MIN_SIDE = 21
MAX_SIGHTINGS = 6
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")

_MARGIN = 3
"""Modules around a symbol that are cut out with it."""


class UnreadableCode(Exception):
    """There is no readable code in the picture; the text says what to try next."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The bytes of a symbol. From the QR form they are usually the text of a link."""

    payload: bytes
    symbology: Literal["hcc2d8", "qr"]


def read_image(source: Path | bytes | NDArray[np.uint8]) -> Reading:
    """Return what the first readable code in a picture holds. `source` is a file, its bytes, or an array
    (height, width) grey or (height, width, 3) RGB. At most 20 MB and 40 million pixels. Raises
    UnreadableCode."""
    picture = _from_array(source) if isinstance(source, np.ndarray) else _from_file(source)
    sightings = 0
    for found in search(picture):
        if isinstance(found, ReadSymbol):
            return Reading(found.payload, "qr")
        try:
            return Reading(_read_colour(picture, found), "hcc2d8")
        except NotDecoded:
            sightings += 1
            if sightings == MAX_SIGHTINGS:
                break
    if sightings:
        raise UnreadableCode(
            "A code was found but its content could not be read. Take the picture from nearer, straight on, "
            "without reflections, and in focus."
        )
    raise UnreadableCode(
        "No code was found. The picture has to show the whole code with its white margin, at least four "
        "pixels a module."
    )


def _read_colour(picture: Image.Image, sighting: Sighting) -> bytes:
    grid = layout(sighting.version)
    margin = _MARGIN * np.ptp(sighting.corners, axis=0).max() / grid.size
    upper_left = np.clip(sighting.corners.min(axis=0) - margin, 0, picture.size).astype(int)
    lower_right = np.clip(sighting.corners.max(axis=0) + margin, 0, picture.size).astype(int)
    if (lower_right - upper_left).min() < MIN_SIDE:
        raise NotDecoded("too small")
    part = picture.crop((*upper_left.tolist(), *lower_right.tolist()))
    colours = np.asarray(part, np.float64)
    try:
        corners = fit_corners(colours.mean(axis=2), sighting.corners - upper_left, grid)
        samples = sample_modules(colours, corners, grid)
    except np.linalg.LinAlgError as error:
        raise NotDecoded("the corners are in one line") from error
    return decode_modules(even_light(samples, grid), grid)


def _from_array(source: NDArray[np.uint8]) -> Image.Image:
    shapes = source.ndim == 2 or (source.ndim == 3 and source.shape[2] == 3)
    if source.dtype != np.uint8 or not shapes:
        raise UnreadableCode("The picture has to be an array of bytes, grey or RGB.")
    _check_size(source.shape[1], source.shape[0])
    return Image.fromarray(source).convert("RGB")


def _from_file(source: Path | bytes) -> Image.Image:
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                source = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableCode(f"The file cannot be read: {error.strerror}.") from error
    if len(source) > MAX_FILE_BYTES:
        raise UnreadableCode(
            f"The file is larger than {MAX_FILE_BYTES // 1_000_000} MB. Send a smaller picture."
        )
    try:
        with Image.open(io.BytesIO(source), formats=FORMATS) as picture:
            _check_size(*picture.size)
            return _flatten(picture)
    except UnreadableCode:
        raise
    except (
        Exception
    ) as error:  # Pillow raises a dozen kinds for damaged files, SyntaxError and struct.error among them
        raise UnreadableCode(f"The file is not a whole picture. Send one of {', '.join(FORMATS)}.") from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableCode(
            f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels. Send a smaller one."
        )
    if min(width, height) < MIN_SIDE:
        raise UnreadableCode("The picture is too small to hold a code.")


def _flatten(picture: Image.Image) -> Image.Image:
    """Colours over white, where the picture has transparency."""
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    ground = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(ground, layer).convert("RGB")
