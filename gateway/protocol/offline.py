"""Approving on a phone without a network (wire specification, section 11): the keys of a ratchet index, the statement
sealed for one phone to be shown as a code, and the eight digits that come back. The gateway seals and checks, the phone
opens and answers; counters, tries and blocks are kept by their owners. Keys, verifier and answers are secrets: never
log, format or compare them by ==."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.secrets import RandomSource
from gateway.protocol import ocra
from gateway.protocol.errors import InvalidKey, MalformedCode, StaleCode, WrongOfflineAnswer
from gateway.protocol.keys import KEY_BYTES, hkdf, sha256

MAX_OFFLINE_STATEMENT: Final = 700
"""Bytes of a statement that goes into a code: beyond, a camera no longer reads the symbol from a screen with ease."""
ANSWER_DIGITS: Final = 8
WINDOW: Final = 50
"""How many of the phone's counts the gateway takes, from the lowest that it awaits."""
STANDING: Final = 5
"""How many of the answers that a phone has made may still be typed: as many as requests wait for one customer."""
SUITE: Final = ocra.parse_suite("OCRA-1:HOTP-SHA256-6:C-QH64-PSHA256")

_VERSION_3: Final = 3
_HINT: Final = slice(1, 5)
_IV: Final = slice(5, 17)
_SLOTS_AT: Final = 17
_HEAD_BYTES: Final = 18
_SLOT_BYTES: Final = 4 + 16 + 16
_CONTENT_KEY_BYTES: Final = 16
_TAG_BYTES: Final = 16
_AAD: Final = b"TSR1 offline"
_ANSWER: Final = re.compile(rf"\A[0-9]{{{ANSWER_DIGITS}}}\Z")


@dataclass(frozen=True, slots=True)
class OfflineKeys:
    """The two keys of a ratchet index: one seals what is asked, one makes the answer. 32 bytes each."""

    index: int
    seal_key: bytes = field(repr=False)
    answer_key: bytes = field(repr=False)


def derive_offline_keys(psk: bytes, *, binding_id: bytes, index: int) -> OfflineKeys:
    """Return the keys of a ratchet index: HKDF(bpsk_n, salt = binding id, info = "tessera offline", 64). They come from
    the ratchet's key, so a copy of the phone that the ratchet has left behind opens nothing. Raises InvalidKey."""
    if len(psk) != KEY_BYTES or len(binding_id) != 16 or not 0 <= index < 2**32:
        raise InvalidKey("a ratchet key has 32 bytes, a binding id 16, an index 4")
    both = hkdf(psk, salt=binding_id, info=b"tessera offline", length=2 * KEY_BYTES)
    return OfflineKeys(index, both[:KEY_BYTES], both[KEY_BYTES:])


def offline_hint(binding_id: bytes) -> bytes:
    """Four bytes by which a phone finds the binding that a code is for."""
    return sha256(_AAD + binding_id)[:4]


def seal_offline(
    statement: bytes, *, binding_id: bytes, keys: Sequence[OfflineKeys], random: RandomSource
) -> bytes:
    """Return the payload of a code that one phone opens. `keys` are those of the one or two indexes that the phone may
    be at; key and nonce of the content are new each time. Raises MalformedCode when the statement is too long."""
    if len(binding_id) != 16 or len(keys) not in (1, 2):
        raise InvalidKey("a binding id has 16 bytes, and one or two indexes are possible")
    if not 0 < len(statement) <= MAX_OFFLINE_STATEMENT:
        raise MalformedCode("the statement is too long for a code")
    content_key, iv = random(_CONTENT_KEY_BYTES), random(12)
    head = bytes((_VERSION_3,)) + offline_hint(binding_id) + iv + bytes((len(keys),))
    slots = b"".join(
        each.index.to_bytes(4, "big")
        + AESGCM(each.seal_key).encrypt(iv, content_key, _slot_aad(binding_id, each.index))
        for each in keys
    )
    return head + slots + AESGCM(content_key).encrypt(iv, statement, head + slots)


def _slot_aad(binding_id: bytes, index: int) -> bytes:
    return _AAD + binding_id + index.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class OfflineCode:
    """A code as read: whose it is (`hint`, 4 bytes), and the content key sealed under one or two indexes."""

    hint: bytes
    iv: bytes
    slots: tuple[tuple[int, bytes], ...]
    head: bytes
    sealed: bytes


def parse_offline(payload: bytes) -> OfflineCode:
    """Read the payload of a code. Raises MalformedCode."""
    count = payload[_SLOTS_AT] if len(payload) > _SLOTS_AT else 0
    body = _HEAD_BYTES + count * _SLOT_BYTES
    length = len(payload) - body - _TAG_BYTES
    if payload[:1] != bytes((_VERSION_3,)) or count not in (1, 2) or not 0 < length <= MAX_OFFLINE_STATEMENT:
        raise MalformedCode("not an offline code")
    places = range(_HEAD_BYTES, body, _SLOT_BYTES)
    slots = tuple(
        (int.from_bytes(payload[at : at + 4], "big"), payload[at + 4 : at + _SLOT_BYTES]) for at in places
    )
    if len({index for index, _ in slots}) != count:
        raise MalformedCode("not an offline code")
    return OfflineCode(payload[_HINT], payload[_IV], slots, payload[:body], payload[body:])


def open_offline(
    code: OfflineCode, *, binding_id: bytes, keys: Sequence[OfflineKeys]
) -> tuple[bytes, OfflineKeys]:
    """Return the statement and the keys that opened it, which the answer is made with too. `keys` are those of the
    indexes that the phone holds. Raises MalformedCode for a code of another binding, StaleCode when the phone and the
    gateway are out of step, which their next contact mends."""
    if code.hint != offline_hint(binding_id):
        raise MalformedCode("the code is for another phone")
    for index, sealed in code.slots:
        for held in keys:
            if held.index == index:
                return _open_slot(code, sealed, binding_id=binding_id, keys=held), held
    raise StaleCode("the code is for another time of this phone")


def _open_slot(code: OfflineCode, sealed: bytes, *, binding_id: bytes, keys: OfflineKeys) -> bytes:
    try:
        content_key = AESGCM(keys.seal_key).decrypt(code.iv, sealed, _slot_aad(binding_id, keys.index))
        return AESGCM(content_key).decrypt(code.iv, code.sealed, code.head)
    except InvalidTag:
        raise MalformedCode("the code does not open") from None


def offline_answer(statement: bytes, *, answer_key: bytes, counter: int, verifier: bytes) -> str:
    """Return the eight digits: the counter modulo 100, and six of OCRA over the approved statement. `verifier` is
    `pin.offline_verifier` of the PIN just typed. The phone stores counter + 1 before it shows them. Raises
    OcraInputRefused."""
    question = sha256(b"\x01" + statement).hex()
    inputs = ocra.Inputs(question=question, counter=counter, pin_hash=verifier)
    return f"{counter % 100:02d}" + ocra.respond(SUITE, inputs, key=answer_key)


def check_offline_answer(
    typed: str, *, statement: bytes, keys: Sequence[OfflineKeys], verifier: bytes, next_counter: int
) -> int:
    """Return the counter that the answer was made with; the gateway waits for the one behind it from then on. `keys`
    are those that the code was sealed for, `next_counter` the lowest that was not used. Spaces and hyphens are ignored.
    Raises MalformedCode when it is not eight digits, WrongOfflineAnswer when it does not verify."""
    digits = typed.replace(" ", "").replace("-", "")
    if _ANSWER.match(digits) is None:
        raise MalformedCode("an answer has eight digits")
    counter = next_counter + (int(digits[:2]) - next_counter) % 100
    matches = [
        hmac.compare_digest(
            digits,
            offline_answer(statement, answer_key=each.answer_key, counter=counter, verifier=verifier),
        )
        for each in keys
    ]
    if counter >= next_counter + WINDOW or not any(matches):
        raise WrongOfflineAnswer("the answer does not verify")
    return counter
