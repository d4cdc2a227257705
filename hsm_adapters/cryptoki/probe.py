"""What a token can do: asked of its list of mechanisms, then tried with keys of the session, since lists promise
too much. Runs in a worker, when the store is opened."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_adapters.api import HashName, KeyKind
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import CryptokiError
from hsm_adapters.cryptoki.faults import Fault, fault_of
from hsm_adapters.cryptoki.objects import (
    AES_KEY,
    AUTHENTICATES,
    GENERIC_KEY,
    SEALS,
    WRAPS,
    KeyObjects,
    secret_template,
)
from hsm_adapters.cryptoki.operations import ECDSA, KEY_WRAPS, Operations, Ways
from hsm_adapters.cryptoki.token import Token
from hsm_adapters.cryptoki.workers import Session
from hsm_adapters.errors import OperationUnsupported, UnwrapFailed

_CONTEXT = b"tessera probe"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the token can do: the kinds of keys that it serves, and how it seals and wraps."""

    kinds: frozenset[KeyKind]
    ways: Ways


_NEEDED = {
    KeyKind.SIGN_P256: (ck.CKM_EC_KEY_PAIR_GEN, ck.CKM_ECDSA),
    KeyKind.AGREE_P256: (ck.CKM_EC_KEY_PAIR_GEN, ck.CKM_ECDH1_DERIVE),
    KeyKind.MAC_SHA256: (ck.CKM_GENERIC_SECRET_KEY_GEN, ck.CKM_SHA256_HMAC),
}


def missing_for(kind: KeyKind) -> str:
    """Return the mechanisms that a kind of key takes, by name, for messages."""
    if kind is KeyKind.WRAP_AES256:
        return "CKM_AES_KEY_GEN with CKM_AES_GCM or CKM_AES_ECB"
    return " and ".join(ck.MECHANISM_NAMES[mechanism] for mechanism in _NEEDED[kind])


def describe(abilities: Abilities) -> dict[str, str]:
    """Return how the token does each operation, for people."""
    ways = abilities.ways
    seal = "CKM_AES_GCM" if ways.seals_by_gcm else "a data key by CKM_AES_ECB, AES-256-GCM here"
    private, mac = (
        "" if way is None else ck.MECHANISM_NAMES[KEY_WRAPS[way]]
        for way in (ways.wraps_private, ways.wraps_mac)
    )
    return {
        "sign": "CKM_ECDSA over SHA-256",
        "ecdh": "CKM_ECDH1_DERIVE",
        "mac": "CKM_SHA256_HMAC",
        "wrap": seal,
        "unwrap": seal,
        "generate wrapped agreement key": f"CKM_EC_KEY_PAIR_GEN, {private}, {seal}",
        "ecdh by wrapped agreement key": f"{seal}, {private}, CKM_ECDH1_DERIVE",
        "import agreement key": f"C_CreateObject, {private}, {seal}",
        "wrap HMAC key": f"C_CreateObject, {mac}, {seal}",
        "HMAC by wrapped key": f"{mac} once, CKM_SHA_1_HMAC inside",
        "random": "C_GenerateRandom, mixed with the operating system's",
    }


def probe(token: Token, operations: Operations, keys: KeyObjects) -> Abilities:
    """Find out what the token can do, and have `operations` do it so. Raises `HsmError` and `CryptokiError` when it
    does not answer."""
    cryptoki = token.module.cryptoki
    listed = cryptoki.mechanisms(token.slot())
    kinds = {kind for kind, needed in _NEEDED.items() if listed.issuperset(needed)}

    def holds(trial: Callable[[Session], None], *, if_untried: bool = False) -> bool:
        """Whether a trial passes, in a session of its own: what fails may leave an operation active. A fault of the
        module is no answer: it is tried once more, after the token has shown that it is there. `if_untried` is the
        answer for a token that makes no key pairs for the session alone, as TPMs do not: its list is believed."""
        for is_last in (False, True):
            session = Session(*token.open_session())
            try:
                trial(session)
            except (OperationUnsupported, UnwrapFailed, _Differs):
                return False
            except CryptokiError as error:
                if fault_of(error) is Fault.NONE or is_last:
                    return if_untried and error.function == "C_GenerateKeyPair"
                token.close()  # the next session is asked of the token anew
            else:
                return True
            finally:
                with suppress(CryptokiError):
                    cryptoki.close_session(session.handle)
        return False

    def pair(session: Session, *, signs: bool, leaves: bool = False) -> tuple[bytes, int]:
        public, private = keys.make_pair(session, None, b"", signs=signs, leaves=leaves)
        point = keys.point_of(session, public)
        if point is None:
            raise _Differs
        return point, private

    def signs(session: Session) -> None:
        point, private = pair(session, signs=True)
        digest = hashlib.sha256(_CONTEXT).digest()
        signature = cryptoki.sign(session.handle, ECDSA, private, digest, 64)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            _public(point).verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
        except InvalidSignature:
            raise _Differs from None

    def agrees(session: Session) -> None:
        point, private = pair(session, signs=False)
        _check_agreement(point, lambda peer: operations.agree(session, private, peer))

    def aes(session: Session, *usage: tuple[int, bool]) -> int:
        return cryptoki.generate(session.handle, AES_KEY, secret_template(None, b"", *usage))

    def seals(session: Session) -> None:
        key = aes(session, *SEALS)
        text = secrets.token_bytes(40)
        blob = operations.seal(session, key, text, _CONTEXT)
        _expect(operations.open(session, key, blob, _CONTEXT) == text)

    def authenticates(session: Session) -> None:
        key = cryptoki.generate(session.handle, GENERIC_KEY, secret_template(None, b"", *AUTHENTICATES))
        mac = operations.hmac(session, key, _CONTEXT, HashName.SHA256)
        _expect(len(mac) == 32 and mac == operations.hmac(session, key, _CONTEXT, HashName.SHA256))

    def wraps_private(session: Session, way: int) -> None:
        companion = aes(session, *WRAPS)
        point, private = pair(session, signs=False, leaves=True)
        blob = point + operations.wrap_key(session, way, companion, private)
        held = operations.unwrap_private(session, companion, blob)
        _check_agreement(point, lambda peer: operations.agree(session, held, peer))

    def wraps_mac(session: Session, way: int) -> None:
        companion = aes(session, *WRAPS)
        seed = secrets.token_bytes(20)
        key = operations.unwrap_mac(session, companion, operations.wrap_seed(session, way, companion, seed))
        for name in HashName:
            _expect(operations.hmac(session, key, _CONTEXT, name) == hmac.digest(seed, _CONTEXT, name.value))

    if ck.CKM_EC_KEY_PAIR_GEN in listed:
        keys.says_all = True
        keys.says_all = holds(lambda session: _expect(bool(pair(session, signs=True))))
    trials = {
        KeyKind.SIGN_P256: signs,
        KeyKind.AGREE_P256: agrees,
        KeyKind.MAC_SHA256: authenticates,
    }
    kinds = {kind for kind in kinds if holds(trials[kind], if_untried=kind is not KeyKind.MAC_SHA256)}
    ways = Ways(seals_by_gcm=False)
    for by_gcm, mechanism in ((True, ck.CKM_AES_GCM), (False, ck.CKM_AES_ECB)):
        operations.ways = Ways(seals_by_gcm=by_gcm)
        if mechanism in listed and holds(seals):
            ways = operations.ways
            kinds.add(KeyKind.WRAP_AES256)
            break
    if KeyKind.WRAP_AES256 in kinds:
        possible = [way for way, mechanism in KEY_WRAPS.items() if mechanism in listed]
        if KeyKind.AGREE_P256 in kinds:
            for wants_point, way in product((False, True), possible):
                operations.ways = replace(ways, wants_point=wants_point)
                if holds(partial(wraps_private, way=way)):
                    ways = replace(operations.ways, wraps_private=way)
                    break
        if KeyKind.MAC_SHA256 in kinds:
            mac = next((way for way in possible if holds(partial(wraps_mac, way=way))), None)
            ways = replace(ways, wraps_mac=mac)
    operations.ways = ways
    return Abilities(frozenset(kinds), ways)


class _Differs(Exception):
    """A trial gave another result than it should."""


def _expect(what: bool) -> None:  # noqa: FBT001 - what a trial found
    if not what:
        raise _Differs


def _public(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def _check_agreement(point: bytes, agree: Callable[[bytes], bytes]) -> None:
    """Raise `_Differs` unless the token agrees as the library does."""
    peer = ec.generate_private_key(ec.SECP256R1())
    mine = peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    _expect(agree(mine) == peer.exchange(ec.ECDH(), _public(point)))
