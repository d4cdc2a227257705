"""The biometric factor's rules on a real database, and its conversation on a channel: who may change it, what a check
takes and refuses, and what the bank is told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from biometrics_kit import ORIGIN, Authenticator, encode
from rules_kit import TENANT, MemoryJournal
from sqlalchemy import create_engine

from gateway.biometrics import channel, store
from gateway.biometrics.channel import BiometricPart
from gateway.biometrics.models import BiometricRefused, BiometricRules, has_risen
from gateway.biometrics.service import BiometricService
from gateway.core.clock import ManualClock
from gateway.core.ids import decode_id
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.keys import sha256
from gateway.protocol.webauthn import WebAuthnRefused
from gateway.protocol.wiretypes import (
    AuthenticatorBytes,
    ClientDataBytes,
    CredentialBytes,
    DerSignatureBytes,
)
from gateway.storage.engine import Storage
from gateway.storage.schema import metadata

REF = BindingRef(TENANT, "bnd_AAAAAAAAAAAAAAAAAAAAAA", "user-1")
OTHER = BindingRef(TENANT, "bnd_BBBBBBBBBBBBBBBBBBBBBA", "user-1")
CHALLENGE = bytes(range(32))


@dataclass
class Proofs:
    """The PIN's conversation: proofs that nobody took yet."""

    left: int = 0

    def take_proof(self) -> bool:
        was, self.left = self.left > 0, 0
        return was


@dataclass
class Phone:
    """One open channel."""

    ref: BindingRef = REF
    handshake_hash: bytes = field(default_factory=lambda: system_random(32))
    pin: Proofs = field(default_factory=Proofs)
    lang: messages.Lang = "fr"
    told: list[Any] = field(default_factory=list)

    async def tell(self, message: messages.GatewayMessage) -> None:
        self.told.append(message)


@dataclass
class Desk:
    storage: Storage
    clock: ManualClock
    journal: MemoryJournal

    def service(self, policy: Any = "optional") -> BiometricService:
        rules = BiometricRules(policy, (ORIGIN,))
        return BiometricService(storage=self.storage, journal=self.journal, clock=self.clock, rules=rules)

    def part(self, policy: Any = "optional") -> BiometricPart:
        return BiometricPart(service=self.service(policy), clock=self.clock, random=system_random)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path}/biometrics.db"
    engine = create_engine(url)
    metadata.create_all(engine, tables=[store.biometrics])
    engine.dispose()
    storage = Storage(url)
    yield Desk(storage, ManualClock(), MemoryJournal())
    await storage.close()


async def enrol(part: BiometricPart, phone: Phone, device: Authenticator) -> messages.GatewayMessage:
    """Prove the PIN, take the challenge, make the credential."""
    phone.pin.left = 1
    given = await part.answer(phone, messages.BiometricBegin())
    assert isinstance(given, messages.BiometricChallenge)
    assert given.user == decode_id("bnd", phone.ref.binding_id)
    return await part.answer(phone, enrolment(device, given.challenge))


def enrolment(device: Authenticator, challenge: bytes) -> messages.BiometricEnrol:
    made = device.create(challenge)
    return messages.BiometricEnrol(
        client_data=ClientDataBytes(made["client_data"]),
        attestation_object=AuthenticatorBytes(made["attestation_object"]),
    )


def asserted(device: Authenticator, challenge: bytes = CHALLENGE, **wrong: Any) -> messages.Assertion:
    got = device.get(challenge, **wrong)
    return messages.Assertion(
        credential=CredentialBytes(device.credential),
        client_data=ClientDataBytes(got["client_data"]),
        authenticator_data=AuthenticatorBytes(got["authenticator_data"]),
        signature=DerSignatureBytes(got["signature"]),
    )


async def state(part: BiometricPart, phone: Phone) -> messages.BiometricState:
    (told,) = await part._service._storage.read(lambda tx: part.greet(tx, phone.ref))
    assert isinstance(told, messages.BiometricState)
    return told


async def test_a_credential_is_made_replaced_and_removed(desk: Desk) -> None:
    part, phone = desk.part(), Phone()
    assert await state(part, phone) == messages.BiometricState(policy="optional", credential=None)
    first, second = Authenticator(credential=b"first"), Authenticator(credential=b"second")
    for device in (first, second):
        answer = await enrol(part, phone, device)
        assert answer == await state(part, phone)
        assert answer == messages.BiometricState(
            policy="optional", credential=CredentialBytes(device.credential)
        )
    service = desk.service()
    with pytest.raises(BiometricRefused):
        await service.check(REF, asserted(first), challenge=CHALLENGE)
    await service.check(REF, asserted(second), challenge=CHALLENGE)
    answer = await part.answer(phone, messages.BiometricRemove())
    assert answer == messages.BiometricState(policy="optional", credential=None)
    with pytest.raises(BiometricRefused):
        await service.check(REF, asserted(second), challenge=CHALLENGE)
    assert desk.journal.words == ["phone:biometric:enrol"] * 2 + ["phone:biometric:remove"]
    assert desk.journal.events == ["binding.biometric-changed"] * 3
    assert [fact.data["state"] for fact in desk.journal.facts] == ["added", "replaced", "removed"]
    assert desk.journal.facts[1].data["key"] == sha256(encode(second.cose())).hex()
    assert all(fact.webhook and fact.subject == REF.binding_id for fact in desk.journal.facts)
    await part.answer(phone, messages.BiometricRemove())
    assert len(desk.journal.facts) == 3


async def test_a_challenge_takes_a_proof_and_serves_once_here_and_now(desk: Desk) -> None:
    part, phone, device = desk.part(), Phone(), Authenticator()
    with pytest.raises(OutOfTurn):
        await part.answer(phone, messages.BiometricBegin())
    with pytest.raises(OutOfTurn):
        await part.answer(phone, enrolment(device, CHALLENGE))
    phone.pin.left = 1
    given = await part.answer(phone, messages.BiometricBegin())
    assert isinstance(given, messages.BiometricChallenge)
    with pytest.raises(OutOfTurn):  # the proof is spent, and so is the challenge that it brought
        await part.answer(phone, messages.BiometricBegin())
    with pytest.raises(OutOfTurn):
        await part.answer(phone, enrolment(device, given.challenge))
    phone.pin.left = 1
    given = await part.answer(phone, messages.BiometricBegin())
    assert isinstance(given, messages.BiometricChallenge)
    with pytest.raises(OutOfTurn):  # another channel of the same phone
        await part.answer(Phone(), enrolment(device, given.challenge))
    with pytest.raises(WebAuthnRefused):
        await part.answer(phone, enrolment(device, CHALLENGE))
    with pytest.raises(OutOfTurn):  # a wrong credential has used it up
        await part.answer(phone, enrolment(device, given.challenge))
    phone.pin.left = 1
    given = await part.answer(phone, messages.BiometricBegin())
    assert isinstance(given, messages.BiometricChallenge)
    desk.clock.advance(301)
    with pytest.raises(OutOfTurn):
        await part.answer(phone, enrolment(device, given.challenge))
    assert desk.journal.facts == []


async def test_challenges_that_nobody_answers_are_forgotten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "MAX_CHALLENGES", 3)
    part = desk.part()
    phones = [Phone(pin=Proofs(1)) for _ in range(5)]
    given = [await part.answer(phone, messages.BiometricBegin()) for phone in phones]
    for phone, challenge in zip(phones, given, strict=True):
        assert isinstance(challenge, messages.BiometricChallenge)
        message = enrolment(Authenticator(), challenge.challenge)
        if phone in phones[:2]:
            with pytest.raises(OutOfTurn):
                await part.answer(phone, message)
        else:
            await part.answer(phone, message)


async def test_policy_decides_what_may_be_changed(desk: Desk) -> None:
    phone, device = Phone(), Authenticator()
    await enrol(desk.part("required"), phone, device)
    with pytest.raises(BiometricRefused):
        await desk.part("required").answer(phone, messages.BiometricRemove())
    assert (await state(desk.part("required"), phone)).credential == device.credential
    off = desk.part("off")
    assert await state(off, phone) == messages.BiometricState(policy="off", credential=None)
    phone.pin.left = 1
    with pytest.raises(BiometricRefused):
        await off.answer(phone, messages.BiometricBegin())
    assert phone.pin.left == 1
    with pytest.raises(BiometricRefused):
        await desk.service("off").check(REF, asserted(device), challenge=CHALLENGE)

    async def enrolled(policy: str) -> frozenset[str]:
        service, ids = desk.service(policy), [REF.binding_id, OTHER.binding_id]
        return await desk.storage.read(lambda tx: service.enrolled(tx, tenant_id=TENANT, binding_ids=ids))

    assert await enrolled("optional") == {REF.binding_id}
    assert await enrolled("off") == frozenset()
    await off.answer(phone, messages.BiometricRemove())
    assert await enrolled("optional") == frozenset()


async def test_a_credential_serves_its_own_binding_alone(desk: Desk) -> None:
    device, service = Authenticator(), desk.service()
    await enrol(desk.part(), Phone(), device)
    elsewhere = BindingRef("ten_BBBBBBBBBBBBBBBBBBBBBA", REF.binding_id, REF.user)
    for ref in (OTHER, elsewhere):
        with pytest.raises(BiometricRefused):
            await service.check(ref, asserted(device), challenge=CHALLENGE)
    with pytest.raises(WebAuthnRefused):
        await service.check(REF, asserted(device, bytes(32)), challenge=CHALLENGE)
    await desk.storage.write(
        lambda tx: service.erase(tx, tenant_id=elsewhere.tenant_id, binding_id=REF.binding_id)
    )
    checked = await service.check(REF, asserted(device), challenge=CHALLENGE)
    assert checked.proof.key == encode(device.cose())
    await desk.storage.write(lambda tx: service.erase(tx, tenant_id=TENANT, binding_id=REF.binding_id))
    with pytest.raises(BiometricRefused):
        await service.check(REF, asserted(device), challenge=CHALLENGE)


async def test_a_sign_count_that_does_not_rise_ends_the_credential(desk: Desk) -> None:
    device, service = Authenticator(), desk.service()
    await enrol(desk.part(), Phone(), device)
    late = asserted(device)
    checked = await service.check(REF, asserted(device), challenge=CHALLENGE)
    await desk.storage.write(lambda tx: service.accept(tx, REF, checked))
    with pytest.raises(BiometricRefused):
        await service.check(REF, late, challenge=CHALLENGE)
    assert desk.journal.facts[-1].data["reason"] == "sign-count"
    assert desk.journal.events[-1] == "binding.biometric-changed"
    assert await service.read(REF) is None


async def test_of_two_assertions_with_one_count_one_is_accepted(desk: Desk) -> None:
    device, service = Authenticator(), desk.service()
    await enrol(desk.part(), Phone(), device)
    copy = Authenticator(credential=device.credential, count=device.count)
    copy.key = device.key
    both = [await service.check(REF, asserted(each), challenge=CHALLENGE) for each in (device, copy)]
    await desk.storage.write(lambda tx: service.accept(tx, REF, both[0]))
    with pytest.raises(BiometricRefused):
        await desk.storage.write(lambda tx: service.accept(tx, REF, both[1]))


async def test_an_assertion_does_not_outlive_its_credential(desk: Desk) -> None:
    part, phone, service = desk.part(), Phone(), desk.service()
    old = Authenticator(step=0)
    await enrol(part, phone, old)
    checked = await service.check(REF, asserted(old), challenge=CHALLENGE)
    await enrol(part, phone, Authenticator(step=0))
    with pytest.raises(BiometricRefused):
        await desk.storage.write(lambda tx: service.accept(tx, REF, checked))


async def test_a_device_that_keeps_no_count_stays_good(desk: Desk) -> None:
    device, service = Authenticator(step=0), desk.service()
    await enrol(desk.part(), Phone(), device)
    for _ in range(3):
        checked = await service.check(REF, asserted(device), challenge=CHALLENGE)
        await desk.storage.write(lambda tx, checked=checked: service.accept(tx, REF, checked))


@pytest.mark.parametrize(
    ("stored", "brought", "good"),
    [(0, 0, True), (0, 1, True), (5, 6, True), (5, 5, False), (5, 4, False), (5, 0, False)],
)
def test_counts_rise(stored: int, brought: int, good: bool) -> None:
    assert has_risen(stored, brought) is good
