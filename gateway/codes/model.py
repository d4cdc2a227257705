"""What a code image is before it is drawn: a matrix of palette indices. Every module of `gateway.codes`
speaks in these terms. Nothing here knows what the payload means."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Rgb: TypeAlias = tuple[int, int, int]

QUIET_ZONE = 4
"""Light modules around a symbol (ISO/IEC 18004:2015 section 5.3.8)."""

PALETTE_QR: tuple[Rgb, ...] = ((0, 0, 0), (255, 255, 255))

PALETTE_CUBE: tuple[Rgb, ...] = (
    (0, 0, 0),
    (0, 0, 255),
    (255, 0, 0),
    (255, 0, 255),
    (0, 255, 0),
    (0, 255, 255),
    (255, 255, 0),
    (255, 255, 255),
)
"""The corners of the RGB cube, HCC2D 0.9.0 colour palette model 2: index bits are green, red, blue."""


class Form(Enum):
    """How a code is shown: eight colours a module, or black and white."""

    COLOUR = "colour"
    QR = "qr"


class PayloadTooLong(ValueError):
    """The content does not fit the largest symbol that is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """A drawn-to-be symbol: square `modules` of palette indices (uint8, without quiet zone; a colour symbol
    includes its one-module reference border), the `palette` (the last colour is white), and the QR `version`
    1 to 40."""

    form: Form
    modules: NDArray[np.uint8]
    palette: tuple[Rgb, ...]
    version: int

    @property
    def size(self) -> int:
        """Modules a side, without the quiet zone."""
        return int(self.modules.shape[0])
