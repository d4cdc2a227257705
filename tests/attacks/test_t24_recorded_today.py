"""T24: what is recorded today is opened later, when P-256 has fallen and ML-KEM-768 has not."""

from dataclasses import dataclass
from typing import Any

import pytest
from attack_kit import WireNetwork, begin, bind_phone, phone_over, refusal
from gateway_kit import GatewayKit
from msgspec.structs import replace

from gateway.phone.contact import FirstContact
from gateway.protocol import keys
from gateway.protocol.errors import ErrorCode, HandshakeFailed
from gateway.protocol.first_contact import FirstContactInitiator, FirstContactResponder
from gateway.protocol.frames import Suite, error_frame
from gateway.protocol.messages import Facts, FirstAnswer, PinPolicy
from gateway.protocol.noise import Functions, run_local
from gateway.protocol.primitives import P256, KeyPair, MlKem768
from gateway.protocol.session import Session
from gateway.protocol.wiretypes import Bytes16

FACTS = Facts(v=1, app="phone/1", platform="cli", lang="en")
ANSWER = FirstAnswer(
    binding=Bytes16(bytes(16)),
    tenant="Bank",
    label="Account",
    pin=PinPolicy(digits=6),
    biometric="optional",
    two_step=False,
    time=1,
    expires=2,
)
PROLOGUE = b"the prologue, which the recorder reads off the wire"


class KeepingKem(MlKem768):
    """The phone's ML-KEM, which keeps what only the phone should know."""

    def __init__(self) -> None:
        self.private: Any = None

    def generate(self) -> Any:
        self.private, public = super().generate()
        return self.private, public


class BrokenKem(MlKem768):
    """The recorder's: the encapsulation key is the recorded one; the shared secret is a guess, unless it is told."""

    def __init__(self, public: bytes, shared: bytes | None) -> None:
        self.public, self.shared = public, shared

    def generate(self) -> Any:
        return None, self.public

    def decapsulate(self, private: Any, ciphertext: bytes) -> bytes:
        return self.shared if self.shared is not None else bytes(32)


@dataclass
class Recorded:
    """A contact on the wire; every P-256 secret of it, and even the psk; and the ML-KEM half apart."""

    suite: Suite
    m1: bytes
    m2: bytes
    later: list[bytes]
    ephemeral: KeyPair
    static: KeyPair
    gateway: KeyPair
    psk: bytes
    encapsulation_key: bytes
    kem_shared: bytes


def contact(suite: Suite) -> Recorded:
    curve, kem = P256(), KeepingKem()
    ephemeral, static, gateway, psk = curve.generate(), curve.generate(), curve.generate(), b"\x07" * 32
    shared: list[bytes] = []

    class GatewayKem(MlKem768):
        def encapsulate(self, public: Any) -> tuple[bytes, bytes]:
            secret, ciphertext = super().encapsulate(public)
            shared.append(secret)
            return secret, ciphertext

    phone = FirstContactInitiator(
        suite,
        prologue=PROLOGUE,
        psk=psk,
        static=static,
        gateway_public=gateway.public,
        ephemeral=ephemeral,
        functions=Functions(kem=kem),
    )
    bank = FirstContactResponder(
        suite,
        prologue=PROLOGUE,
        psk=psk,
        static_public=gateway.public,
        functions=Functions(kem=GatewayKem()),
    )
    m1 = run_local(phone.write_m1(FACTS))
    run_local(bank.read_m1(m1), gateway)
    m2 = run_local(bank.write_m2(ANSWER), gateway)[1:]
    run_local(phone.read_m2(m2))
    later = [phone.session.encrypt(b"the phone's words"), bank.session.encrypt(b"the gateway's words")]
    public = kem.private.public_key().public_bytes_raw() if kem.private is not None else b""
    return Recorded(
        suite, m1, m2, later, ephemeral, static, gateway, psk, public, shared[0] if shared else b""
    )


def break_open(recorded: Recorded, *, kem_shared: bytes | None = None) -> Session:
    """Run the phone's side again with all its P-256 secrets; return the session. Raises HandshakeFailed."""
    functions = None
    if recorded.suite.hybrid:
        functions = Functions(kem=BrokenKem(recorded.encapsulation_key, kem_shared))
    again = FirstContactInitiator(
        recorded.suite,
        prologue=PROLOGUE,
        psk=recorded.psk,
        static=recorded.static,
        gateway_public=recorded.gateway.public,
        ephemeral=recorded.ephemeral,
        functions=functions,
    )
    assert run_local(again.write_m1(FACTS)) == recorded.m1, "the recorder knows all that the phone sent"
    run_local(again.read_m2(recorded.m2))
    return again.session


def test_the_classical_suite_opens_when_p256_has_fallen() -> None:
    """The control, and what THREAT_MODEL.md says remains: every later word is read."""
    recorded = contact(Suite.FIRST_CLASSICAL)
    session = break_open(recorded)
    assert session.decrypt(recorded.later[1]) == b"the gateway's words"


def test_the_hybrid_suite_stays_shut_when_p256_has_fallen() -> None:
    """With S, s_D, both ephemerals' agreements and the psk, but not the ML-KEM secret: m2 does not open, nor does any
    word after it. With the ML-KEM secret it does, so that nothing else kept the recorder out."""
    recorded = contact(Suite.FIRST_HYBRID)
    with pytest.raises(HandshakeFailed):
        break_open(recorded)
    for guess in (recorded.psk, recorded.encapsulation_key[:32], recorded.m2[:32]):
        with pytest.raises(HandshakeFailed):
            break_open(recorded, kem_shared=guess)
    session = break_open(recorded, kem_shared=recorded.kem_shared)
    assert session.decrypt(recorded.later[1]) == b"the gateway's words"


class ToldKem(MlKem768):
    """A KEM of one key and one ciphertext, whose shared secret is told: all that can differ between two contacts."""

    private, public = MlKem768().generate()
    ciphertext = bytes(1_088)

    def __init__(self, shared: bytes) -> None:
        self.shared = shared

    def generate(self) -> Any:
        return self.private, self.public

    def encapsulate(self, public: Any) -> tuple[bytes, bytes]:
        return self.shared, self.ciphertext

    def decapsulate(self, private: Any, ciphertext: bytes) -> bytes:
        return self.shared


EPHEMERALS, STATICS = [P256().generate(), P256().generate()], [P256().generate(), P256().generate()]


def exported(suite: Suite, shared: bytes) -> list[bytes]:
    """Run a contact whose P-256 keys and psk are always the same; return what its two ends export."""
    functions = Functions(kem=ToldKem(shared)) if suite.hybrid else None
    phone = FirstContactInitiator(
        suite,
        prologue=PROLOGUE,
        psk=bytes(32),
        static=STATICS[0],
        gateway_public=STATICS[1].public,
        ephemeral=EPHEMERALS[0],
        functions=functions,
    )
    bank = FirstContactResponder(
        suite,
        prologue=PROLOGUE,
        psk=bytes(32),
        static_public=STATICS[1].public,
        ephemeral=EPHEMERALS[1],
        functions=functions,
    )
    run_local(bank.read_m1(run_local(phone.write_m1(FACTS))), STATICS[1])
    run_local(phone.read_m2(run_local(bank.write_m2(ANSWER), STATICS[1])[1:]))
    labels = (keys.Label.BINDING_PSK, keys.Label.DEVICE_CODE, keys.Label.CODE_2)
    assert [bank.session.export(label) for label in labels] == [
        phone.session.export(label) for label in labels
    ]
    return [phone.session.export(label) for label in labels]


def test_what_is_exported_depends_on_the_kem() -> None:
    """The binding's first ratchet key comes out of the hybrid handshake, so that later classical contacts, whose psk it
    is, stay shut too. Two contacts that differ in the ML-KEM secret alone export other keys; when nothing differs, and
    in the classical suite, the same."""
    one, other = b"\x01" * 32, b"\x02" * 32
    for first, second in zip(
        exported(Suite.FIRST_HYBRID, one), exported(Suite.FIRST_HYBRID, other), strict=True
    ):
        assert first != second
    assert exported(Suite.FIRST_HYBRID, one) == exported(Suite.FIRST_HYBRID, one)
    assert exported(Suite.FIRST_CLASSICAL, one) == exported(Suite.FIRST_CLASSICAL, other)


async def test_nobody_on_the_wire_talks_the_phone_down_to_the_classical_suite(kit: GatewayKit) -> None:
    """A forged `suite` makes the phone try the other one, and the gateway does not take it."""
    _, link = await begin(kit)
    suites: list[int] = []

    def note(number: int, frame: bytes) -> list[bytes]:
        if number == 1:
            suites.append(frame[2])
        return [frame]

    network = WireNetwork(kit, sent=note, received=lambda *_: [error_frame(ErrorCode.SUITE)])
    assert await refusal(phone_over(kit, network).begin_link(link)) is ErrorCode.SUITE
    assert suites == [Suite.FIRST_HYBRID, Suite.FIRST_CLASSICAL]
    assert await refusal(classical_only(kit, link)) is ErrorCode.SUITE
    assert await kit.bindings() == []


async def classical_only(kit: GatewayKit, link: str) -> None:
    """Begin with the classical suite at once."""
    phone = phone_over(kit)
    original = FirstContact.__init__

    def classical(self: FirstContact, *given: Any, **more: Any) -> None:
        original(self, *given, **more)
        self._suite = Suite.FIRST_CLASSICAL

    FirstContact.__init__ = classical  # type: ignore[method-assign]
    try:
        await phone.begin_link(link)
    finally:
        FirstContact.__init__ = original  # type: ignore[method-assign]


async def test_after_thirty_days_the_classical_resume_is_refused(kit: GatewayKit) -> None:
    """Even from a phone that keeps to it: the hybrid handshake is due again, so that one fallen ratchet key does not
    open everything after it."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    kit.clock.advance(31 * 86_400)
    suites: list[int] = []

    def note(number: int, frame: bytes) -> list[bytes]:
        if number == 1:
            suites.append(frame[2])
        return [frame]

    store = phone.store
    binding = store.binding(identifier)
    assert binding is not None
    store.put_binding(replace(binding, hybrid_due=2**40))
    spied = phone_over(kit, WireNetwork(kit, sent=note), store=store)
    await (await spied.open(identifier)).close()
    assert suites == [Suite.RESUME_CLASSICAL, Suite.RESUME_HYBRID]
