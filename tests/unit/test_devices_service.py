"""The rules of bound phones on a real database: states, races between them, and the ratchet's compare-and-set."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest
from rules_kit import TENANT, Rules

from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.ids import encode_id
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef, DeviceFacts
from gateway.core.transaction import Transaction
from gateway.devices import store
from gateway.devices.live import LiveChannels
from gateway.devices.models import (
    NEVER_DUE,
    TRANSITIONS,
    Binding,
    BindingEvent,
    BindingState,
    BindingStepRefused,
    DevicePolicy,
    SuspendedBy,
    Turn,
    next_state,
)
from gateway.devices.ports import PinDialogue, PinStatus
from gateway.devices.service import BindingFilter, DeviceService
from gateway.protocol.messages import GatewayMessage, Lang

LABEL = "tessera-x-agree-1"
DEVICE = DeviceFacts(name="Handy", model="M", platform="web", os="O", app="A", lang="fr")


@dataclass
class Pins:
    """PINs, remembered instead of stored."""

    erased: list[str] = field(default_factory=list)
    unblocked: list[str] = field(default_factory=list)

    def statuses(
        self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]
    ) -> Mapping[str, PinStatus]:
        return {}

    def dialogue(self, ref: BindingRef, handshake_hash: bytes) -> PinDialogue:
        raise AssertionError("no test of the rules gets here")

    def unblock(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        self.unblocked.append(binding_id)

    def erase(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        self.erased.append(binding_id)


@dataclass
class Letters:
    """What customers were written."""

    sent: list[tuple[str, bool]] = field(default_factory=list)

    def welcome(self, tx: Transaction, ref: BindingRef, *, phone: str, is_first: bool) -> None:
        self.sent.append((phone, is_first))


@dataclass
class Stage:
    rules: Rules
    service: DeviceService
    pins: Pins
    letters: Letters

    async def add(self, *, replaces: str | None = None, **members: object) -> Binding:
        now_ms = int(self.rules.clock.now() * 1000)
        binding = Binding(
            id=encode_id("bnd", system_random(16)),
            tenant_id=TENANT,
            user="user-1",
            label="Compte",
            device=DEVICE,
            state=BindingState.ACTIVE,
            is_hybrid=True,
            gateway_label=LABEL,
            signing_key=b"\4" * 65,
            static_key=b"\4" * 65,
            index=0,
            psk=b"psk-0",
            psk_next=None,
            added_at=now_ms,
            hybrid_at=now_ms,
            last_seen_at=now_ms,
        )
        binding = replace(binding, **members)  # type: ignore[arg-type]
        await self.rules.storage.write(lambda tx: self.service.add(tx, binding, replaces=replaces))
        return binding

    async def read(self, binding: Binding) -> Binding:
        found = await self.rules.storage.read(lambda tx: store.find_for_phone(tx, binding.id))
        assert found is not None
        return found

    async def step(self, event: BindingEvent, binding: Binding, **more: str) -> BindingState:
        view = await self.service.step(event, tenant_id=TENANT, binding_id=binding.id, **more)  # type: ignore[arg-type]
        return view.binding.state

    async def turn(self, binding: Binding, counter: int, fresh: bytes, label: str = LABEL) -> bool:
        """Turn the ratchet as the channel does, with what it read at the hello."""

        def unit(tx: Transaction) -> bool:
            row = store.find(tx, tenant_id=TENANT, binding_id=binding.id, is_locked=True)
            assert row is not None
            if row.psk_of(counter) != binding.psk_of(counter):
                return False
            return store.turn_ratchet(
                tx, row, counter=counter, psk_next=fresh, next_label=label, now_ms=1, hybrid_ms=2
            )

        return await self.rules.storage.write(unit)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Rules.on(tmp_path) as rules:
        pins, letters = Pins(), Letters()
        service = DeviceService(
            storage=rules.storage,
            journal=rules.journal,
            clock=rules.clock,
            pins=pins,
            inbox=letters,
            policy=DevicePolicy(),
        )
        yield Stage(rules, service, pins, letters)


async def test_a_further_phone_is_told_and_a_move_ends_the_old_one_with_the_new(stage: Stage) -> None:
    old = await stage.add()
    beside = await stage.add(device=replace(DEVICE, name="Beside"))
    moved = await stage.add(device=replace(DEVICE, name="New"), replaces=old.id)
    assert stage.letters.sent == [("Handy", True), ("Beside", False), ("New", False)]
    assert (await stage.read(old)).state is BindingState.REMOVED
    assert (await stage.read(old)).psk is None
    assert stage.pins.erased == [old.id]
    assert {(await stage.read(each)).state for each in (beside, moved)} == {BindingState.ACTIVE}
    last = stage.rules.journal.facts[-1]
    assert (last.word, last.event) == ("gateway:binding:move", "binding.removed")
    assert (last.subject, last.data["to"]) == (old.id, moved.id)


async def test_a_move_ends_no_phone_of_another_customer(stage: Stage) -> None:
    other = await stage.add(user="user-2")
    await stage.add(replaces=other.id)
    assert (await stage.read(other)).state is BindingState.ACTIVE


async def test_the_log_ties_a_binding_to_its_signing_key(stage: Stage) -> None:
    binding = await stage.add(signing_key=b"\4" + bytes(range(64)))
    assert stage.rules.journal.facts[-1].data["key"] == sha256(binding.signing_key).hexdigest()


@pytest.mark.parametrize("state", BindingState)
@pytest.mark.parametrize("event", BindingEvent)
async def test_only_the_tables_steps_are_possible(
    stage: Stage, state: BindingState, event: BindingEvent
) -> None:
    binding = await stage.add(state=state)
    told = len(stage.rules.journal.facts)
    if (state, event) in TRANSITIONS:
        assert await stage.step(event, binding) is TRANSITIONS[state, event]
        assert len(stage.rules.journal.facts) == told + 1
    else:
        with pytest.raises(BindingStepRefused):
            next_state(state, event)
        with pytest.raises(Problem) as problem:
            await stage.step(event, binding)
        assert problem.value.kind is ProblemCode.CONFLICT
        assert len(stage.rules.journal.facts) == told
        assert (await stage.read(binding)).state is state


async def test_removal_erases_secrets(stage: Stage) -> None:
    binding = await stage.add(psk_next=b"psk-1")
    await stage.step(BindingEvent.REMOVE, binding)
    after = await stage.read(binding)
    assert (after.state, after.psk, after.psk_next) == (BindingState.REMOVED, None, None)
    assert stage.pins.erased == [binding.id]


async def test_clone_is_told_with_its_reason(stage: Stage) -> None:
    binding = await stage.add()
    await stage.step(BindingEvent.CLONE, binding, reason="clone")
    fact = stage.rules.journal.facts[-1]
    assert (fact.word, fact.event, fact.data["reason"]) == (
        AuditWord.PHONE_BINDING_CLONE,
        "binding.suspended",
        "clone",
    )
    assert fact.webhook
    assert fact.topics == (f"user:{TENANT}:user-1",)


async def test_audit_log_tells_the_customer_from_the_bank(stage: Stage) -> None:
    binding = await stage.add()
    stage.rules.journal.facts.clear()
    for more in ({}, {"user": "user-1"}):
        await stage.step(BindingEvent.SUSPEND, binding, **more)
        await stage.step(BindingEvent.RESUME, binding, **more)
        await stage.service.rename(tenant_id=TENANT, binding_id=binding.id, name="Neu", **more)
    await stage.step(BindingEvent.REMOVE, binding, user="user-1")
    assert stage.rules.journal.words == [
        *("bank:binding:suspend", "bank:binding:resume", "bank:binding:rename"),
        *("customer:binding:suspend", "customer:binding:resume", "customer:binding:rename"),
        "customer:binding:remove",
    ]


@pytest.mark.parametrize("known", SuspendedBy)
async def test_copy_found_out_overrides_who_suspended(stage: Stage, known: SuspendedBy) -> None:
    binding = await stage.add(state=BindingState.SUSPENDED, suspended_by=known)
    await stage.step(BindingEvent.CLONE, binding, reason="clone")
    assert (await stage.read(binding)).suspended_by is SuspendedBy.CLONE
    with pytest.raises(Problem) as problem:
        await stage.step(BindingEvent.RESUME, binding, user="user-1")
    assert problem.value.kind is ProblemCode.CONFLICT
    for event in (BindingEvent.RESUME, BindingEvent.SUSPEND):
        with pytest.raises(Problem):
            await stage.step(event, binding)
    after = await stage.read(binding)
    assert (after.state, after.suspended_by) == (BindingState.SUSPENDED, SuspendedBy.CLONE)
    assert (after.psk, after.psk_next) == (None, None)


async def test_suspension_by_nobody_known_is_the_banks_to_undo(stage: Stage) -> None:
    binding = await stage.add(state=BindingState.SUSPENDED)
    with pytest.raises(Problem):
        await stage.step(BindingEvent.RESUME, binding, user="user-1")
    assert await stage.step(BindingEvent.RESUME, binding) is BindingState.ACTIVE


async def test_many_steps_at_once_are_one(stage: Stage) -> None:
    binding = await stage.add()
    answers = await asyncio.gather(
        *(stage.step(BindingEvent.SUSPEND, binding) for _ in range(20)), return_exceptions=True
    )
    assert sum(answer is BindingState.SUSPENDED for answer in answers) == 1
    assert stage.rules.journal.events.count("binding.suspended") == 1


async def test_owner_and_tenant_are_checked(stage: Stage) -> None:
    binding = await stage.add()
    service, address = stage.service, {"binding_id": binding.id}
    for work in (
        service.read(tenant_id=TENANT, user="somebody else", **address),
        service.read(tenant_id="ten_BBBBBBBBBBBBBBBBBBBBBB", **address),
        service.rename(tenant_id=TENANT, user="somebody else", name="x", **address),
        service.step(BindingEvent.REMOVE, tenant_id=TENANT, user="somebody else", **address),
        service.unblock_pin(tenant_id="ten_BBBBBBBBBBBBBBBBBBBBBB", **address),
    ):
        with pytest.raises(Problem) as problem:
            await work
        assert problem.value.kind is ProblemCode.NOT_FOUND
    assert (await stage.read(binding)).state is BindingState.ACTIVE
    assert stage.pins.unblocked == []


async def test_list_is_newest_first_and_filtered(stage: Stage) -> None:
    made = []
    for index in range(4):
        made.append(await stage.add(user=f"user-{index % 2}"))
        stage.rules.clock.advance(index % 2)  # two of them in the same millisecond
    listed = await stage.service.browse(tenant_id=TENANT, wanted=BindingFilter(limit=10))
    places = [(view.binding.added_at, view.binding.id) for view in listed]
    assert places == sorted(places, reverse=True)
    seen: list[str] = []
    before = None
    for _ in range(5):
        page = await stage.service.browse(tenant_id=TENANT, wanted=BindingFilter(before=before, limit=1))
        seen += [view.binding.id for view in page]
        if page:
            before = (page[-1].binding.added_at, page[-1].binding.id)
    assert seen == [identity for _, identity in places]
    own = await stage.service.browse(tenant_id=TENANT, wanted=BindingFilter(user="user-1"))
    assert {view.binding.id for view in own} == {made[1].id, made[3].id}
    await stage.step(BindingEvent.SUSPEND, made[0])
    wanted = BindingFilter(state=BindingState.SUSPENDED)
    assert [v.binding.id for v in await stage.service.browse(tenant_id=TENANT, wanted=wanted)] == [made[0].id]


async def test_ratchet_keeps_the_old_key_until_the_new_one_is_used(stage: Stage) -> None:
    first = await stage.add()
    assert await stage.turn(first, 0, b"psk-1a")
    assert await stage.turn(await stage.read(first), 0, b"psk-1b")  # welcome was lost: n again
    held = await stage.read(first)
    assert (held.index, held.psk, held.psk_next) == (0, b"psk-0", b"psk-1b")
    assert await stage.turn(held, 1, b"psk-2")
    held = await stage.read(first)
    assert (held.index, held.psk, held.psk_next) == (1, b"psk-1b", b"psk-2")
    assert [held.psk_of(counter) for counter in (0, 1, 2, 3)] == [None, b"psk-1b", b"psk-2", None]
    assert (held.last_seen_at, held.hybrid_at) == (1, 2)


async def test_ratchet_that_moved_on_does_not_move_again(stage: Stage) -> None:
    at_hello = await stage.add(psk_next=b"psk-1")
    assert await stage.turn(at_hello, 1, b"psk-2")
    assert not await stage.turn(at_hello, 0, b"other")
    overwritten = await stage.add(psk_next=b"psk-1")
    assert await stage.turn(overwritten, 0, b"psk-1 again")
    assert not await stage.turn(overwritten, 1, b"psk-2")
    suspended = await stage.add()
    await stage.step(BindingEvent.SUSPEND, suspended)
    assert not await stage.turn(suspended, 0, b"psk-1")


async def test_label_moves_with_the_ratchet(stage: Stage) -> None:
    second, third = "tessera-x-agree-2", "tessera-x-agree-3"
    first = await stage.add()
    assert await stage.turn(first, 0, b"psk-1", second)
    held = await stage.read(first)
    assert [held.gateway_label_of(counter) for counter in (0, 1)] == [LABEL, second]
    assert await stage.turn(held, 0, b"psk-1 again", third)  # welcome was lost, and S rotated once more
    held = await stage.read(first)
    assert (held.gateway_label, held.next_gateway_label) == (LABEL, third)
    assert await stage.turn(held, 1, b"psk-2", third)
    held = await stage.read(first)
    assert (held.gateway_label, held.next_gateway_label) == (third, None)
    assert [held.gateway_label_of(counter) for counter in (1, 2)] == [third, third]


@pytest.mark.parametrize(("label", "is_move"), [(LABEL, False), ("tessera-x-agree-2", True)])
async def test_whoever_acts_moves_the_label_too(stage: Stage, label: str, is_move: bool) -> None:
    binding = await stage.add()
    assert await stage.turn(binding, 0, b"psk-1", label)
    assert not await stage.service.settle(binding.ref, Turn(0, 2, is_move))
    assert await stage.service.settle(binding.ref, Turn(0, 1, is_move))
    held = await stage.read(binding)
    assert (held.index, held.psk, held.psk_next) == (1, b"psk-1", None)
    assert (held.gateway_label, held.next_gateway_label) == (label, None)


async def test_count_of_phones_that_may_come_under_a_key(stage: Stage) -> None:
    later = "tessera-x-agree-2"

    async def counts() -> tuple[int, int]:
        read = stage.rules.storage.read
        return (
            await read(lambda tx: store.count_under_label(tx, LABEL)),
            await read(lambda tx: store.count_under_label(tx, later)),
        )

    assert await counts() == (0, 0)
    phones = [await stage.add() for _ in range(4)]
    await stage.add(gateway_label="tessera-y-agree-1")
    assert await counts() == (4, 0)
    assert await stage.turn(phones[0], 0, b"psk-1", later)
    assert await counts() == (4, 1)  # under the one now, or under the other if welcome arrived
    assert await stage.turn(await stage.read(phones[0]), 1, b"psk-2", later)
    assert await counts() == (3, 1)
    await stage.step(BindingEvent.SUSPEND, phones[1])
    assert await counts() == (3, 1)
    await stage.step(BindingEvent.CLONE, phones[1])
    await stage.step(BindingEvent.REMOVE, phones[2])
    assert await counts() == (1, 1)


async def test_hybrid_due(stage: Stage) -> None:
    policy = DevicePolicy(hybrid_period_s=100)
    binding = await stage.add(hybrid_at=5_000)
    assert binding.hybrid_due_s(policy) == 105
    assert replace(binding, is_hybrid=False).hybrid_due_s(policy) == NEVER_DUE


@dataclass
class Event:
    type: str
    data: str


@dataclass
class Phone:
    binding: str = "bnd_1"
    heard: list[str] = field(default_factory=list)
    lang: Lang = "fr"
    handshake_hash: bytes = bytes(32)
    pin: None = None

    @property
    def ref(self) -> BindingRef:
        return BindingRef(TENANT, self.binding, "user-1")

    async def tell(self, message: GatewayMessage) -> None:
        self.heard.append(type(message).__name__)

    async def tell_state(self, state: str) -> None:
        self.heard.append(state)

    async def close(self) -> None:
        self.heard.append("closed")


async def test_live_channels_hear_of_their_own_binding() -> None:
    live, mine, other = LiveChannels(), Phone(), Phone("bnd_2")
    live.add(mine)
    live.add(other)
    assert live.of_binding("bnd_2") is other
    assert list(live.of_topic(mine.ref.topic)) == [mine, other]
    for kind in ("binding.renamed", "binding.suspended", "binding.resumed", "binding.removed"):
        live.on_event(Event(kind, '{"binding": "bnd_1", "user": "u"}'))
    live.on_event(Event("binding.suspended", '{"binding": "bnd_3"}'))
    await asyncio.sleep(0)
    assert mine.heard == ["suspended", "active", "removed"]
    assert other.heard == []
    newer = Phone()
    live.add(newer)
    assert list(live.of_topic(mine.ref.topic)) == [other, newer]
    live.discard(mine)  # the older one ends later, and takes nothing with it
    live.on_event(Event("binding.suspended", '{"binding": "bnd_1"}'))
    await asyncio.sleep(0)
    assert mine.heard[-1] == "closed"
    assert newer.heard == ["suspended"]
    live.discard(newer)
    assert len(live) == 1
    live.discard(other)
    assert not live.of_topic(mine.ref.topic)
