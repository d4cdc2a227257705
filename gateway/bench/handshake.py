"""What a handshake costs the gateway: the server's side of each contact, from m1's bytes to the open session,
against the sum of its primitives, each timed alone in the same run, in processor time. The key store's DH is in
both, done in this process; network, database and JSON outside of the payloads are in neither."""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.bench import Bar, Measure, interleaved_medians, measure, register
from gateway.protocol import messages
from gateway.protocol.first_contact import FirstContactInitiator, FirstContactResponder
from gateway.protocol.frames import Suite
from gateway.protocol.keys import compress, parse_point
from gateway.protocol.noise import run_local
from gateway.protocol.primitives import P256, KeyPair, wrap_p256
from gateway.protocol.resume import ResumeInitiator, ResumeResponder
from gateway.protocol.wiretypes import Bytes16

ROUNDS = 60
REPEATS = 10
BAR = Bar(2.0, judges="ratio")
_FACTS = messages.Facts(v=1, app="bench/1", platform="cli", lang="en")
_FIRST = messages.FirstAnswer(
    binding=Bytes16(bytes(16)),
    tenant="Example Bank",
    label="Account",
    pin=messages.PinPolicy(digits=6),
    biometric="optional",
    two_step=False,
    time=1_800_000_000,
    expires=1_800_000_300,
)
_LATER = messages.ResumeAnswer(time=1_800_000_000)
_PSK = bytes(range(32))
_PROLOGUE = b"TSR1\x0cbank.example" + bytes(23)


def _first_contact(suite: Suite, static: KeyPair) -> Callable[[], object]:
    """Return one server side of a first contact. The same m1 is read each time, as a replay would be."""
    phone = FirstContactInitiator(
        suite,
        prologue=_PROLOGUE,
        psk=_PSK,
        static=P256().generate(),
        gateway_public=compress(static.public),
    )
    m1 = run_local(phone.write_m1(_FACTS))

    def serve() -> object:
        gateway = FirstContactResponder(suite, prologue=_PROLOGUE, psk=_PSK, static_public=static.public)
        run_local(gateway.read_m1(m1), static)
        run_local(gateway.write_m2(_FIRST))
        return gateway.session

    return serve


def _resume(suite: Suite, static: KeyPair) -> Callable[[], object]:
    """Return one server side of a later contact."""
    own = P256().generate()
    phone = ResumeInitiator(suite, prologue=_PROLOGUE, psk=_PSK, static=own, gateway_public=static.public)
    m1 = run_local(phone.write_m1(_FACTS))

    def serve() -> object:
        gateway = ResumeResponder(
            suite, prologue=_PROLOGUE, psk=_PSK, static_public=static.public, phone_public=own.public
        )
        run_local(gateway.read_m1(m1), static)
        run_local(gateway.write_m2(_LATER))
        return gateway.session

    return serve


def _primitives(static: KeyPair) -> dict[str, Callable[[], object]]:
    """Return each primitive alone, on inputs of the sizes that the handshake has."""
    other = P256().generate()
    ecdh, parsed = ec.ECDH(), parse_point(other.public)
    encapsulation_key = mlkem.MLKEM768PrivateKey.generate().public_key()
    encoded = encapsulation_key.public_bytes_raw()
    key, nonce, h = bytes(32), bytes(12), bytes(32)
    aead = AESGCM(key)
    small, large = aead.encrypt(nonce, bytes(80), h), aead.encrypt(nonce, bytes(1_184), h)
    return {
        "generate": lambda: wrap_p256(ec.generate_private_key(ec.SECP256R1())),
        "parse": lambda: parse_point(other.public),
        "ecdh": lambda: static.private.exchange(ecdh, parsed),
        "kem parse": lambda: mlkem.MLKEM768PublicKey.from_public_bytes(encoded),
        "encapsulate": encapsulation_key.encapsulate,
        "hmac": lambda: hmac.digest(key, h, "sha256"),
        "hash": lambda: hashlib.sha256(small).digest(),
        "hash large": lambda: hashlib.sha256(large).digest(),
        "aead key": lambda: AESGCM(key),
        "aead": lambda: aead.decrypt(nonce, small, h),
        "aead large": lambda: aead.decrypt(nonce, large, h),
    }


# How often the server's side of a suite does each. IK reads e and s and does es, ss, ee, se; KK knows s beforehand
# and parses it all the same. MixKey is two HMACs after one, MixKeyAndHash and Split three in all.
_CLASSICAL = {"generate": 1, "parse": 2, "ecdh": 4, "hmac": 25, "hash": 8, "aead key": 9, "aead": 3}
_HYBRID = {
    **_CLASSICAL,
    "kem parse": 1,
    "encapsulate": 1,
    "hmac": 28,
    "hash": 9,
    "hash large": 2,
    "aead key": 10,
    "aead large": 2,
}
_CASES = {
    "first contact, hybrid": (_first_contact, Suite.FIRST_HYBRID, _HYBRID, BAR),
    "first contact, classical": (_first_contact, Suite.FIRST_CLASSICAL, _CLASSICAL, None),
    "resume, classical": (_resume, Suite.RESUME_CLASSICAL, {**_CLASSICAL, "aead": 2}, None),
    "resume, hybrid": (_resume, Suite.RESUME_HYBRID, {**_HYBRID, "aead": 2}, None),
}


def _repeat(work: Callable[[], object]) -> Callable[[], object]:
    """Return `work` done REPEATS times, so that the timer and cold caches weigh little, and alike on both."""

    def several() -> None:
        for _ in range(REPEATS):
            work()

    return several


@register("handshake")
def handshake() -> Iterator[Measure]:
    """Yield the server's side of each suite in ms, beside the sum of its primitives."""
    static = P256().generate()
    cases = {name: build(suite, static) for name, (build, suite, _, _) in _CASES.items()}
    works = {name: _repeat(work) for name, work in {**cases, **_primitives(static)}.items()}
    times = interleaved_medians(works, rounds=ROUNDS, timer=time.thread_time)
    medians = {name: taken / REPEATS for name, taken in times.items()}
    for name, (_, _, counts, bar) in _CASES.items():
        bound = sum(medians[primitive] * count for primitive, count in counts.items())
        yield measure("handshake", name, value=medians[name], unit="ms", bound=bound, bar=bar)
