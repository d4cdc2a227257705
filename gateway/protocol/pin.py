"""The PIN on the phone: which ones are refused, what goes into the OPRF, and the signing key that comes out
(wire specification, section 6). The phone alone calls this; neither the PIN nor what is made here may be
stored or leave the process, but for the public half of the PIN key."""

from enum import StrEnum
from itertools import pairwise
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.protocol.errors import InvalidKey, WeakPin
from gateway.protocol.keys import hkdf
from gateway.protocol.oprf import ORDER

DEVICE_SECRET_BYTES: Final = 32


class WeakReason(StrEnum):
    """Why a PIN is refused."""

    NOT_DIGITS = "not-digits"
    LENGTH = "length"
    SAME = "same"
    RUN = "run"
    REPEATED = "repeated"
    DATE = "date"
    COMMON = "common"


_COMMON: Final = """
    0007 0852 1004 1122 1313 1342 1379 1998 2001 2468 2580 4321 5683 6969 7410 7531 8520 9510
    102030 112233 123321 123654 142536 147258 147852 159357 159753 192837 258456 258852 321654 332211
    369258 456123 456321 456852 654123 741852 753951 789123 789456 852456 951753 963852 987456
    11223344 12344321 12341234 14725836 78945612 87654321
"""
COMMON: Final = frozenset(_COMMON.split())
"""The short list of section 6: what people choose and the other rules don't catch. Part of the
specification."""


def check_pin(pin: str, *, digits: int) -> None:
    """Refuse a PIN that is not `digits` ASCII digits, or too easily guessed. Raises WeakPin with the first
    reason in the order of WeakReason."""
    reason = weakness(pin, digits=digits)
    if reason is not None:
        raise WeakPin(reason)


def weakness(pin: str, *, digits: int) -> WeakReason | None:
    """Return why a PIN is weak, or None. For showing while typing; `check_pin` is what guards."""
    if not (pin.isascii() and pin.isdigit()):
        return WeakReason.NOT_DIGITS
    if len(pin) != digits:
        return WeakReason.LENGTH
    if len(set(pin)) == 1:
        return WeakReason.SAME
    steps = {(int(right) - int(left)) % 10 for left, right in pairwise(pin)}
    if steps in ({1}, {9}):
        return WeakReason.RUN
    if any(
        len(pin) % size == 0 and len(pin) > size and pin == pin[:size] * (len(pin) // size) for size in (2, 3)
    ):
        return WeakReason.REPEATED
    if len(pin) == 6 and _is_date(pin):
        return WeakReason.DATE
    return WeakReason.COMMON if pin in COMMON else None


def _is_date(pin: str) -> bool:
    """Whether six digits read as DDMMYY, MMDDYY or YYMMDD: a day of 01–31 and a month of 01–12."""
    first, second, third = int(pin[:2]), int(pin[2:4]), int(pin[4:])

    def day_and_month(day: int, month: int) -> bool:
        return 1 <= day <= 31 and 1 <= month <= 12

    return day_and_month(first, second) or day_and_month(second, first) or day_and_month(third, second)


def oprf_input(pin: str, *, binding_id: bytes) -> bytes:
    """Return the OPRF's input: "tessera pin" | binding id 16 | PIN as ASCII digits."""
    if len(binding_id) != 16:
        raise InvalidKey("a binding id has 16 bytes")
    return b"tessera pin" + binding_id + pin.encode("ascii")


def pin_key(oprf_output: bytes, *, device_secret: bytes, binding_id: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the PIN's signing key: K = HKDF(OPRF output, salt = device secret, info = "tessera pin key" |
    binding id, 48), scalar = K mod (order − 1) + 1 (FIPS 186-5 appendix A.2.1). Raises InvalidKey."""
    if len(device_secret) != DEVICE_SECRET_BYTES or len(oprf_output) != 32:
        raise InvalidKey("the device secret and the OPRF output have 32 bytes each")
    seed = hkdf(oprf_output, salt=device_secret, info=b"tessera pin key" + binding_id, length=48)
    return ec.derive_private_key(int.from_bytes(seed, "big") % (ORDER - 1) + 1, ec.SECP256R1())


def offline_verifier(device_secret: bytes, *, binding_id: bytes, pin: str) -> bytes:
    """Return what offline answers are made with and checked against, 32 bytes: HKDF("tessera pin verifier" | binding id
    | PIN, salt = device secret, info = "tessera offline pin" | binding id, 32). Without the device secret, which does
    not leave the phone, nobody tries PINs against it. Raises InvalidKey."""
    if len(device_secret) != DEVICE_SECRET_BYTES or len(binding_id) != 16:
        raise InvalidKey("the device secret has 32 bytes, a binding id 16")
    typed = b"tessera pin verifier" + binding_id + pin.encode("ascii")
    return hkdf(typed, salt=device_secret, info=b"tessera offline pin" + binding_id, length=32)
