"""What a customer approves, and what is signed then (wire specification, section 10). The gateway writes a statement
once with `make_statement`; from then on those bytes are what is stored, sent, shown and signed, and nobody writes them
anew. The phone and the verifier of evidence read them with `parse_statement`, which takes each in one form alone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.protocol.errors import InvalidKey, MalformedMessage
from gateway.protocol.keys import sha256
from gateway.protocol.messages import Decision, Factor
from gateway.protocol.wiretypes import Bytes16, Seconds, StatementBytes, decode_hook, encode_hook

MAX_STATEMENT: Final = StatementBytes.MAX

StatementType = Literal["login", "payment", "contact", "free", "device"]

# Nothing that a reader does not see, or that turns what stands beside it around: control characters, line and
# paragraph separators, the controls of the bidirectional algorithm (UAX #9), and what has no width, but for the joiners
# U+200C and U+200D, which some scripts are not written without.
_HIDDEN: Final = (
    r"\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f"
)
# What shows nothing where it stands alone: spaces, joiners, fillers, variation selectors.
_BLANK: Final = (
    r"\ufe00-\ufe0f\n \xa0\u034f\u115f\u1160\u1680\u2000-\u200d\u202f\u205f\u2800\u3000\u3164\uffa0"
)
_VISIBLE: Final = rf"(?=[^{_HIDDEN}]*[^{_HIDDEN}{_BLANK}])"
_LINE: Final = rf"[^{_HIDDEN}\n]*\Z"
_LINES: Final = rf"[^{_HIDDEN}]*\Z"

Line64 = Annotated[str, Meta(max_length=64, pattern=rf"\A{_LINE}")]
Line128 = Annotated[str, Meta(max_length=128, pattern=rf"\A{_LINE}")]
Line256 = Annotated[str, Meta(max_length=256, pattern=rf"\A{_LINE}")]
Lines1000 = Annotated[str, Meta(max_length=1_000, pattern=rf"\A{_LINES}")]
Filled64 = Annotated[str, Meta(min_length=1, max_length=64, pattern=rf"\A{_VISIBLE}{_LINE}")]
Filled128 = Annotated[str, Meta(min_length=1, max_length=128, pattern=rf"\A{_VISIBLE}{_LINE}")]
Filled140 = Annotated[str, Meta(min_length=1, max_length=140, pattern=rf"\A{_VISIBLE}{_LINE}")]
Filled256 = Annotated[str, Meta(min_length=1, max_length=256, pattern=rf"\A{_VISIBLE}{_LINE}")]
FilledLines2000 = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=rf"\A{_VISIBLE}{_LINES}")]
Amount = Annotated[
    str, Meta(max_length=19, pattern=r"\A(?=[0-9.]*[1-9])(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?\Z")
]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"\A[A-Z]{3}\Z")]


class LoginFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login to the bank's pages: which browser, and from where as far as the bank knows ("" when it does not)."""

    browser: Line128
    place: Line128


class PaymentFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment: `amount` as decimal text, never zero, `currency` by ISO 4217, and to whom. `purpose` may hold line
    breaks."""

    amount: Amount
    currency: Currency
    payee: Filled140
    account: Filled64
    purpose: Lines1000


class ContactFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of contact data: `value` is the new one, `previous` the one it replaces ("" for none)."""

    kind: Literal["email", "phone", "address"]
    value: Filled256
    previous: Line256


class FreeFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Anything else, in the bank's words. `text` may hold line breaks."""

    title: Filled128
    text: FilledLines2000


class DeviceFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further phone: beside the one that approves, or in its place."""

    mode: Literal["add", "move"]
    browser: Line128
    place: Line128


Fields: TypeAlias = LoginFields | PaymentFields | ContactFields | FreeFields | DeviceFields


class _Head(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: Literal[1] = 1
    id: Bytes16
    bank: Line64
    user: Line128
    type: StatementType
    created: Seconds
    expires: Seconds
    nonce: Bytes16


class _Envelope(_Head, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fields: msgspec.Raw


class Statement(_Head, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bank` asks `user`: `id` and `nonce` (16 bytes each) make it one of a kind, `fields` are those of `type`."""

    fields: Fields


FIELD_TYPES: Final[Mapping[type[Fields], StatementType]] = MappingProxyType(
    {
        LoginFields: "login",
        PaymentFields: "payment",
        ContactFields: "contact",
        FreeFields: "free",
        DeviceFields: "device",
    }
)
"""The type that goes with fields of each kind."""
_encoder = msgspec.json.Encoder(enc_hook=encode_hook, order="sorted")
_envelope = msgspec.json.Decoder(_Envelope, dec_hook=decode_hook)
_fields: Final[Mapping[StatementType, msgspec.json.Decoder[Fields]]] = {
    name: msgspec.json.Decoder(kind) for kind, name in FIELD_TYPES.items()
}
_DECISIONS: Final[Mapping[Decision, int]] = {"approve": 1, "refuse": 2, "report": 3}
_FACTORS: Final[Mapping[Factor, int]] = {"possession": 0, "pin": 1, "biometric": 2}
_NO_NUMBER: Final = 0xFF


def make_statement(
    fields: Fields, *, id: bytes, bank: str, user: str, created: int, expires: int, nonce: bytes
) -> bytes:
    """Write a statement in its one form (RFC 8785): `id` and `nonce` have 16 bytes, times are Unix seconds. Raises
    MalformedMessage when something does not fit, so that nothing is ever asked that a phone could not read."""
    statement = Statement(
        id=Bytes16(id),
        bank=bank,
        user=user,
        type=FIELD_TYPES[type(fields)],
        created=created,
        expires=expires,
        nonce=Bytes16(nonce),
        fields=fields,
    )
    try:
        data = _encoder.encode(statement)
    except UnicodeEncodeError:
        raise MalformedMessage("a text of the statement is not Unicode") from None
    parse_statement(data)
    return data


def parse_statement(data: bytes) -> Statement:
    """Read a statement. Raises MalformedMessage for a type, a member or a text that version 1 does not know, and for
    any other spelling than the one form: what was shown is then what was signed, byte for byte."""
    if not 0 < len(data) <= MAX_STATEMENT:
        raise MalformedMessage("the statement is too long")
    try:
        head = _envelope.decode(data)
        fields = _fields[head.type].decode(head.fields)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # The library's text may quote the statement, so only its kind goes on.
        raise MalformedMessage(f"the statement is not valid ({type(error).__name__})") from None
    statement = Statement(
        id=head.id,
        bank=head.bank,
        user=head.user,
        type=head.type,
        created=head.created,
        expires=head.expires,
        nonce=head.nonce,
        fields=fields,
    )
    if _encoder.encode(statement) != data:
        raise MalformedMessage("the statement is not in its one form")
    return statement


def answer_input(
    statement: bytes,
    *,
    decision: Decision,
    factor: Factor,
    number: int | None,
    binding_id: bytes,
    handshake_hash: bytes,
) -> bytes:
    """What g_D signs to answer: decision, factor, the number of the bank's page (10 to 99, or None), the binding, the
    channel that the answer goes through, and the statement. Raises MalformedMessage, InvalidKey."""
    if number is not None and not 10 <= number <= 99:
        raise MalformedMessage("a number has two digits")
    if len(binding_id) != 16 or len(handshake_hash) != 32:
        raise InvalidKey("a binding id has 16 bytes, a handshake hash 32")
    choice = bytes((_DECISIONS[decision], _FACTORS[factor], _NO_NUMBER if number is None else number))
    return b"TSR1 approval" + choice + binding_id + handshake_hash + statement


def pin_input(answered: bytes, *, handshake_hash: bytes, nonce: bytes) -> bytes:
    """What the PIN key signs beside it: `answered` is the `answer_input`, `nonce` the evaluation's 16 bytes."""
    if len(handshake_hash) != 32 or len(nonce) != 16:
        raise InvalidKey("a handshake hash has 32 bytes, the nonce of an evaluation 16")
    return b"TSR1 approval pin" + handshake_hash + nonce + sha256(answered)


def biometric_challenge(answered: bytes) -> bytes:
    """The WebAuthn challenge (32 bytes) of an answer with fingerprint or face; `answered` is the `answer_input`."""
    return sha256(b"TSR1 approval biometric" + answered)
