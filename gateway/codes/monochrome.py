"""Encode bytes or a link as a QR symbol, level M, by zxing-cpp's writer (docs/decisions/0002-code-images.md
says why). `gateway.codes.render` calls it."""

import numpy as np
import zxingcpp

from gateway.codes.model import PALETTE_QR, Form, PayloadTooLong, Symbol


def encode_qr(content: bytes | str) -> Symbol:
    """Return the smallest QR symbol of `content`, not empty. Raises PayloadTooLong."""
    if not content:
        raise ValueError("a symbol needs at least one byte")
    try:
        barcode = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.QRCodeModel2, ec_level="M")
    except ValueError as error:
        raise PayloadTooLong(f"{len(content)} characters do not fit a QR symbol") from error
    image = np.array(barcode.to_image(scale=1, add_quiet_zones=False))
    return Symbol(Form.QR, (image > 127).astype(np.uint8), PALETTE_QR, (len(image) - 17) // 4)
