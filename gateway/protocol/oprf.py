"""RFC 9497 OPRF(P-256, SHA-256), mode 0. The phone blinds and finalises; the gateway evaluates through an
HSM that offers ECDH alone: it asks for the x coordinates of k·B and k·(B+G), and with the public key k·G
the sign of y follows. The client's scalar multiplications run in pycryptodome; hashing
the input to the curve is not constant-time here, so the input must not be observable by whoever can time
this process."""

from dataclasses import dataclass, field
from typing import Final

from Crypto.Math.Numbers import Integer
from Crypto.PublicKey import ECC

from gateway.core.secrets import RandomSource
from gateway.protocol.errors import InvalidKey, InvalidPoint
from gateway.protocol.keys import parse_point, sha256

P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_A: Final = P - 3
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Z: Final = P - 10
_CONTEXT: Final = b"OPRFV1-\x00-P256-SHA256"
_DST: Final = b"HashToGroup-" + _CONTEXT
_LONGEST_INPUT: Final = 65_535
_Affine = tuple[int, int]


def _expand(message: bytes, dst: bytes, length: int) -> bytes:
    """expand_message_xmd with SHA-256 (RFC 9380 section 5.3.1)."""
    suffix = dst + bytes((len(dst),))
    zero = sha256(bytes(64) + message + length.to_bytes(2, "big") + b"\x00" + suffix)
    block = sha256(zero + b"\x01" + suffix)
    blocks = [block]
    for index in range(2, -(-length // 32) + 1):
        mixed = bytes(left ^ right for left, right in zip(zero, block, strict=True))
        block = sha256(mixed + bytes((index,)) + suffix)
        blocks.append(block)
    return b"".join(blocks)[:length]


def _map_to_curve(u: int) -> _Affine:
    """Simplified SWU for AB != 0 (RFC 9380 section 6.6.2), straight-line where it can be."""
    zuu = _Z * u * u % P
    denominator = (zuu * zuu + zuu) % P
    x1 = (
        -_B * pow(_A, -1, P) * (1 + pow(denominator, P - 2, P)) % P
        if denominator
        else _B * pow(_Z * _A, -1, P) % P
    )
    gx1 = (x1 * x1 * x1 + _A * x1 + _B) % P
    x2 = zuu * x1 % P
    gx2 = (x2 * x2 * x2 + _A * x2 + _B) % P
    y1 = pow(gx1, (P + 1) // 4, P)
    x, y = (x1, y1) if y1 * y1 % P == gx1 else (x2, pow(gx2, (P + 1) // 4, P))
    return (x, y) if (u & 1) == (y & 1) else (x, P - y)


def _add(left: _Affine, right: _Affine) -> _Affine:
    """Add two points, affine. Raises InvalidPoint when the sum is the identity."""
    (x1, y1), (x2, y2) = left, right
    if x1 == x2:
        if (y1 + y2) % P == 0:
            raise InvalidPoint("the sum is the identity")
        slope = (3 * x1 * x1 + _A) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def _multiply(point: _Affine, scalar: int) -> _Affine:
    """Multiply by a secret scalar, in pycryptodome, which blinds it and reads its tables whole."""
    product = ECC.construct(curve="P-256", point_x=point[0], point_y=point[1]).pointQ * scalar
    return int(product.x), int(product.y)


def _encode(point: _Affine) -> bytes:
    return bytes((2 + (point[1] & 1),)) + point[0].to_bytes(32, "big")


def _uncompressed(point: _Affine) -> bytes:
    return b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def _decode(element: bytes) -> _Affine:
    if len(element) != 33:
        raise InvalidPoint("an element has 33 bytes")
    numbers = parse_point(element).public_numbers()
    return numbers.x, numbers.y


def hash_to_group(message: bytes) -> tuple[int, int]:
    """P256_XMD:SHA-256_SSWU_RO_ with the tag of mode 0 (RFC 9380 section 3, RFC 9497 section 4.3): affine
    x, y."""
    uniform = _expand(message, _DST, 96)
    u = [int.from_bytes(uniform[start : start + 48], "big") % P for start in (0, 48)]
    return _add(_map_to_curve(u[0]), _map_to_curve(u[1]))


@dataclass(frozen=True, slots=True)
class Blinded:
    """A blinded input: `element` (33 bytes) goes to the gateway; the rest stays until the answer comes."""

    element: bytes
    input: bytes = field(repr=False)
    blind: int = field(repr=False)

    def finalize(self, evaluated: bytes) -> bytes:
        """Unblind the gateway's element (33 bytes) and return the OPRF output, 32 bytes (RFC 9497 section
        3.3.1). Raises InvalidPoint."""
        x, y = _decode(evaluated)
        unblinded = _encode(_multiply((x, y), int(Integer(self.blind).inverse(ORDER))))
        return sha256(
            len(self.input).to_bytes(2, "big")
            + self.input
            + len(unblinded).to_bytes(2, "big")
            + unblinded
            + b"Finalize"
        )


def blind(data: bytes, random: RandomSource) -> Blinded:
    """Blind an input (at most 65,535 bytes) with a fresh scalar (RFC 9497 section 3.3.1; FIPS 186-5
    appendix A.2.1)."""
    return blind_with(data, int.from_bytes(random(48), "big") % (ORDER - 1) + 1)


def blind_with(data: bytes, scalar: int) -> Blinded:
    """Blind with a given scalar, 1 to order − 1; for test vectors. Raises InvalidKey."""
    if not 0 < scalar < ORDER or len(data) > _LONGEST_INPUT:
        raise InvalidKey("the blind is a scalar, the input at most 65,535 bytes")
    return Blinded(_encode(_multiply(hash_to_group(data), scalar)), data, scalar)


def evaluation_peers(blinded: bytes) -> tuple[bytes, bytes]:
    """Return the two points (65 bytes each) that the HSM runs ECDH with: B and B+G. Raises InvalidPoint for
    what is not an element, and for −G, whose evaluation would need the identity."""
    point = _decode(blinded)
    return _uncompressed(point), _uncompressed(_add(point, _G))


def recover(x1: bytes, x2: bytes, public: bytes) -> bytes:
    """Return the evaluated element k·B (33 bytes) from the HSM's two answers (32 bytes each) and the public
    key k·G (65 bytes). Raises InvalidPoint when the answers don't belong together."""
    key = parse_point(public).public_numbers()
    x, y = _decode(b"\x02" + x1)
    for point in ((x, y), (x, P - y)):
        if _is_x_of_sum(int.from_bytes(x2, "big"), point, (key.x, key.y)):
            return _encode(point)
    raise InvalidPoint("the evaluation does not fit its key")


def _is_x_of_sum(x: int, left: _Affine, right: _Affine) -> bool:
    """Tell whether x is that of the sum: by the chord's equation, which needs no inversion, where there is a chord."""
    (x1, y1), (x2, y2) = left, right
    if x1 != x2:
        return ((x + x1 + x2) * (x2 - x1) ** 2 - (y2 - y1) ** 2) % P == 0 and x < P
    return y1 == y2 and _add(left, right)[0] == x
