"""The PIN's counter as a table, by hand and against a model; the service on a real database with a real key store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from rules_kit import TENANT, Rules

from gateway.core.clock import ManualClock
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import SealedAgreementKeys, Sealer
from gateway.keys.service import ensure_keys
from gateway.pin import store
from gateway.pin.dialogue import PinDesk
from gateway.pin.models import (
    Pin,
    PinBlocked,
    PinPolicy,
    PinRefused,
    PinState,
    after_evaluation,
    after_proof,
    after_unblock,
)
from gateway.protocol import messages, oprf
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.keys import pin_enrol_input, pin_proof_input, sign
from gateway.protocol.primitives import P256
from gateway.protocol.wiretypes import Bytes32, Bytes33, Bytes64, Bytes65
from hsm_adapters.errors import UnwrapFailed
from hsm_adapters.software import SoftwareAdapter

POLICY = PinPolicy()
REF = BindingRef(TENANT, "bnd_AAAAAAAAAAAAAAAAAAAAAA", "user-1")
H = bytes(range(32))
VERIFIER = bytes(range(32, 64))


def fresh(**members: object) -> Pin:
    values: dict[str, object] = {
        "binding_id": REF.binding_id,
        "tenant_id": TENANT,
        "state": PinState.OPEN,
        "digits": 6,
        "left": 5,
        "round": 0,
        "blocked_until_ms": None,
        "told": False,
        "oprf_blob": b"blob",
        "oprf_public": b"public",
        "pin_key": b"key",
        "verifier": None,
        "version": 1,
        **members,
    }
    return Pin(**values)  # type: ignore[arg-type]


def test_five_then_five_minutes_then_ten_then_the_bank() -> None:
    pin, now = fresh(), 1_000
    for block in (300_000, 600_000, None):
        for left in (4, 3, 2, 1, 0):
            pin = after_evaluation(pin, now_ms=now, policy=POLICY)
            assert pin.left == left
        until = None if block is None else now + block
        assert pin.blocked_until_ms == until
        with pytest.raises(PinBlocked) as blocked:
            after_evaluation(pin, now_ms=now + (block or 10**12) - 1, policy=POLICY)
        assert blocked.value.until_ms == until
        now += block or 0
    assert pin.state is PinState.LOCKED
    assert after_unblock(pin, policy=POLICY) == fresh()


@pytest.mark.parametrize("used", range(1, 16))
def test_proof_restores_everything(used: int) -> None:
    pin, now = fresh(), 0
    for _ in range(used):
        now = pin.blocked_until_ms or now
        pin = after_evaluation(pin, now_ms=now, policy=POLICY)
    assert after_proof(pin, policy=POLICY) == fresh()


@given(st.lists(st.sampled_from(["evaluate", "wait", "prove"]), max_size=60))
def test_never_more_than_fifteen_in_a_row(steps: list[str]) -> None:
    pin, now, in_a_row, evaluated = fresh(), 0, 0, False
    for step in steps:
        if step == "wait":
            now += 600_000
        elif step == "evaluate":
            try:
                pin = after_evaluation(pin, now_ms=now, policy=POLICY)
            except PinBlocked:
                assert pin.left == 0
                continue
            in_a_row, evaluated = in_a_row + 1, True
        elif evaluated:
            pin, in_a_row, evaluated = after_proof(pin, policy=POLICY), 0, False
        assert in_a_row <= 15
        assert 0 <= pin.left <= 5


@pytest.fixture
async def rules(tmp_path: Path) -> AsyncIterator[Rules]:
    async with Rules.on(tmp_path) as ground:
        yield ground


@pytest.fixture
async def desk(rules: Rules, tmp_path: Path) -> AsyncIterator[PinDesk]:
    uri = f"software:file={tmp_path}/keys.tessera?key-source=file:{tmp_path}/keys.key"
    adapter = await SoftwareAdapter.create(uri)
    await ensure_keys(adapter)
    yield PinDesk(
        storage=rules.storage,
        journal=rules.journal,
        keys=SealedAgreementKeys(adapter),
        ring=KeyRing(adapter, rules.clock),
        sealer=Sealer(adapter, KeyRing(adapter, ManualClock())),
        clock=rules.clock,
        random=system_random,
        policy=POLICY,
    )
    await adapter.close()


def key_of(output: bytes) -> ec.EllipticCurvePrivateKey:
    """Stand in for the phone's key derivation."""
    return ec.derive_private_key(int.from_bytes(output, "big") % (oprf.ORDER - 1) + 1, ec.SECP256R1())


def public_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return b"\4" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


async def enrol(rules: Rules, desk: PinDesk, pin: bytes = b"749205") -> ec.EllipticCurvePrivateKey:
    """Enrol as first contact does; return the PIN key."""
    blinded = oprf.blind(pin, system_random)
    enrolment = desk.enrolment(REF, H)
    evaluated = await enrolment.evaluate(blinded.element)
    key = key_of(blinded.finalize(evaluated.element))
    enrolment.check(pin_key=public_of(key), signature=sign(key, pin_enrol_input(H)))
    await enrolment.seal(VERIFIER)
    await rules.storage.write(lambda tx: enrolment.record(tx, pin_key=public_of(key)))
    return key


async def opened_verifier(desk: PinDesk) -> bytes | None:
    """Return what offline answers are checked against."""
    found = await desk.offline_verifier(REF)
    return None if found is None else found.opened


async def try_pin(desk: PinDesk, pin: bytes) -> messages.GatewayMessage:
    """Evaluate and prove on one channel, as a phone does."""
    dialogue = desk.dialogue(REF, H)
    blinded = oprf.blind(pin, system_random)
    evaluated = await dialogue.answer(messages.PinEvaluate(blinded=Bytes33(blinded.element)))
    if not isinstance(evaluated, messages.PinEvaluated):
        return evaluated
    assert isinstance(evaluated.nonce, bytes)
    key = key_of(blinded.finalize(evaluated.element))
    proof = sign(key, pin_proof_input(H, evaluated.nonce))
    return await dialogue.answer(messages.PinProve(signature=Bytes64(proof)))


async def read(rules: Rules) -> Pin:
    found = await rules.storage.read(
        lambda tx: store.find_many(tx, tenant_id=TENANT, binding_ids=[REF.binding_id])
    )
    return found[0]


async def test_right_and_wrong_pin(rules: Rules, desk: PinDesk) -> None:
    await enrol(rules, desk)
    assert await try_pin(desk, b"830564") == messages.PinWrong(left=4, until=None)
    assert (await read(rules)).left == 4
    assert await try_pin(desk, b"749205") == messages.PinProved()
    assert (await read(rules)).left == 5
    assert rules.journal.words == [
        "phone:pin:evaluate",
        "phone:pin:wrong",
        "phone:pin:evaluate",
        "phone:pin:prove",
    ]


async def test_many_guesses_at_once_have_five_tries(rules: Rules, desk: PinDesk) -> None:
    await enrol(rules, desk)
    answers = await asyncio.gather(*(try_pin(desk, b"%06d" % guess) for guess in range(30)))
    assert sum(isinstance(answer, messages.PinWrong) for answer in answers) == 5
    assert sum(isinstance(answer, messages.PinBlocked) for answer in answers) == 25
    assert rules.journal.events == ["binding.pin-blocked"]


async def test_block_is_told_once_and_when_it_bites(rules: Rules, desk: PinDesk) -> None:
    await enrol(rules, desk)
    for _ in range(4):
        await try_pin(desk, b"830564")
    assert await try_pin(desk, b"749205") == messages.PinProved()
    assert rules.journal.events == []
    for _ in range(7):
        await try_pin(desk, b"830564")
    assert rules.journal.events == ["binding.pin-blocked"]
    until = str(rules.journal.facts[-1].data["until"])
    assert until.endswith("Z")
    assert datetime.fromisoformat(until).timestamp() == rules.clock.now() + 300
    rules.clock.advance(300)
    for _ in range(6):
        await try_pin(desk, b"830564")
    assert rules.journal.events == ["binding.pin-blocked"] * 2


async def test_nonce_proves_once(rules: Rules, desk: PinDesk) -> None:
    key = await enrol(rules, desk)
    dialogue = desk.dialogue(REF, H)
    blinded = oprf.blind(b"749205", system_random)
    evaluated = await dialogue.answer(messages.PinEvaluate(blinded=Bytes33(blinded.element)))
    assert isinstance(evaluated, messages.PinEvaluated)
    assert isinstance(evaluated.nonce, bytes)
    proof = messages.PinProve(signature=Bytes64(sign(key, pin_proof_input(H, evaluated.nonce))))
    assert await dialogue.answer(proof) == messages.PinProved()
    with pytest.raises(OutOfTurn):
        await dialogue.answer(proof)
    other = desk.dialogue(REF, bytes(32))
    await other.answer(messages.PinEvaluate(blinded=Bytes33(blinded.element)))
    assert isinstance(await other.answer(proof), messages.PinWrong)


async def test_change_needs_a_proof_on_the_same_channel(rules: Rules, desk: PinDesk) -> None:
    await enrol(rules, desk)
    dialogue = desk.dialogue(REF, H)
    for message in (
        messages.PinChange(),
        messages.PinEnrol(
            pin_key=Bytes65(bytes(65)), pin_signature=Bytes64(bytes(64)), pin_verifier=Bytes32(VERIFIER)
        ),
        messages.PinProve(signature=Bytes64(bytes(64))),
    ):
        with pytest.raises(OutOfTurn):
            await dialogue.answer(message)


async def test_change_that_lost_a_race_is_refused(rules: Rules, desk: PinDesk) -> None:
    key = await enrol(rules, desk)
    first, second = (
        await desk.begin_enrolment(
            binding_id=REF.binding_id, blinded=oprf.blind(b"1", system_random).element
        ),
        await desk.begin_enrolment(
            binding_id=REF.binding_id, blinded=oprf.blind(b"2", system_random).element
        ),
    )
    new = P256().generate().public
    answers = await asyncio.gather(
        *(
            desk.change(REF, enrolment, proved_key=public_of(key), pin_key=new, verifier=bytes(32))
            for enrolment in (first, second)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, PinRefused) for answer in answers) == 1
    assert (await read(rules)).pin_key == new
    assert await opened_verifier(desk) == bytes(32)


async def test_an_evaluation_that_a_change_overtook_is_not_let_out(
    rules: Rules, desk: PinDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made under the old key while the new one came into force: no try, and nothing to guess with."""
    key = await enrol(rules, desk)
    blinded = oprf.blind(b"749205", system_random).element
    fresh = await desk.begin_enrolment(binding_id=REF.binding_id, blinded=blinded)
    evaluate = desk._evaluate

    async def overtaken(*given: Any, **named: Any) -> bytes:
        element = await evaluate(*given, **named)
        new = P256().generate().public
        await desk.change(REF, fresh, proved_key=public_of(key), pin_key=new, verifier=bytes(32))
        return element

    monkeypatch.setattr(desk, "_evaluate", overtaken)
    before = await read(rules)
    with pytest.raises(PinRefused):
        await desk.evaluate(REF, blinded)
    assert (await read(rules)).left == before.left == POLICY.tries


async def test_a_blocked_pin_asks_the_key_store_nothing(
    rules: Rules, desk: PinDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrol(rules, desk)
    for _ in range(POLICY.tries):
        await try_pin(desk, b"111111")

    async def never(*_: Any, **__: Any) -> bytes:
        raise AssertionError

    monkeypatch.setattr(desk, "_evaluate", never)
    assert isinstance(await try_pin(desk, b"749205"), messages.PinBlocked)


async def test_the_check_of_offline_answers_rests_sealed_for_its_pin(rules: Rules, desk: PinDesk) -> None:
    await enrol(rules, desk)
    assert await opened_verifier(desk) == VERIFIER
    pin = await read(rules)
    assert pin.verifier is not None
    assert VERIFIER not in pin.verifier
    for moved in (replace(pin, pin_key=P256().generate().public), replace(pin, verifier=None)):
        stored = await read(rules)
        await rules.storage.write(lambda tx, old=stored, new=moved: store.replace_row(tx, old, new))
        if moved.verifier is None:
            assert await desk.offline_verifier(REF) is None
        else:
            with pytest.raises(UnwrapFailed):
                await desk.offline_verifier(REF)


async def test_an_evaluation_serves_one_answer_to_the_bank(rules: Rules, desk: PinDesk) -> None:
    key = await enrol(rules, desk)
    dialogue = desk.dialogue(REF, H)
    blinded = oprf.blind(b"749205", system_random)
    await dialogue.answer(messages.PinEvaluate(blinded=Bytes33(blinded.element)))
    evaluation = dialogue.take_evaluation()
    assert evaluation is not None
    assert dialogue.take_evaluation() is None
    desk.check_approval(evaluation, signed=b"what is read", signature=sign(key, b"what is read"))
    with pytest.raises(PinRefused):
        desk.check_approval(evaluation, signed=b"something else", signature=sign(key, b"what is read"))
    assert (await read(rules)).left == 4
    await rules.storage.write(lambda tx: desk.restore(tx, REF, evaluation))
    assert (await read(rules)).left == 5


async def test_a_proof_serves_one_change_beside_the_pin(rules: Rules, desk: PinDesk) -> None:
    key = await enrol(rules, desk)
    dialogue = desk.dialogue(REF, H)
    assert not dialogue.take_proof()
    blinded = oprf.blind(b"749205", system_random)
    evaluated = await dialogue.answer(messages.PinEvaluate(blinded=Bytes33(blinded.element)))
    assert isinstance(evaluated, messages.PinEvaluated)
    assert isinstance(evaluated.nonce, bytes)
    proof = messages.PinProve(signature=Bytes64(sign(key, pin_proof_input(H, evaluated.nonce))))
    assert await dialogue.answer(proof) == messages.PinProved()
    assert dialogue.take_proof()
    assert not dialogue.take_proof()
    with pytest.raises(OutOfTurn):
        await dialogue.answer(messages.PinChange())


@pytest.mark.parametrize("element", [b"\2" + b"\xff" * 32, b"\5" + bytes(32), bytes(33)])
async def test_bad_element_takes_no_try(rules: Rules, desk: PinDesk, element: bytes) -> None:
    await enrol(rules, desk)
    with pytest.raises(PinRefused):
        await desk.dialogue(REF, H).answer(messages.PinEvaluate(blinded=Bytes33(element)))
    assert (await read(rules)).left == 5


async def test_enrolment_has_an_end_of_evaluations(desk: PinDesk) -> None:
    enrolment = desk.enrolment(REF, H)
    with pytest.raises(OutOfTurn):
        enrolment.check(pin_key=bytes(65), signature=bytes(64))
    element = oprf.blind(b"749205", system_random).element
    seen = {(await enrolment.evaluate(element)).element for _ in range(8)}
    assert len(seen) == 8  # a key of its own each time
    with pytest.raises(OutOfTurn):
        await enrolment.evaluate(element)
    with pytest.raises(PinRefused):
        enrolment.check(pin_key=P256().generate().public, signature=bytes(64))


async def test_evaluation_is_rfc_9497_under_the_stored_key(rules: Rules, desk: PinDesk) -> None:
    await enrol(rules, desk)
    outputs = set()
    for _ in range(3):
        blinded = oprf.blind(b"749205", system_random)
        evaluated = await desk.evaluate(REF, blinded.element)
        outputs.add(blinded.finalize(evaluated.element))
    assert len(outputs) == 1
