"""The rules of an activation as bank and page meet them, on a real database; races among them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from rules_kit import TENANT, FixedKeys, NoFurtherPhones, OpenSealer, Rules

from gateway.activation import store
from gateway.activation.models import (
    TRANSITIONS,
    Activation,
    ActivationEvent,
    ActivationPolicy,
    ActivationState,
    StepRefused,
    move,
)
from gateway.activation.page_tokens import PageTokens
from gateway.activation.secrets import device_code_cell
from gateway.activation.service import ActivationService, StartOrder
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.principals import digest_token
from gateway.core.secrets import system_random
from gateway.core.transaction import Transaction
from gateway.protocol.keys import device_code

CODE_KEY = bytes(range(32))
RIGHT = device_code(CODE_KEY)
WRONG = "00000000"


@pytest.fixture
async def rules(tmp_path: Path) -> AsyncIterator[Rules]:
    async with Rules.on(tmp_path) as ground:
        yield ground


@pytest.fixture
def policy() -> ActivationPolicy:
    return ActivationPolicy()


@pytest.fixture
def tokens(rules: Rules, policy: ActivationPolicy) -> PageTokens:
    return PageTokens(
        storage=rules.storage,
        journal=rules.journal,
        clock=rules.clock,
        random=system_random,
        policy=policy,
    )


@pytest.fixture
def service(rules: Rules, policy: ActivationPolicy, tokens: PageTokens) -> ActivationService:
    return ActivationService(
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


async def start(service: ActivationService, **order: object) -> Activation:
    wish = StartOrder(tenant_id=TENANT, user="user-1", label="Compte", **order)  # type: ignore[arg-type]
    return (await service.start(wish))[0]


async def present(rules: Rules, activation: Activation) -> Activation:
    """Make a phone present, by the store alone."""
    sealed = await OpenSealer().seal(CODE_KEY, **device_code_cell(activation.id))
    there = move(
        replace(activation, phone_static=b"\4" * 65, device_code=sealed, code2=b"2"), ActivationEvent.PRESENT
    )
    assert await rules.storage.write(lambda tx: store.save(tx, activation, there))
    return replace(there, version=activation.version + 1)


async def confirm(service: ActivationService, activation: Activation, code: str) -> Activation:
    return await service.confirm(tenant_id=TENANT, activation_id=activation.id, code=code)


async def problem_of(work: object) -> Problem:
    with pytest.raises(Problem) as caught:
        await work  # type: ignore[misc]
    return caught.value


@pytest.mark.parametrize("state", ActivationState)
@pytest.mark.parametrize("event", ActivationEvent)
async def test_only_the_tables_steps_are_possible(
    service: ActivationService, state: ActivationState, event: ActivationEvent
) -> None:
    activation = replace(await start(service), state=state)
    if (state, event) in TRANSITIONS:
        moved = move(activation, event)
        assert moved.state is TRANSITIONS[state, event]
        assert (moved.seed is None) is moved.is_over
    else:
        with pytest.raises(StepRefused):
            move(activation, event)


async def test_start(rules: Rules, service: ActivationService) -> None:
    rules.clock.advance(0.789)
    activation, token = await service.start(StartOrder(tenant_id=TENANT, user="u", label="l"))
    assert activation.expires_at % 1000 == 0
    assert activation.expires_at == int(rules.clock.now()) * 1000 + 300_000
    assert await service.read(tenant_id=TENANT, activation_id=activation.id) == activation
    assert rules.journal.events == ["activation.waiting"]
    assert token.principal.activation_id == activation.id
    assert "Secret" not in repr(token)
    assert token.text not in repr(token)


async def test_static_code_takes_two_steps(service: ActivationService) -> None:
    assert (await start(service, is_rotating=False)).is_two_step
    assert not (await start(service)).is_two_step


class OneFurtherPhone:
    """One approved request, which serves once and replaces a binding."""

    def __init__(self) -> None:
        self.is_used = False

    def consume_device(self, tx: Transaction, *, tenant_id: str, user: str, approval_id: str) -> str | None:
        if self.is_used or (tenant_id, user, approval_id) != (TENANT, "user-1", "apr_1"):
            raise Problem(ProblemCode.CONFLICT, "this request has served")
        tx.on_commit(lambda: setattr(self, "is_used", True))
        return "bnd_old"


async def test_a_further_phone_by_a_request_that_serves_once(rules: Rules, tokens: PageTokens) -> None:
    service = ActivationService(
        storage=rules.storage,
        journal=rules.journal,
        clock=rules.clock,
        random=system_random,
        sealer=OpenSealer(),
        keys=FixedKeys(),
        further=OneFurtherPhone(),
        tokens=tokens,
        policy=ActivationPolicy(),
    )
    activation = await start(service, approval_id="apr_1")
    assert (activation.approval_id, activation.replaces) == ("apr_1", "bnd_old")
    stored = await rules.storage.read(lambda tx: store.find(tx, activation.id))
    assert stored is not None
    assert (stored.approval_id, stored.replaces) == ("apr_1", "bnd_old")
    assert rules.journal.facts[-1].data["approval"] == "apr_1"
    for other in ("apr_1", "apr_2"):
        with pytest.raises(Problem) as problem:
            await start(service, approval_id=other)
        assert problem.value.kind is ProblemCode.CONFLICT
    assert len(rules.journal.facts) == 1


async def test_suite_that_policy_forbids(rules: Rules, tokens: PageTokens) -> None:
    service = ActivationService(
        storage=rules.storage,
        journal=rules.journal,
        clock=rules.clock,
        random=system_random,
        sealer=OpenSealer(),
        keys=FixedKeys(),
        further=NoFurtherPhones(),
        tokens=tokens,
        policy=ActivationPolicy(suites=("hybrid",)),
    )
    problem = await problem_of(start(service, suite="classical"))
    assert problem.kind is ProblemCode.INVALID_REQUEST


async def test_right_code_confirms_once(rules: Rules, service: ActivationService) -> None:
    activation = await present(rules, await start(service))
    assert (await confirm(service, activation, RIGHT)).state is ActivationState.CONFIRMED
    assert (await problem_of(confirm(service, activation, RIGHT))).kind is ProblemCode.CONFLICT
    assert rules.journal.events == ["activation.waiting", "activation.confirmed"]


async def test_code_before_any_phone(service: ActivationService) -> None:
    assert (await problem_of(confirm(service, await start(service), RIGHT))).kind is ProblemCode.CONFLICT


async def test_third_wrong_code_ends_it_and_erases_secrets(rules: Rules, service: ActivationService) -> None:
    activation = await present(rules, await start(service))
    for left in (2, 1):
        problem = await problem_of(confirm(service, activation, WRONG))
        assert (problem.kind, problem.fields) == (ProblemCode.DEVICE_CODE_WRONG, {"left": left})
    problem = await problem_of(confirm(service, activation, WRONG))
    assert (problem.kind, problem.fields) == (ProblemCode.ACTIVATION_ENDED, {"reason": "device-code"})
    assert (await problem_of(confirm(service, activation, RIGHT))).kind is ProblemCode.ACTIVATION_ENDED
    ended = await service.read(tenant_id=TENANT, activation_id=activation.id)
    assert ended.state is ActivationState.REFUSED
    assert (ended.seed, ended.locator, ended.device_code, ended.code2) == (None, None, None, None)
    assert rules.journal.facts[-1].data["reason"] == "device-code"


async def test_two_confirms_at_once_are_one(rules: Rules, service: ActivationService) -> None:
    activation = await present(rules, await start(service))
    answers = await asyncio.gather(
        *(confirm(service, activation, RIGHT) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(answer, Activation) for answer in answers) == 1
    [refused] = [answer for answer in answers if isinstance(answer, Problem)]
    assert refused.kind is ProblemCode.CONFLICT
    assert rules.journal.events.count("activation.confirmed") == 1


async def test_fifty_guesses_at_once_have_three_tries(rules: Rules, service: ActivationService) -> None:
    activation = await present(rules, await start(service))
    answers = await asyncio.gather(
        *(confirm(service, activation, f"{guess:08d}") for guess in range(50)), return_exceptions=True
    )
    kinds = [answer.kind for answer in answers if isinstance(answer, Problem)]
    assert len(kinds) == 50
    assert kinds.count(ProblemCode.DEVICE_CODE_WRONG) == 2
    assert rules.journal.events.count("activation.code-wrong") == 2
    assert rules.journal.events.count("activation.ended") == 1
    ended = await service.read(tenant_id=TENANT, activation_id=activation.id)
    assert (ended.state, ended.tries_left) == (ActivationState.REFUSED, 0)


async def test_confirm_and_cancel_at_once_end_in_one_state(rules: Rules, service: ActivationService) -> None:
    for _ in range(10):
        activation = await present(rules, await start(service))
        await asyncio.gather(
            confirm(service, activation, RIGHT),
            service.cancel(tenant_id=TENANT, activation_id=activation.id),
            return_exceptions=True,
        )
        after = await service.read(tenant_id=TENANT, activation_id=activation.id)
        assert after.state is ActivationState.CANCELLED


async def test_past_its_end_it_is_expired_for_everyone(rules: Rules, service: ActivationService) -> None:
    activation = await present(rules, await start(service))
    rules.clock.advance(299.9)
    assert (await service.expire(activation.id)).state is ActivationState.PRESENT
    rules.clock.advance(0.2)
    problem = await problem_of(confirm(service, activation, RIGHT))
    assert (problem.kind, problem.fields["reason"]) == (ProblemCode.ACTIVATION_ENDED, "expired")
    assert rules.journal.facts[-1].data["reason"] == "expired"
    problem = await problem_of(service.cancel(tenant_id=TENANT, activation_id=activation.id))
    assert problem.kind is ProblemCode.ACTIVATION_ENDED


async def test_sweep_expires_what_is_due_alone(rules: Rules, service: ActivationService) -> None:
    short = [await start(service, life_s=60) for _ in range(3)]
    long = await start(service, life_s=120)
    assert await service.sweep() == 0
    rules.clock.advance(61)
    assert await service.sweep() == 3
    assert await service.sweep() == 0
    for activation in short:
        found = await service.read(tenant_id=TENANT, activation_id=activation.id)
        assert found.state is ActivationState.EXPIRED
    found = await service.read(tenant_id=TENANT, activation_id=long.id)
    assert found.state is ActivationState.WAITING


async def test_other_tenants_see_nothing(service: ActivationService) -> None:
    activation = await start(service)
    other = "ten_BBBBBBBBBBBBBBBBBBBBBB"
    for work in (
        service.read(tenant_id=other, activation_id=activation.id),
        service.cancel(tenant_id=other, activation_id=activation.id),
        service.confirm(tenant_id=other, activation_id=activation.id, code=RIGHT),
    ):
        assert (await problem_of(work)).kind is ProblemCode.NOT_FOUND


async def test_locator_finds_live_activations_alone(rules: Rules, service: ActivationService) -> None:
    activation = await start(service)
    locator = activation.locator
    assert locator is not None
    assert (await service.find_typed(locator)).id == activation.id
    await service.cancel(tenant_id=TENANT, activation_id=activation.id)
    assert (await problem_of(service.find_typed(locator))).kind is ProblemCode.NOT_FOUND


async def test_locators_that_meet_are_drawn_anew(rules: Rules, tokens: PageTokens) -> None:
    drawn: list[int] = []

    def unlucky(size: int) -> bytes:
        """Give the same id and seed twice, then fresh ones."""
        drawn.append(size)
        return bytes(size) if len(drawn) <= 6 else system_random(size)

    service = ActivationService(
        storage=rules.storage,
        journal=rules.journal,
        clock=rules.clock,
        random=unlucky,
        sealer=OpenSealer(),
        keys=FixedKeys(),
        further=NoFurtherPhones(),
        tokens=tokens,
        policy=ActivationPolicy(),
    )
    first, second = await start(service), await start(service)
    assert first.locator != second.locator
    assert first.id != second.id


async def test_page_token_speaks_for_its_activation_until_its_end(
    rules: Rules, service: ActivationService, tokens: PageTokens
) -> None:
    activation, token = await service.start(StartOrder(tenant_id=TENANT, user="u", label="l"))
    digest = digest_token(token.text)
    found = await tokens.find_principal(digest)
    assert found == token.principal
    assert (found.activation_id, found.user) == (activation.id, None)
    assert await tokens.find_principal(bytes(32)) is None
    rules.clock.advance(900)
    assert await tokens.find_principal(digest) is None
    await service.sweep()
    rules.clock.advance(1)
    await service.sweep()
    assert await rules.storage.read(lambda tx: store.find_page_token(tx, digest)) is None


async def test_page_token_outlives_a_long_activation(
    rules: Rules, service: ActivationService, tokens: PageTokens
) -> None:
    order = StartOrder(tenant_id=TENANT, user="u", label="l", life_s=86_400)
    activation, token = await service.start(order)
    assert token.principal.expires_at == activation.expires_at + 60_000
    digest = digest_token(token.text)
    rules.clock.advance(86_400 + 59)
    await service.sweep()
    assert await tokens.find_principal(digest) == token.principal
    rules.clock.advance(1)
    assert await tokens.find_principal(digest) is None


async def test_what_has_been_over_for_thirty_days_is_erased(rules: Rules, service: ActivationService) -> None:
    ended, _ = await service.start(StartOrder(tenant_id=TENANT, user="u", label="l"))
    await service.cancel(tenant_id=TENANT, activation_id=ended.id, word=AuditWord.BANK_ACTIVATION_CANCEL)
    rules.clock.advance(3_600)
    later, _ = await service.start(StartOrder(tenant_id=TENANT, user="u", label="l"))
    facts_told = len(rules.journal.facts)

    async def kept() -> list[str]:
        found = [
            await rules.storage.read(lambda tx, known=known: store.find(tx, known.id))
            for known in (ended, later)
        ]
        return [activation.id for activation in found if activation is not None]

    rules.clock.advance(30 * 86_400 - 3_600 + 300 - 1)
    await service.sweep()
    assert await kept() == [ended.id, later.id]
    rules.clock.advance(2)
    await service.sweep()
    assert await kept() == [later.id]
    assert len(rules.journal.facts) == facts_told + 1, "the later one's expiry alone"


async def test_page_token_for_a_user(rules: Rules, tokens: PageTokens) -> None:
    token = await tokens.issue_for_user(tenant_id=TENANT, user="alice")
    found = await tokens.find_principal(digest_token(token.text))
    assert found is not None
    assert (found.user, found.activation_id) == ("alice", None)
    assert rules.journal.words == ["bank:page-token:issue"]
