"""Write hcc2d8.json: payloads and the module matrices that the public reference encoder (PyPI hcc2d-encoder
0.9.0) makes of them. Run by hand when the reference changes: `python tests/vectors/make_hcc2d8.py`. The
Python and the TypeScript tests read the file; neither imports this script."""

import hashlib
import json
from pathlib import Path

from hcc2d_encoder import PALETTE_8_MODEL2, encode_hcc2d

LENGTHS = (1, 17, 45, 88, 88, 88, 129, 204, 400)
SCALE = 6


def payload_of(index: int, length: int) -> bytes:
    """Fixed pseudo-random bytes, different for each case."""
    return hashlib.shake_128(f"tessera hcc2d8 vector {index}".encode()).digest(length)


def case(index: int, length: int) -> dict[str, object]:
    payload = payload_of(index, length)
    symbol = encode_hcc2d(
        payload, mode="hcc2d8", ec_level="M", scale=SCALE, quiet_zone=0, palette=PALETTE_8_MODEL2
    )
    side = symbol.full_dimension * SCALE
    rows = [
        "".join(str(symbol.pixels[y * side + x]) for x in range(0, side, SCALE))
        for y in range(0, side, SCALE)
    ]
    return {
        "payload": payload.hex(),
        "version": symbol.version,
        "mask": symbol.mask_pattern,
        "modules": rows,
    }


def main() -> None:
    document = {
        "source": "PyPI hcc2d-encoder 0.9.0, mode hcc2d8, error correction level M, palette model 2",
        "palette": [f"#{bytes(colour).hex()}" for colour in PALETTE_8_MODEL2],
        "rows": "top to bottom, one digit a module (palette index), with the one-module reference border",
        "cases": [case(index, length) for index, length in enumerate(LENGTHS)],
    }
    path = Path(__file__).with_name("hcc2d8.json")
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
