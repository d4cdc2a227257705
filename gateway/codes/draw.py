"""Draw a symbol: SVG for pages, PNG for letters and mail, half-block characters for a terminal. The HTTP
face and the command line call it. An SVG carries no style, script or id, so that it stands inside a page
under a strict content security policy, more than once."""

import io
from functools import cache
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gateway.codes.model import QUIET_ZONE, Form, Rgb, Symbol

MAX_SCALE = 64

_HALF_BLOCKS = np.array(["█", "▀", "▄", " "])
_ANSI_LIGHT_ON_DARK = "\x1b[97;40m"
_ANSI_RESET = "\x1b[0m"


def to_svg(symbol: Symbol, *, title: str) -> str:
    """Return an SVG document: one user unit a module, a white ground with the quiet zone, one path a colour
    with a stroke along the middle of each run of equal modules in a row. `title` is the text alternative."""
    side = symbol.size + 2 * QUIET_ZONE
    paths = "".join(
        f'<path stroke="{_hex(colour)}" d="{data}"/>'
        for colour, data in zip(symbol.palette[:-1], _paths(symbol), strict=True)
        if data
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" '
        f'shape-rendering="crispEdges" role="img"><title>{escape(title)}</title>'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><g transform="translate(0 .5)">{paths}</g></svg>'
    )


def to_png(symbol: Symbol, *, scale: int) -> bytes:
    """Return an indexed PNG with quiet zone, `scale` pixels a module (1 to 64)."""
    if not 1 <= scale <= MAX_SCALE:
        raise ValueError(f"scale must be 1 to {MAX_SCALE}")
    modules = np.pad(symbol.modules, QUIET_ZONE, constant_values=len(symbol.palette) - 1)
    image = Image.fromarray(modules.repeat(scale, axis=0).repeat(scale, axis=1), mode="P")
    image.putpalette([part for colour in symbol.palette for part in colour])
    out = io.BytesIO()
    image.save(out, "PNG", bits=1 if symbol.form is Form.QR else 4)
    return out.getvalue()


def to_terminal(symbol: Symbol) -> str:
    """Return a QR symbol as lines of half-block characters, two modules a character, light on dark by ANSI
    colours so that the terminal's theme does not matter. Raises ValueError for a colour symbol."""
    if symbol.form is not Form.QR:
        raise ValueError("a terminal shows the QR form only")
    dark = np.pad(symbol.modules == 0, QUIET_ZONE)
    if len(dark) % 2:
        dark = np.pad(dark, ((0, 1), (0, 0)))
    blocks = _HALF_BLOCKS[dark[1::2] + 2 * dark[::2]]
    return "".join(f"{_ANSI_LIGHT_ON_DARK}{''.join(row)}{_ANSI_RESET}\n" for row in blocks)


def _hex(colour: Rgb) -> str:
    text = bytes(colour).hex()
    short = text[::2]
    return f"#{short if short == text[1::2] else text}"


def _paths(symbol: Symbol) -> list[str]:
    """Path data of each colour but the last (white), which the ground already shows."""
    white, size = len(symbol.palette) - 1, symbol.size
    # A white column at the right ends every row's last run, so rows need no care of their own.
    ended = np.full((size, size + 1), white, np.uint8)
    ended[:, :-1] = symbol.modules
    flat = ended.ravel()
    starts = np.flatnonzero(np.concatenate((flat[:1] != white, flat[1:] != flat[:-1])))
    ends = np.append(starts[1:], len(flat))
    colours = flat[starts]
    by_colour = colours.argsort(kind="stable")
    bounds = colours[by_colour].searchsorted(np.arange(white + 1))
    by_colour = by_colour[: bounds[-1]]
    moves, strokes = _path_words(size)
    words = np.empty(len(by_colour), [("move", moves.dtype), ("stroke", strokes.dtype)])
    words["move"] = moves[starts[by_colour]]
    words["stroke"] = strokes[(ends - starts)[by_colour]]
    text, width = words.tobytes().decode("ascii"), words.itemsize
    return [text[width * start : width * end].rstrip() for start, end in pairwise(bounds.tolist())]


@cache
def _path_words(size: int) -> tuple[NDArray[np.bytes_], NDArray[np.bytes_]]:
    """Return the move to each module of a symbol that many modules wide, row by row with one more column, and the
    stroke along a run of each length. Spaces fill them up to one length, so that path data is put together as an array.
    At most forty sizes are ever drawn."""
    moves = [
        f"M{column + QUIET_ZONE} {row + QUIET_ZONE}" for row in range(size) for column in range(size + 1)
    ]
    strokes = [f"h{length}" for length in range(size + 2)]
    return _filled(moves), _filled(strokes)


def _filled(words: list[str]) -> NDArray[np.bytes_]:
    width = max(map(len, words))
    return np.array([word.ljust(width) for word in words], np.bytes_)
