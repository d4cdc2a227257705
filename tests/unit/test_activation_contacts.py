"""The rules of an activation as phones meet them, on a real database: rotation windows, first and second phones, the
same phone again, and many commits at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from rules_kit import TENANT, FixedKeys, NoFurtherPhones, OpenSealer, Rules

from gateway.activation import store
from gateway.activation.contacts import Admission, CommitOrder, ContactService, Ended, PresentPhone
from gateway.activation.models import Activation, ActivationPolicy, ActivationState
from gateway.activation.page_tokens import PageTokens
from gateway.activation.secrets import raw_id
from gateway.activation.service import ActivationService, StartOrder
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef, DeviceFacts, NewPhone
from gateway.core.transaction import Transaction
from gateway.http.secure_channel import SecureChannel
from gateway.protocol import messages
from gateway.protocol.errors import ContactRefused, ErrorCode
from gateway.protocol.frames import Hello, Kind, Suite
from gateway.protocol.keys import TYPED_ROTATION, device_code

CODE_KEY = bytes(range(32))
MINE, THEIRS = b"\4" + bytes([1]) * 64, b"\4" + bytes([2]) * 64
SIGNING = b"\4" + bytes([3]) * 64
DEVICE = DeviceFacts(name="Handy", model="M", platform="web", os="O", app="A", lang="fr")


@dataclass
class Desk:
    """Bindings and PINs, remembered instead of stored."""

    added: list[NewPhone] = field(default_factory=list)
    pins: list[bytes] = field(default_factory=list)

    async def seal_first_key(
        self, ref: BindingRef, psk: bytes, *, static_key: bytes, signing_key: bytes, gateway_label: str
    ) -> bytes:
        return ref.binding_id.encode() + psk

    def add(self, tx: Transaction, phone: NewPhone) -> None:
        tx.on_commit(lambda: self.added.append(phone))

    async def run_open(self, channel: SecureChannel, ref: object, *, lang: str) -> None:
        raise AssertionError("no test of the rules gets here")

    async def evaluate(self, blinded: bytes) -> messages.PinEvaluated:
        raise AssertionError("no test of the rules gets here")

    def check(self, *, pin_key: bytes, signature: bytes) -> None:
        raise AssertionError("no test of the rules gets here")

    async def seal(self, verifier: bytes) -> None:
        raise AssertionError("no test of the rules gets here")

    def record(self, tx: Transaction, *, pin_key: bytes) -> None:
        tx.on_commit(lambda: self.pins.append(pin_key))


@dataclass
class Stage:
    """Services over one database."""

    rules: Rules
    activations: ActivationService
    contacts: ContactService
    desk: Desk

    async def start(self, **order: object) -> Activation:
        wish = StartOrder(tenant_id=TENANT, user="user-1", label="Compte", **order)  # type: ignore[arg-type]
        return (await self.activations.start(wish))[0]

    async def admit(
        self, activation: Activation, rotation: int, suite: Suite = Suite.FIRST_HYBRID
    ) -> Admission:
        return await self.contacts.admit(
            Hello(Kind.FIRST_CONTACT, suite, raw_id(activation), rotation, b"m1")
        )

    async def claim(self, activation: Activation, rotation: int, key: bytes = MINE) -> Admission:
        admission = await self.admit(activation, rotation)
        claimed = await self.contacts.claim(admission, static_key=key, platform="web")
        return replace(admission, activation=claimed)

    async def read(self, activation: Activation) -> Activation:
        found = await self.rules.storage.read(lambda tx: store.find(tx, activation.id))
        assert found is not None
        return found

    async def confirmed(self) -> tuple[Admission, Activation]:
        activation = await self.start()
        admission = await self.claim(activation, 0)
        await self.contacts.present(admission, phone())
        code = device_code(CODE_KEY)
        return admission, await self.activations.confirm(
            tenant_id=TENANT, activation_id=activation.id, code=code
        )

    def order(self, of: PresentPhone) -> CommitOrder:
        return CommitOrder(phone=of, pin_key=b"\4" * 65, enrolment=self.desk, binding_psk=bytes(32))


def phone(static: bytes = MINE, signing: bytes = SIGNING) -> PresentPhone:
    return PresentPhone(
        static_key=static, signing_key=signing, device=DEVICE, device_code=CODE_KEY, code2=b"\2two"
    )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Rules.on(tmp_path) as rules:
        policy = ActivationPolicy()
        tokens = PageTokens(
            storage=rules.storage,
            journal=rules.journal,
            clock=rules.clock,
            random=system_random,
            policy=policy,
        )
        activations = ActivationService(
            storage=rules.storage,
            journal=rules.journal,
            clock=rules.clock,
            random=system_random,
            sealer=OpenSealer(),
            keys=FixedKeys(),
            further=NoFurtherPhones(),
            tokens=tokens,
            policy=policy,
        )
        desk = Desk()
        contacts = ContactService(
            storage=rules.storage,
            journal=rules.journal,
            sealer=OpenSealer(),
            activations=activations,
            bindings=desk,
        )
        yield Stage(rules, activations, contacts, desk)


async def refused(work: object) -> ErrorCode:
    with pytest.raises(ContactRefused) as caught:
        await work  # type: ignore[misc]
    return caught.value.code


async def ended(work: object) -> str:
    with pytest.raises(Ended) as caught:
        await work  # type: ignore[misc]
    return caught.value.reason


async def test_unknown_activation(stage: Stage) -> None:
    hello = Hello(Kind.FIRST_CONTACT, Suite.FIRST_HYBRID, bytes(16), 0, b"m1")
    assert await refused(stage.contacts.admit(hello)) is ErrorCode.UNKNOWN


@pytest.mark.parametrize(
    ("ordered", "offered"), [("hybrid", Suite.FIRST_CLASSICAL), ("classical", Suite.FIRST_HYBRID)]
)
async def test_suite_is_exactly_the_policys(stage: Stage, ordered: str, offered: Suite) -> None:
    activation = await stage.start(suite=ordered)
    assert await refused(stage.admit(activation, 0, offered)) is ErrorCode.SUITE


@pytest.mark.parametrize(
    ("elapsed", "good", "bad"),
    [(0, {0}, {1, 2}), (9.9, {0}, {1}), (10, {0, 1}, {2}), (35, {2, 3}, {0, 1, 4, 0xFFFE})],
)
async def test_rotation_window(stage: Stage, elapsed: float, good: set[int], bad: set[int]) -> None:
    activation = await stage.start()
    stage.rules.clock.advance(elapsed)
    keys = {(await stage.admit(activation, rotation)).psk for rotation in good}
    assert len(keys) == len(good)
    for rotation in bad:
        assert await refused(stage.admit(activation, rotation)) is ErrorCode.EXPIRED


async def test_static_code_knows_no_other_rotation(stage: Stage) -> None:
    activation = await stage.start(is_rotating=False)
    stage.rules.clock.advance(200)
    assert (await stage.admit(activation, 0)).is_two_step
    assert await refused(stage.admit(activation, 20)) is ErrorCode.EXPIRED


async def test_typed_code_takes_two_steps_and_ten_failures(stage: Stage) -> None:
    activation = await stage.start()
    for _ in range(10):
        admission = await stage.admit(activation, TYPED_ROTATION)
        assert admission.is_two_step
        await stage.contacts.count_failure(admission)
    assert await refused(stage.admit(activation, TYPED_ROTATION)) is ErrorCode.EXPIRED
    assert stage.rules.journal.words[-1] == "gateway:activation:end-typed"
    scanned = await stage.admit(activation, 0)
    await stage.contacts.count_failure(scanned)
    assert (await stage.read(activation)).typed_failures == 10


async def test_over_is_over(stage: Stage) -> None:
    activation = await stage.start()
    await stage.activations.cancel(tenant_id=TENANT, activation_id=activation.id)
    assert await refused(stage.admit(activation, 0)) is ErrorCode.ENDED
    late = await stage.start()
    stage.rules.clock.advance(301)
    assert await refused(stage.admit(late, 30)) is ErrorCode.EXPIRED
    assert (await stage.read(late)).state is ActivationState.EXPIRED


async def test_platform_that_is_not_allowed_claims_nothing(stage: Stage) -> None:
    activation = await stage.start(platforms=("ios", "android"))
    admission = await stage.admit(activation, 0)
    work = stage.contacts.claim(admission, static_key=MINE, platform="web")
    assert await refused(work) is ErrorCode.PLATFORM
    assert (await stage.read(activation)).phone_static is None


async def test_claimed_rotation_stays_open_to_its_phone(stage: Stage) -> None:
    activation = await stage.start()
    await stage.claim(activation, 0)
    stage.rules.clock.advance(100)
    again = await stage.admit(activation, 0)
    assert not again.is_fresh
    await stage.contacts.claim(again, static_key=MINE, platform="web")
    # To any other key the old code is dead; it changes nothing.
    stale = stage.contacts.claim(again, static_key=THEIRS, platform="web")
    assert await refused(stale) is ErrorCode.EXPIRED
    assert (await stage.read(activation)).state is ActivationState.WAITING


async def test_the_phone_may_take_up_the_code_of_now(stage: Stage) -> None:
    activation = await stage.start()
    await stage.claim(activation, 0)
    stage.rules.clock.advance(50)
    await stage.claim(activation, 5)
    assert (await stage.read(activation)).phone_rotation == 5
    assert await refused(stage.admit(activation, 0)) is ErrorCode.EXPIRED


async def test_second_phone_ends_it_before_any_m3(stage: Stage) -> None:
    activation = await stage.start()
    await stage.claim(activation, 0)
    assert await refused(stage.claim(activation, 0, THEIRS)) is ErrorCode.ENDED
    after = await stage.read(activation)
    assert (after.state, after.seed) == (ActivationState.CONTESTED, None)
    assert stage.rules.journal.events == ["activation.waiting", "activation.ended"]
    assert await refused(stage.admit(activation, 0)) is ErrorCode.ENDED


async def test_twenty_phones_at_once(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.admit(activation, 0)
    keys = [b"\4" + bytes([index]) * 64 for index in range(20)]
    answers = await asyncio.gather(
        *(stage.contacts.claim(admission, static_key=key, platform="web") for key in keys),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Activation) for answer in answers) == 1
    assert (await stage.read(activation)).state is ActivationState.CONTESTED
    assert stage.rules.journal.events.count("activation.ended") == 1


async def test_present_again_is_a_return(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.claim(activation, 0)
    first = await stage.contacts.present(admission, phone())
    assert first.state is ActivationState.PRESENT
    second = await stage.contacts.present(admission, phone())
    assert second.state is ActivationState.PRESENT
    assert second.version == first.version + 1
    assert stage.rules.journal.words[-2:] == ["phone:activation:present", "phone:activation:return"]


@pytest.mark.parametrize("other", [phone(static=THEIRS), phone(signing=THEIRS)])
async def test_present_by_other_keys_ends_it(stage: Stage, other: PresentPhone) -> None:
    activation = await stage.start()
    admission = await stage.claim(activation, 0)
    await stage.contacts.present(admission, phone())
    assert await ended(stage.contacts.present(admission, other)) == "contested"
    assert (await stage.read(activation)).state is ActivationState.CONTESTED


async def test_return_after_confirmation_needs_no_code_again(stage: Stage) -> None:
    admission, confirmed = await stage.confirmed()
    again = await stage.contacts.present(admission, replace(phone(), code2=b"\2new"))
    assert (again.state, again.device_code, again.code2) == (ActivationState.CONFIRMED, None, b"\2new")
    assert again.id == confirmed.id


async def test_fifty_commits_at_once_make_one_binding(stage: Stage) -> None:
    admission, _ = await stage.confirmed()
    answers = await asyncio.gather(
        *(stage.contacts.commit(admission.activation, stage.order(phone())) for _ in range(50)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert sum(isinstance(answer, Ended) for answer in answers) == 49
    assert len(stage.desk.added) == len(stage.desk.pins) == 1
    [added] = stage.desk.added
    assert (added.signing_key, added.static_key) == (SIGNING, MINE)
    assert added.sealed_psk == admission.activation.binding_id.encode() + bytes(32)
    after = await stage.read(admission.activation)
    assert (after.state, after.seed, after.locator) == (ActivationState.ACTIVE, None, None)
    assert stage.rules.journal.events.count("activation.active") == 1


async def test_commit_needs_the_confirmed_phone_in_time(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.claim(activation, 0)
    await stage.contacts.present(admission, phone())
    assert await ended(stage.contacts.commit(activation, stage.order(phone()))) == "cancelled"
    admission, _ = await stage.confirmed()
    other = stage.order(phone(signing=THEIRS))
    assert await ended(stage.contacts.commit(admission.activation, other)) == "contested"
    stage.rules.clock.advance(301)
    late = stage.contacts.commit(admission.activation, stage.order(phone()))
    assert await ended(late) == "expired"
    assert stage.desk.added == []


async def test_leaving_is_told_while_it_goes_on(stage: Stage) -> None:
    activation = await stage.start()
    await stage.contacts.leave(activation.id)
    await stage.activations.cancel(tenant_id=TENANT, activation_id=activation.id)
    await stage.contacts.leave(activation.id)
    assert stage.rules.journal.events == ["activation.waiting", "activation.away", "activation.ended"]


async def other_node(stage: Stage, activation: Activation, **members: object) -> Activation:
    """Change the row as another node would, unseen by this one."""
    row = await stage.read(activation)
    changed = msgspec.structs.replace(row, **members)
    assert await stage.rules.storage.write(lambda tx: store.save(tx, row, changed))
    return changed


async def test_what_is_remembered_never_lets_in_what_another_node_ended(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.admit(activation, 0)
    await other_node(stage, activation, state=ActivationState.CANCELLED, seed=None, locator=None)
    work = stage.contacts.claim(admission, static_key=MINE, platform="web")
    assert await refused(work) is ErrorCode.ENDED
    assert await refused(stage.admit(activation, 0)) is ErrorCode.ENDED


async def test_what_is_remembered_never_refuses_what_another_node_knows(stage: Stage) -> None:
    activation = await stage.start()
    await other_node(stage, activation, phone_static=MINE, phone_rotation=0)
    stage.rules.clock.advance(60)
    again = await stage.admit(activation, 0)
    await stage.contacts.claim(again, static_key=MINE, platform="web")


async def test_second_phone_on_another_node_is_seen(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.admit(activation, 0)
    await other_node(stage, activation, phone_static=THEIRS, phone_rotation=0)
    work = stage.contacts.claim(admission, static_key=MINE, platform="web")
    assert await refused(work) is ErrorCode.ENDED
    assert (await stage.read(activation)).state is ActivationState.CONTESTED


async def test_two_steps_that_another_node_set_are_told_anew(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.admit(activation, 0)
    await other_node(stage, activation, is_two_step=True)
    work = stage.contacts.claim(admission, static_key=MINE, platform="web")
    assert await refused(work) is ErrorCode.BUSY
    assert (await stage.admit(activation, 0)).is_two_step


async def test_two_steps_set_between_m2_and_m3_are_never_passed_by(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.claim(activation, 0)
    await other_node(stage, activation, is_two_step=True)
    with pytest.raises(Problem) as problem:
        await stage.contacts.present(admission, phone())
    assert problem.value.kind is ProblemCode.UNAVAILABLE
    assert (await stage.read(activation)).state is ActivationState.WAITING
    again = await stage.claim(activation, 0)
    assert again.is_two_step
    assert (await stage.contacts.present(again, phone())).state is ActivationState.PRESENT


async def test_present_and_confirm_see_what_another_node_changed(stage: Stage) -> None:
    activation = await stage.start()
    admission = await stage.claim(activation, 0)
    await other_node(stage, activation, tries_left=2)
    assert (await stage.contacts.present(admission, phone())).tries_left == 2
    await other_node(stage, activation, tries_left=1)
    with pytest.raises(Problem) as problem:
        await stage.activations.confirm(tenant_id=TENANT, activation_id=activation.id, code="00000000")
    assert problem.value.kind is ProblemCode.ACTIVATION_ENDED
    assert (await stage.read(activation)).state is ActivationState.REFUSED
