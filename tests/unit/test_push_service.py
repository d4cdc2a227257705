"""Subscriptions of phones and the outbox of wake-ups, on a real database: what is taken, sealed and erased, and that a
phone is woken once for a cause and ten times in a minute at most."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from push_kit import Browser, is_subscribed
from rules_kit import TENANT, OpenSealer, Rules

from gateway.core.errors import Problem, ProblemCode
from gateway.core.subjects import BindingRef
from gateway.outbound import check_url
from gateway.protocol.errors import InvalidPoint
from gateway.push import store
from gateway.push.models import A_MINUTE, Wake, WakeState
from gateway.push.service import Opened, PushService

REF = BindingRef(TENANT, "bnd_AAAAAAAAAAAAAAAAAAAAAA", "user-1")
OTHER = BindingRef(TENANT, "bnd_BBBBBBBBBBBBBBBBBBBBBA", "user-1")
ELSEWHERE = "ten_BBBBBBBBBBBBBBBBBBBBBA"
SUBSCRIBED, ENDED, EXPIRED = "phone:push:subscribe", "phone:push:unsubscribe", "gateway:push:expire"
BROWSER = Browser("https://push.example/one")


@pytest.fixture
async def rules(tmp_path: Path) -> AsyncIterator[Rules]:
    async with Rules.on(tmp_path) as made:
        yield made


def service_on(rules: Rules, *, is_inside_allowed: bool = False) -> PushService:
    return PushService(
        storage=rules.storage,
        journal=rules.journal,
        sealer=OpenSealer(),
        clock=rules.clock,
        check_url=partial(check_url, is_inside_allowed=is_inside_allowed),
    )


async def subscribe(service: PushService, ref: BindingRef = REF, browser: Browser = BROWSER) -> None:
    await service.subscribe(
        ref, endpoint=browser.endpoint, p256dh=browser.p256dh, auth=browser.auth, key_label="tessera-push-1"
    )


async def wake(
    rules: Rules, service: PushService, cause: str, *refs: BindingRef, tenant_id: str = TENANT
) -> None:
    ids = [ref.binding_id for ref in refs or (REF,)]
    expires_at = int(rules.clock.now() * 1000) + 60_000
    await rules.storage.write(
        lambda tx: service.wake(tx, tenant_id=tenant_id, binding_ids=ids, cause=cause, expires_at=expires_at)
    )


async def claim(rules: Rules) -> list[Wake]:
    now_ms = int(rules.clock.now() * 1000)
    return await rules.storage.write(lambda tx: store.claim_due(tx, now_ms=now_ms, most=1_000))


async def test_a_phone_has_one_subscription_and_ends_it(rules: Rules) -> None:
    service = service_on(rules)
    assert not await is_subscribed(service, REF)
    await subscribe(service)
    newer = Browser("https://push.example/two")
    await subscribe(service, browser=newer)
    assert await is_subscribed(service, REF)
    assert not await is_subscribed(service, OTHER)
    assert not await is_subscribed(service, BindingRef(ELSEWHERE, REF.binding_id, REF.user))
    await wake(rules, service, "apr_1")
    [claimed] = await claim(rules)
    assert await service.open_subscription(claimed) == Opened(
        newer.endpoint, newer.p256dh, newer.auth, "tessera-push-1"
    )
    await service.unsubscribe(REF)
    await service.unsubscribe(REF)
    assert not await is_subscribed(service, REF)
    assert await service.open_subscription(claimed) is None
    assert rules.journal.words == [SUBSCRIBED, SUBSCRIBED, ENDED]
    assert {fact.subject for fact in rules.journal.facts} == {REF.binding_id}
    assert "push.example" not in repr(rules.journal.facts)


async def test_where_it_leads_and_its_secret_are_sealed_for_their_row(rules: Rules) -> None:
    service = service_on(rules)
    await subscribe(service)
    found = await rules.storage.read(lambda tx: store.find(tx, tenant_id=TENANT, binding_id=REF.binding_id))
    assert found is not None
    assert found.endpoint.startswith(f"push_subscriptions.endpoint.{REF.binding_id}|".encode())
    assert found.auth.startswith(f"push_subscriptions.auth.{REF.binding_id}|".encode())


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example/1",
        "https://127.0.0.1/1",
        "https://[::1]/1",
        "https://10.0.0.1/1",
        "https://169.254.169.254/latest/meta-data",
        "https://[64:ff9b::7f00:1]/1",
        "https://localhost/1",
        "https://me:word@push.example/1",
        "https://push.example/1#x",
        "ftp://push.example/1",
        "push.example",
        "",
        "https://",
        "https://push.example/" + "a" * 2_100,
    ],
)
async def test_endpoints_inside_are_refused(rules: Rules, endpoint: str) -> None:
    service = service_on(rules)
    with pytest.raises(Problem) as refused:
        await subscribe(service, browser=Browser(endpoint))
    assert refused.value.kind is ProblemCode.INVALID_REQUEST
    assert not await is_subscribed(service, REF)
    assert rules.journal.words == []


@given(st.text(max_size=60))
def test_any_endpoint_is_taken_or_refused_by_name(text: str) -> None:
    for endpoint in (text, f"https://{text}", f"https://push.example/{text}"):
        try:
            check_url(endpoint, is_inside_allowed=False)
        except Problem as problem:
            assert problem.kind is ProblemCode.INVALID_REQUEST


async def test_development_takes_endpoints_inside(rules: Rules) -> None:
    service = service_on(rules, is_inside_allowed=True)
    await subscribe(service, browser=Browser("http://127.0.0.1:9/1"))
    assert await is_subscribed(service, REF)


@pytest.mark.parametrize("key", [b"\x04" + bytes(64), b"\x04" + b"\xff" * 64, b"\x02" + bytes(64), bytes(65)])
async def test_keys_that_are_no_points_are_refused(rules: Rules, key: bytes) -> None:
    service = service_on(rules)
    with pytest.raises(InvalidPoint):
        await service.subscribe(
            REF, endpoint=BROWSER.endpoint, p256dh=key, auth=BROWSER.auth, key_label="tessera-push-1"
        )
    assert not await is_subscribed(service, REF)


async def test_one_wake_up_for_one_cause_on_one_phone(rules: Rules) -> None:
    service = service_on(rules)
    for ref in (REF, OTHER):
        await subscribe(service, ref)
    for cause in ("apr_1", "apr_2", "apr_1"):
        await wake(rules, service, cause, REF, OTHER, BindingRef(TENANT, "bnd_none", "user-1"))
    claimed = await claim(rules)
    assert sorted((each.cause, each.binding_id) for each in claimed) == [
        (cause, ref.binding_id) for cause in ("apr_1", "apr_2") for ref in (REF, OTHER)
    ]
    assert await claim(rules) == []
    await wake(rules, service, "apr_1", REF)
    assert await claim(rules) == []


async def test_who_has_no_subscription_of_this_bank_is_not_woken(rules: Rules) -> None:
    service = service_on(rules)
    await wake(rules, service, "apr_1")
    await subscribe(service)
    await wake(rules, service, "apr_2", tenant_id=ELSEWHERE)
    assert await claim(rules) == []
    assert not service.due.is_set()
    await wake(rules, service, "apr_3")
    assert service.due.is_set()


async def test_nothing_is_sent_of_a_change_that_does_not_stand(rules: Rules) -> None:
    service = service_on(rules)
    await subscribe(service)

    def unit(tx: object) -> None:
        service.wake(
            tx,
            tenant_id=TENANT,
            binding_ids=[REF.binding_id],
            cause="apr_1",
            expires_at=2**52,  # type: ignore[arg-type]
        )
        raise Problem(ProblemCode.CONFLICT)

    with pytest.raises(Problem):
        await rules.storage.write(unit)
    assert await claim(rules) == []
    assert not service.due.is_set()


async def test_a_phone_is_woken_ten_times_in_a_minute(rules: Rules) -> None:
    service = service_on(rules)
    for ref in (REF, OTHER):
        await subscribe(service, ref)
    for number in range(A_MINUTE + 5):
        await wake(rules, service, f"apr_{number}")
        rules.clock.advance(1)
    await wake(rules, service, "apr_other", OTHER)
    woken = {each.binding_id: 0 for each in await claim(rules)}
    assert set(woken) == {REF.binding_id, OTHER.binding_id}
    count = await rules.storage.read(
        lambda tx: sum(row.binding_id == REF.binding_id for row in tx.execute(store.wakes.select()))
    )
    assert count == A_MINUTE
    rules.clock.advance(60)
    await wake(rules, service, "apr_later")
    assert [each.cause for each in await claim(rules)] == ["apr_later"]


async def test_what_is_past_its_end_is_dropped(rules: Rules) -> None:
    service = service_on(rules)
    await subscribe(service)
    await wake(rules, service, "apr_1")
    rules.clock.advance(60)
    assert await claim(rules) == []
    states = await rules.storage.read(lambda tx: [row.state for row in tx.execute(store.wakes.select())])
    assert states == [WakeState.DROPPED]


async def test_a_subscription_that_came_later_outlives_the_end_of_the_older_one(rules: Rules) -> None:
    service = service_on(rules)
    await subscribe(service)
    await wake(rules, service, "apr_1")
    [claimed] = await claim(rules)
    rules.clock.advance(1)
    await subscribe(service, browser=Browser("https://push.example/two"))
    await service.expire(claimed)
    assert await is_subscribed(service, REF)
    await wake(rules, service, "apr_2")
    [claimed] = await claim(rules)
    await service.expire(claimed)
    await service.expire(claimed)
    assert not await is_subscribed(service, REF)
    assert rules.journal.words == [SUBSCRIBED, SUBSCRIBED, EXPIRED]


async def test_subscription_goes_with_its_binding(rules: Rules) -> None:
    service = service_on(rules)
    for ref in (REF, OTHER):
        await subscribe(service, ref)
    await rules.storage.write(lambda tx: service.erase(tx, tenant_id=ELSEWHERE, binding_id=REF.binding_id))
    assert await is_subscribed(service, REF)
    await rules.storage.write(lambda tx: service.erase(tx, tenant_id=TENANT, binding_id=REF.binding_id))
    assert not await is_subscribed(service, REF)
    assert await is_subscribed(service, OTHER)
