"""Half of the bound: the cryptography that the gateway's side of one activation cannot do without, each operation
straight from the library, as often as an activation has it. What holds it together (Noise's state, the codes,
the audit chain) is left out: that is what the figure beside the bound is about. A test counts what a real activation
does, and holds the counts here to it (tests/unit/bench/test_bench_primitives.py)."""

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.protocol.keys import sign

_CURVE, _ECDH, _ES256 = ec.SECP256R1(), ec.ECDH(), ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Operation:
    """One primitive, and how often an activation has it at the gateway."""

    name: str
    count: int
    work: Callable[[], object]


def operations() -> list[Operation]:
    """Return the primitives of one activation, one step, hybrid suite, keys in the software store:

    - agreements: es and ss with S, ee and se with a fresh key; two of the OPRF, under a fresh key that is unwrapped
    - points read from bytes: e, s and S's two peers anew (the store takes bytes), g_D, the PIN key, both OPRF
      peers, kG; small ones: B as sent, kB from its x
    - ES256: bind, commit, pin-enrol
    - seals under the wrapping key: seed, device code, OPRF key, bpsk_0; opened: the seed twice (code, hello), the
      device code, the OPRF key
    - AEAD: m1 three parts, m2 two, transport three in and four out, of which a KEM key and its answer are large
    - SHA-256 of the transcript, once a part and for the name, the prologue and the parts in clear
    - HKDF: typed code at the start and at the code, otk at the code and at the hello, nonce
    """
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
    return [
        Operation("generate a key", 2, lambda: ec.generate_private_key(_CURVE)),
        Operation("load a key", 1, lambda: ec.derive_private_key(scalar, _CURVE)),
        Operation("agree", 6, lambda: own.exchange(_ECDH, peer)),
        Operation("read a point", 9, lambda: ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)),
        Operation(
            "read a small point", 2, lambda: ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, small_point)
        ),
        Operation("verify", 3, lambda: own.public_key().verify(der, message, _ES256)),
        Operation("read a KEM key", 1, lambda: mlkem.MLKEM768PublicKey.from_public_bytes(encoded)),
        Operation("encapsulate", 1, kem.encapsulate),
        Operation("AEAD key", 10, lambda: AESGCM(bytes(32))),
        Operation("seal", 9, lambda: aead.encrypt(nonce, bytes(32), context)),
        Operation("seal a large part", 1, lambda: aead.encrypt(nonce, part, context)),
        Operation("open", 9, lambda: aead.decrypt(nonce, sealed, context)),
        Operation("open a large part", 1, lambda: aead.decrypt(nonce, large, context)),
        Operation("hash", 9, lambda: hashlib.sha256(context).digest()),
        Operation("hash a large part", 2, lambda: hashlib.sha256(large).digest()),
        Operation("HMAC", 32, lambda: hmac.digest(context, message, "sha256")),
        Operation(
            "HKDF",
            5,
            lambda: HKDF(algorithm=hashes.SHA256(), length=32, salt=context, info=message).derive(context),
        ),
    ]


def run_all(made: Sequence[Operation]) -> None:
    """Do once what one activation needs."""
    for operation in made:
        work = operation.work
        for _ in range(operation.count):
            work()


def activation_ms(rounds: int = 40) -> float:
    """Return the processor time of one activation's primitives alone, milliseconds, the median of some rounds."""
    made = operations()
    return 1000 * median(_timed(made) for _ in range(rounds))


def _timed(made: Sequence[Operation]) -> float:
    began = time.thread_time()
    run_all(made)
    return time.thread_time() - began
