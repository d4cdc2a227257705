"""Half of the bound: the cryptography that the gateway's side of one visit (an activation, or an approval) cannot do
without, each operation straight from the library, as often as a visit has it. What holds it together (Noise's state,
the codes, the audit chain) is left out: that is what the figure beside the bound is about. A test counts what real
visits do, and holds the counts here to it (tests/unit/bench/test_bench_primitives.py)."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.protocol.keys import sign

_CURVE, _ECDH, _ES256 = ec.SECP256R1(), ec.ECDH(), ec.ECDSA(hashes.SHA256())

ACTIVATION: Mapping[str, int] = MappingProxyType(
    {
        "generate a key": 2,
        "load a key": 1,
        "agree": 6,
        "read a point": 9,
        "read a small point": 2,
        "verify": 3,
        "read a KEM key": 1,
        "encapsulate": 1,
        "AEAD key": 10,
        "seal": 13,
        "seal a large part": 1,
        "open": 9,
        "open a large part": 1,
        "hash": 9,
        "hash a large part": 2,
        "HMAC": 32,
        "HKDF": 5,
    }
)
"""How often one activation has each, one step, hybrid suite, keys in the software store:

- agreements: es and ss with S, ee and se with a fresh key; two of the OPRF, under a fresh key that is unwrapped
- points read from bytes: e, s and S's two peers anew (the store takes bytes), g_D, the PIN key, both OPRF peers, kG;
  small ones: B as sent, kB from its x
- ES256: bind, commit, pin-enrol
- seals under the wrapping key: seed, device code, OPRF key, bpsk_0, the PIN's verifier; opened: the seed twice (code,
  hello), the device code, the OPRF key
- AEAD: m1 three parts, m2 two, transport three in and seven out (three tell what waits on an open channel), of which a
  KEM key and its answer are large
- SHA-256 of the transcript, once a part and for the name, the prologue and the parts in clear
- HKDF: typed code at the start and at the code, otk at the code and at the hello, nonce
"""

APPROVAL: Mapping[str, int] = MappingProxyType(
    {
        "load a key": 1,
        "agree": 2,
        "read a point": 5,
        "read a small point": 2,
        "verify": 2,
        "seal": 4,
        "open": 3,
    }
)
"""How often one approval has each, by PIN on an open channel:

- agreements: two of the OPRF, under the binding's key, which is unwrapped
- points read from bytes: both OPRF peers, kG, g_D, the PIN key; small ones: B as sent, kB from its x
- ES256: the answer by g_D, and by the PIN's key
- AEAD: transport two in (pin-evaluate, answer) and four out (ask, pin-evaluated, answered, settled)
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """One primitive, and how often a visit has it at the gateway."""

    name: str
    count: int
    work: Callable[[], object]


def operations(counts: Mapping[str, int]) -> list[Operation]:
    """Return the primitives of one visit."""
    works = _works()
    return [Operation(name, count, works[name]) for name, count in counts.items()]


def _works() -> dict[str, Callable[[], object]]:
    own, peer = ec.generate_private_key(_CURVE), ec.generate_private_key(_CURVE).public_key()
    point = peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    small_point = peer.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    message = bytes(42)
    raw = sign(own, message)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    kem = mlkem.MLKEM768PrivateKey.generate().public_key()
    encoded = kem.public_bytes_raw()
    scalar = own.private_numbers().private_value
    aead, nonce, context = AESGCM(bytes(32)), bytes(12), bytes(64)
    part, sealed = bytes(1_184), aead.encrypt(nonce, bytes(32), context)
    large = aead.encrypt(nonce, part, context)
    return {
        "generate a key": lambda: ec.generate_private_key(_CURVE),
        "load a key": lambda: ec.derive_private_key(scalar, _CURVE),
        "agree": lambda: own.exchange(_ECDH, peer),
        "read a point": lambda: ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point),
        "read a small point": lambda: ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, small_point),
        "verify": lambda: own.public_key().verify(der, message, _ES256),
        "read a KEM key": lambda: mlkem.MLKEM768PublicKey.from_public_bytes(encoded),
        "encapsulate": kem.encapsulate,
        "AEAD key": lambda: AESGCM(bytes(32)),
        "seal": lambda: aead.encrypt(nonce, bytes(32), context),
        "seal a large part": lambda: aead.encrypt(nonce, part, context),
        "open": lambda: aead.decrypt(nonce, sealed, context),
        "open a large part": lambda: aead.decrypt(nonce, large, context),
        "hash": lambda: hashlib.sha256(context).digest(),
        "hash a large part": lambda: hashlib.sha256(large).digest(),
        "HMAC": lambda: hmac.digest(context, message, "sha256"),
        "HKDF": lambda: HKDF(algorithm=hashes.SHA256(), length=32, salt=context, info=message).derive(
            context
        ),
    }


def run_all(made: Sequence[Operation]) -> None:
    """Do once what one visit needs."""
    for operation in made:
        work = operation.work
        for _ in range(operation.count):
            work()


def primitives_ms(counts: Mapping[str, int], rounds: int = 40) -> float:
    """Return the processor time of one visit's primitives alone, milliseconds, the median of some rounds."""
    made = operations(counts)
    return 1000 * median(_timed(made) for _ in range(rounds))


def _timed(made: Sequence[Operation]) -> float:
    began = time.thread_time()
    run_all(made)
    return time.thread_time() - began
