"""Approving without a network (wire specification, section 11): a code on the bank's page is opened by a ratchet key
that this phone holds, and answered by eight digits. Nothing here speaks to anybody. Whether the PIN is right, the bank
alone finds out."""

from dataclasses import dataclass

from gateway.core.encoding import b64url_decode
from gateway.phone.errors import ApprovalUnreadable, BindingNotFound, OfflineForeign, OfflineStale
from gateway.phone.models import Binding
from gateway.phone.pin_exchange import require_digits
from gateway.phone.store import PhoneStore
from gateway.protocol.approval import Statement, parse_statement
from gateway.protocol.code import read_link, read_scan
from gateway.protocol.errors import ForeignHost, MalformedCode, MalformedMessage, StaleCode
from gateway.protocol.offline import (
    OfflineKeys,
    derive_offline_keys,
    offline_answer,
    offline_hint,
    open_offline,
    parse_offline,
)
from gateway.protocol.pin import offline_verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineAsk:
    """What a code asks: for which binding, what the customer reads (`raw` are its bytes), and the ratchet index that
    opened it and makes the answer."""

    binding_id: bytes
    statement: Statement
    raw: bytes
    index: int


def read_code_text(text: str) -> tuple[str | None, bytes]:
    """Return (HOST or None, payload) of a code in writing: its link, or its bytes in base64url. Raises
    MalformedCode."""
    text = text.strip()
    if "://" in text:
        return read_link(text)
    try:
        return read_scan(b64url_decode(text))
    except ValueError:
        raise MalformedCode("not a Tessera code: neither a link nor base64url") from None


def open_code(store: PhoneStore, payload: bytes, *, host: str | None = None) -> OfflineAsk:
    """Open a code by the binding that it is for. `host` is where its link leads, None when it names none. Raises
    MalformedCode, ForeignHost, OfflineForeign, OfflineStale, ApprovalUnreadable."""
    code = parse_offline(payload)
    bindings = [item for item in store.bindings() if host is None or item.host == host]
    if host is not None and not bindings:
        raise ForeignHost(f"the code leads to {host}")
    meant = [item for item in bindings if offline_hint(item.binding_id) == code.hint]
    if not meant:
        raise OfflineForeign("this code is for another phone")
    for binding in meant:
        try:
            raw, held = open_offline(code, binding_id=binding.binding_id, keys=_held_keys(binding))
        except (StaleCode, MalformedCode):
            continue  # four bytes of a hint may fit two bindings
        return OfflineAsk(binding_id=binding.binding_id, statement=_read(raw), raw=raw, index=held.index)
    raise OfflineStale("this phone and the bank are out of step, or the code is an old one")


def answer_code(store: PhoneStore, ask: OfflineAsk, pin: str) -> str:
    """Return the eight digits that approve. The counter is stored before they exist, so that no two answers share
    one. Raises PinHasOtherDigits, OfflineStale when the ratchet has turned since, BindingNotFound."""
    binding = store.binding(ask.binding_id)
    if binding is None:
        raise BindingNotFound("no such binding")
    require_digits(pin, digits=binding.digits)
    held = next((each for each in _held_keys(binding) if each.index == ask.index), None)
    if held is None:
        raise OfflineStale("this phone has contacted the bank since the code was read")
    verifier = offline_verifier(binding.keys.device_secret, binding_id=binding.binding_id, pin=pin)
    counter = store.take_offline_counter(binding.binding_id)
    return offline_answer(ask.raw, answer_key=held.answer_key, counter=counter, verifier=verifier)


def _held_keys(binding: Binding) -> list[OfflineKeys]:
    """The keys of index n, and of n + 1 while the phone can't know which of them is in force."""
    held = [(binding.index, binding.psk)]
    if binding.next_psk is not None:
        held.append((binding.index + 1, binding.next_psk))
    return [derive_offline_keys(psk, binding_id=binding.binding_id, index=index) for index, psk in held]


def _read(raw: bytes) -> Statement:
    try:
        return parse_statement(raw)
    except MalformedMessage:
        raise ApprovalUnreadable() from None
