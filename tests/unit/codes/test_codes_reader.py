"""The reader takes back what the encoder drew, from clean drawings and from distorted pictures, and refuses
everything else by one exception."""

import contextlib
import io
import json
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from gateway.bench.camera import Scene, take_picture
from gateway.codes import Form, render, to_png
from gateway.codes import reader as reader_module
from gateway.codes.layout import MAX_VERSION, layout
from gateway.codes.reader import UnreadableCode, read_image

PICTURES = Path(__file__).parents[2] / "vectors" / "colour"
EXPECTED = json.loads((PICTURES / "expected.json").read_text())
LINK = "https://gateway.bank.example/a#" + "AZaz09-_" * 14


def drawing(payload: bytes, *, form: Form = Form.COLOUR, scale: int = 6) -> Image.Image:
    return Image.open(io.BytesIO(to_png(render(payload, form=form), scale=scale))).convert("RGB")


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("length", [1, 45, 88, 204, 400])
@pytest.mark.parametrize("form", list(Form))
def test_reads_clean_drawings(length: int, form: Form) -> None:
    payload = secrets.token_bytes(length)
    reading = read_image(to_png(render(payload, form=form), scale=5))
    assert reading.payload == payload
    assert reading.symbology == ("hcc2d8" if form is Form.COLOUR else "qr")


@pytest.mark.parametrize("version", range(1, MAX_VERSION + 1))
def test_reads_every_version(version: int) -> None:
    payload = secrets.token_bytes(layout(version).blocks.data_codewords - 3)
    assert read_image(to_png(render(payload, form=Form.COLOUR), scale=6)).payload == payload


def test_reads_a_link_from_a_qr_symbol() -> None:
    reading = read_image(to_png(render(b"", form=Form.QR, text=LINK), scale=4))
    assert reading.payload.decode() == LINK
    assert reading.symbology == "qr"


@pytest.mark.parametrize("file", sorted(EXPECTED))
def test_reads_the_stored_pictures(file: str) -> None:
    reading = read_image(PICTURES / file)
    assert reading.payload.hex() == EXPECTED[file]["payload"]


def on_black(image: Image.Image) -> Image.Image:
    ground = Image.new("RGB", (900, 700))
    ground.paste(image, (300, 120))
    return ground


DISTORTIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "turned 90": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned 180": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned 33": lambda image: image.rotate(33, Image.Resampling.BICUBIC, expand=True, fillcolor="white"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "shrunk": lambda image: image.resize((170, 170), Image.Resampling.BOX),
    "stretched": lambda image: image.resize((image.width * 2, image.height), Image.Resampling.BILINEAR),
    "jpeg 20": lambda image: Image.open(io.BytesIO(encoded(image, "JPEG", quality=20))),
    "dim": lambda image: image.point(lambda value: value * 0.35),
    "pale": lambda image: image.point(lambda value: 160 + value * 0.35),
    "on black": on_black,
}


@pytest.mark.parametrize("name", DISTORTIONS)
def test_reads_distorted_drawings(name: str) -> None:
    payload = secrets.token_bytes(88)
    picture = DISTORTIONS[name](drawing(payload, scale=10))
    assert read_image(np.asarray(picture.convert("RGB"))).payload == payload


@pytest.mark.parametrize(
    "scene",
    [
        Scene(),
        Scene(side=200),
        Scene(blur=2.5),
        Scene(noise=30),
        Scene(tilt=40),
        Scene(jpeg=20),
        Scene(gamma=2.0),
        Scene(balance=(1.2, 0.9, 0.4)),
        Scene(crosstalk=0.5),
        Scene(glare=0.5),
        Scene(roll=180),
    ],
    ids=repr,
)
def test_reads_simulated_photographs(scene: Scene) -> None:
    """Two of three at least, so that one unlucky draw of noise is no failure; the bench tells the rates."""
    random = np.random.default_rng(7)
    read = 0
    for _ in range(3):
        payload = random.bytes(88)
        try:
            read += (
                read_image(take_picture(render(payload, form=Form.COLOUR), scene, random)).payload == payload
            )
        except UnreadableCode:
            continue
    assert read >= 2


def test_corrects_a_spot_over_the_code() -> None:
    payload = secrets.token_bytes(88)
    picture = np.array(drawing(payload, scale=8))
    middle = len(picture) // 2
    picture[middle : middle + 24, middle : middle + 24] = (200, 60, 60)
    assert read_image(picture).payload == payload


def test_reads_over_transparency() -> None:
    payload = secrets.token_bytes(88)
    image = drawing(payload).convert("RGBA")
    pixels = np.array(image)
    pixels[(pixels[..., :3] == 255).all(axis=2)] = 0
    assert read_image(encoded(Image.fromarray(pixels), "PNG")).payload == payload


def test_reads_a_large_photograph_of_a_small_code() -> None:
    payload = secrets.token_bytes(88)
    ground = Image.new("RGB", (4000, 3000), (120, 130, 140))
    ground.paste(drawing(payload, scale=6), (2500, 1800))
    assert read_image(np.asarray(ground)).payload == payload


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_reads_each_file_format(kind: str) -> None:
    payload = secrets.token_bytes(88)
    assert read_image(encoded(drawing(payload), kind)).payload == payload


def test_a_code_beyond_repair_says_so() -> None:
    picture = np.array(drawing(secrets.token_bytes(88), scale=8))
    picture[120:250, 120:250] = 128
    with pytest.raises(UnreadableCode, match="found but its content"):
        read_image(picture)


def test_an_empty_picture_says_so() -> None:
    with pytest.raises(UnreadableCode, match="No code was found"):
        read_image(np.full((200, 300, 3), 255, np.uint8))


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableCode, match="larger than 20 MB"):
        read_image(bytes(20_000_001))
    with pytest.raises(UnreadableCode, match="million pixels"):
        read_image(encoded(Image.new("1", (8000, 5001)), "PNG"))
    with pytest.raises(UnreadableCode, match="million pixels"):
        read_image(np.zeros((5001, 8000), np.uint8))
    with pytest.raises(UnreadableCode, match="too small"):
        read_image(np.zeros((20, 300), np.uint8))
    with pytest.raises(UnreadableCode, match="cannot be read"):
        read_image(tmp_path / "absent.png")
    big = tmp_path / "big"
    monkeypatch.setattr(reader_module, "MAX_FILE_BYTES", 10)
    big.write_bytes(bytes(11))
    with pytest.raises(UnreadableCode, match="larger than"):
        read_image(big)


@pytest.mark.parametrize(
    "array", [np.zeros((50, 50), np.float64), np.zeros((50, 50, 4), np.uint8), np.zeros(900, np.uint8)]
)
def test_other_arrays_are_refused(array: NDArray[np.uint8]) -> None:
    with pytest.raises(UnreadableCode, match="array of bytes"):
        read_image(array)


def read_or_refuse(source: bytes | NDArray[np.uint8]) -> bytes | None:
    try:
        return read_image(source).payload
    except UnreadableCode:
        return None


FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(st.binary(max_size=2000))
@example(b"")
@example(b"\x89PNG\r\n\x1a\n")
@example(b"GIF89a")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)


@FUZZ
@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]))
    payload = b"tessera" * 12
    file = bytearray(encoded(drawing(payload, scale=3), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(file)))
    assert read_or_refuse(bytes(file[: cut or None])) in (payload, None)


@FUZZ
@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 120), st.integers(1, 120), st.just(3)), fill=st.integers(0, 255)
    )
)
def test_any_picture_is_read_or_refused(picture: NDArray[np.uint8]) -> None:
    read_or_refuse(picture)


@FUZZ
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from(list(Form)))
def test_a_spoiled_code_is_read_right_or_refused(seed: int, spots: int, form: Form) -> None:
    """Rectangles of any colour over a code never give other bytes than those that were drawn."""
    random = np.random.default_rng(seed)
    payload = random.bytes(88)
    picture = np.array(drawing(payload, form=form, scale=4))
    for _ in range(spots):
        top, left = random.integers(0, len(picture), 2)
        height, width = random.integers(1, 24, 2)
        picture[top : top + height, left : left + width] = random.integers(0, 256, 3)
    assert read_or_refuse(picture) in (payload, None)


@FUZZ
@given(st.lists(st.integers(-40, 240), min_size=8, max_size=8))
def test_any_four_corners_are_read_or_refused(numbers: list[int]) -> None:
    """What the locator reports is not to be trusted either: crossed, folded or flat corners must do no
    harm."""
    picture = drawing(bytes(88), scale=5)
    sighting = reader_module.Sighting(np.array(numbers, np.float64).reshape(4, 2), 3)
    with contextlib.suppress(reader_module.NotDecoded):
        assert reader_module._read_colour(picture, sighting) == bytes(88)
