"""Write the small pictures in colour/ and what they hold, colour/expected.json, for the readers' tests. Run
by hand: `python tests/vectors/make_colour_images.py`. The pictures come from the simulated camera of
`gateway.bench.camera`, cut out around the code and reduced to 64 colours to stay small."""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from gateway.bench.camera import Scene, take_picture
from gateway.codes import Form, render, to_png

FOLDER = Path(__file__).with_name("colour")
PICTURES = {
    "plain-88": (88, None),
    "photo-88": (88, Scene(side=190)),
    "tilted-88": (88, Scene(side=200, tilt=35, noise=2, balance=(1.15, 1, 0.65))),
    "blurred-204": (204, Scene(side=240, blur=1.6, noise=2)),
}


def payload_of(name: str, length: int) -> bytes:
    return hashlib.shake_128(f"tessera colour picture {name}".encode()).digest(length)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    expected = {}
    for seed, (name, (length, scene)) in enumerate(PICTURES.items()):
        payload = payload_of(name, length)
        symbol = render(payload, form=Form.COLOUR)
        file = f"{name}.png"
        if scene is None:
            (FOLDER / file).write_bytes(to_png(symbol, scale=4))
        else:
            frame = Image.fromarray(take_picture(symbol, scene, np.random.default_rng(seed)))
            half = scene.side * 0.6
            middle = (frame.width / 2, frame.height / 2)
            part = frame.crop(tuple(int(at + way * half) for way in (-1, 1) for at in middle))
            part.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
                FOLDER / file, optimize=True
            )
        expected[file] = {"payload": payload.hex(), "version": symbol.version}
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
