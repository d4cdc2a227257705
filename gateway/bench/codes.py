"""Bench `codes`: from bytes to the image on the page. Each case makes the symbol and its SVG (what the page
asks for every ten seconds) or its PNG, beside the public reference encoder and `qrcode`, which stop at the
matrix; these two are left out where they are not installed."""

import base64
import hashlib
from collections.abc import Callable, Iterator

from gateway.bench import Bar, Measure, interleaved_medians, measure, register
from gateway.codes import Form, alt_text, render, to_png, to_svg

QR_BAR = Bar(2.0)
COLOUR_BAR = Bar(3.0)
PNG_SCALE = 8
PAYLOAD = hashlib.shake_128(b"tessera bench codes").digest(88)
LINK = "https://gateway.bank.example/a#" + base64.urlsafe_b64encode(PAYLOAD).decode().rstrip("=")


def _svg(form: Form, text: str | None = None) -> Callable[[], object]:
    title = alt_text("activation", "fr")
    return lambda: to_svg(render(PAYLOAD, form=form, text=text), title=title)


def _png(form: Form, text: str | None = None) -> Callable[[], object]:
    return lambda: to_png(render(PAYLOAD, form=form, text=text), scale=PNG_SCALE)


def _others() -> dict[str, Callable[[], object]]:
    others: dict[str, Callable[[], object]] = {}
    try:
        import qrcode

        def by_qrcode(content: bytes) -> object:
            code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M)
            code.add_data(content, optimize=0)
            code.make(fit=True)
            return code.modules

        others["qr-88 by qrcode"] = lambda: by_qrcode(PAYLOAD)
        others["qr-link by qrcode"] = lambda: by_qrcode(LINK.encode())
    except ImportError:
        pass
    try:
        from hcc2d_encoder import PALETTE_8_MODEL2, encode_hcc2d

        others["hcc2d8-88 by reference"] = lambda: encode_hcc2d(
            PAYLOAD, mode="hcc2d8", ec_level="M", scale=6, palette=PALETTE_8_MODEL2
        )
    except ImportError:
        pass
    return others


@register("codes")
def codes() -> Iterator[Measure]:
    """Yield the median milliseconds of each form."""
    ours = {
        "qr-88 svg": (_svg(Form.QR), "qr-88 by qrcode", QR_BAR),
        "qr-link svg": (_svg(Form.QR, LINK), "qr-link by qrcode", QR_BAR),
        "hcc2d8-88 svg": (_svg(Form.COLOUR), "hcc2d8-88 by reference", COLOUR_BAR),
        "qr-link png": (_png(Form.QR, LINK), "qr-link by qrcode", None),
        "hcc2d8-88 png": (_png(Form.COLOUR), "hcc2d8-88 by reference", None),
    }
    others = _others()
    medians = interleaved_medians({name: work for name, (work, _, _) in ours.items()} | others)
    for name, (_, other, bar) in ours.items():
        yield measure("codes", name, value=medians[name], unit="ms", bound=medians.get(other), bar=bar)
    for name in others:
        yield measure("codes", name, value=medians[name], unit="ms")
