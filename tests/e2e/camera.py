"""A phone's camera fed from a desktop's screen: a PNG becomes a Y4M film that Chromium's fake capture device plays.
The picture is 4:2:0, as a real camera's, so colour codes meet the same loss of chroma."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FRAMES = 1280, 720, 3


def write_film(path: Path, screenshot: bytes | None, *, fill: float = 0.86) -> None:
    """Write a still film of `screenshot` (PNG bytes) centred on a desk-grey background, its longer side `fill`
    of the frame's height; None gives an empty desk."""
    frame = Image.new("RGB", (WIDTH, HEIGHT), (112, 110, 106))
    if screenshot is not None:
        picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
        scale = fill * HEIGHT / max(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        frame.paste(picture, ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2))
    luma, blue, red = (np.asarray(plane) for plane in frame.convert("YCbCr").split())
    # Y4M players take studio range: 16–235 for luma, 16–240 for chroma.
    y = (16 + luma.astype(np.float32) * 219 / 255).round().astype(np.uint8)

    def chroma(plane: np.ndarray) -> bytes:
        halved = plane.astype(np.float32).reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(1, 3))
        return bytes((128 + (halved - 128) * 224 / 255).round().astype(np.uint8).tobytes())

    body = b"FRAME\n" + y.tobytes() + chroma(blue) + chroma(red)
    partial = path.with_suffix(".part")
    partial.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F30:1 Ip A1:1 C420jpeg\n".encode() + body * FRAMES)
    partial.replace(path)
