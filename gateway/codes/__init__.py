"""Code images: bytes in, image out. `render` makes a symbol in either form, `to_svg`, `to_png` and
`to_terminal` draw it, `alt_text` describes it. The activation capability and the command line call these;
`gateway.codes.reader` goes the other way. Pure functions: no clock, no database, no network; the payload is
never logged."""

from gateway.codes.colour import encode_colour
from gateway.codes.draw import MAX_SCALE, to_png, to_svg, to_terminal
from gateway.codes.model import Form, PayloadTooLong, Symbol
from gateway.codes.monochrome import encode_qr
from gateway.codes.wording import LANGUAGES, CodeKind, Language, alt_text

__all__ = [
    "LANGUAGES",
    "MAX_SCALE",
    "CodeKind",
    "Form",
    "Language",
    "PayloadTooLong",
    "Symbol",
    "alt_text",
    "render",
    "to_png",
    "to_svg",
    "to_terminal",
]


def render(payload: bytes, *, form: Form, text: str | None = None) -> Symbol:
    """Return the symbol of a payload (1 byte or more), error correction level M. The colour form carries
    `payload` itself; the QR form carries `text` (the link that a plain camera opens) when there is one, else
    `payload`. Raises PayloadTooLong, ValueError when there is nothing to carry."""
    if form is Form.COLOUR:
        return encode_colour(payload)
    return encode_qr(payload if text is None else text)
