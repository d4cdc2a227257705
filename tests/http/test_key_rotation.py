"""Keys are rotated, re-wrapped and retired under a gateway that serves: nobody is locked out, nothing is lost, and what
is still needed is not destroyed."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from approval_kit import (
    approve,
    ask,
    asked,
    digits_by,
    keys_of,
    other_digits,
    payload_of,
    show_code,
    state,
    type_digits,
)
from attack_kit import ENGINES, audit_words, begin, bind_phone
from gateway_kit import PIN, GatewayKit
from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures
from sealed_kit import bind_two, catch_up, cells, fill, life_of, opens, rewrapper_of

from gateway.audit.service import AuditService, verify_log
from gateway.audit.vouchers import audit_public_keys
from gateway.core.encoding import b64url_encode
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import INSTALLATION, AuditWord
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef
from gateway.evidence.verify import verify_evidence
from gateway.keys import rewrap, store
from gateway.keys.labels import KeyPurpose, agree_label, audit_label, parse_label, wrap_label
from gateway.phone.client import PhoneClient
from gateway.protocol import oprf
from gateway.protocol.offline import open_offline, parse_offline
from gateway.storage.migrate import migrate
from hsm_adapters.errors import HsmUnavailable, KeyNotFound, UnwrapFailed


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is under way when a key is retired."""
    monkeypatch.setattr("gateway.keys.life.UNDER_WAY_S", 0.0)


@pytest.fixture
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayKit]:
    settings = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
        await asyncio.to_thread(migrate, settings["database_url"])
    async with GatewayKit.running(tmp_path, **settings) as running:
        yield running


def named(label: str) -> Any:
    name = parse_label(label)
    assert name is not None
    return name


async def use(kit: GatewayKit, phone: PhoneClient, user: str) -> None:
    """Log in with a PIN on the channel, and pay without a network."""
    [binding] = phone.store.bindings()
    channel = await phone.open(binding.binding_id)
    request = await ask(kit, "login", user=user)
    found = await asked(channel, request)
    await approve(channel, found)
    await channel.prove_pin(PIN)
    await channel.close()
    await pay_offline(kit, phone, user)


async def pay_offline(kit: GatewayKit, phone: PhoneClient, user: str) -> None:
    request, right = await code_for(kit, phone, user)
    await type_digits(kit, request, right)
    assert await state(kit, request) == "approved"


async def code_for(kit: GatewayKit, phone: PhoneClient, user: str) -> tuple[dict[str, Any], str]:
    request = await ask(kit, user=user)
    code = parse_offline(payload_of(await show_code(kit, request)))
    [binding] = phone.store.bindings()
    raw, keys = open_offline(code, binding_id=binding.binding_id, keys=keys_of(phone))
    counter = COUNTERS.setdefault(id(phone), 0)
    COUNTERS[id(phone)] += 1
    return request, digits_by(phone, raw, keys=keys, counter=counter)


COUNTERS: dict[int, int] = {}


async def verified(kit: GatewayKit) -> None:
    """The log verifies by the key store and the vouchers."""
    installation = kit.now.installation
    keys = await audit_public_keys(installation.adapter, installation.storage)
    await verify_log(installation.storage, keys)


async def retire(kit: GatewayKit, label: str) -> None:
    await life_of(kit).retire(named(label))
    with pytest.raises(KeyNotFound):
        await kit.now.installation.adapter.find(label)


@ENGINES
async def test_nobody_is_locked_out_while_all_keys_are_rotated_and_retired(kit: GatewayKit) -> None:
    """Two phones with approvals on the channel and without a network at every stage; one channel is open all the
    while."""
    first, second = await bind_two(kit)
    _, watching = await bind_phone(kit, user="user-3")
    life = life_of(kit)
    evidence = await ask(kit, user="user-3")
    await approve(watching, await asked(watching, evidence))
    before = await kit.now.capabilities.approving.approvals.read(
        tenant_id=kit.tenant_id, approval_id=evidence["id"]
    )
    assert before.proof is not None

    await use(kit, first, "user-1")
    made = [
        await life.rotate(KeyPurpose.WRAP),
        await life.rotate(KeyPurpose.AUDIT),
        await life.rotate(KeyPurpose.AGREE, kit.tenant_id),
    ]
    assert [info.label for info in made] == [wrap_label(2), audit_label(2), agree_label(kit.tenant_id, 2)]
    for phone, user in ((first, "user-1"), (second, "user-2")):
        await use(kit, phone, user)
    result = await rewrapper_of(kit).run()
    assert (result.done > 5, result.unopened) == (True, ())
    assert {cell.generation for cell in await cells(kit)} == {2}
    await use(kit, second, "user-2")
    catch_up(kit)
    await retire(kit, wrap_label(1))
    await retire(kit, audit_label(1))
    for phone, user in ((first, "user-1"), (second, "user-2")):
        await use(kit, phone, user)
    later = await ask(kit, user="user-3")
    await approve(watching, await asked(watching, later))
    assert await state(kit, later) == "approved"
    await watching.change_pin(PIN, "830564")
    await watching.close()
    await kit.restart()
    for phone, user in ((first, "user-1"), (second, "user-2")):
        await use(kit, phone, user)
    await verified(kit)
    async with kit.session.get(
        f"{kit.now.url}/api/v1/approvals/{evidence['id']}/evidence",
        headers={"Authorization": f"Bearer {kit.api_key}"},
    ) as answer:
        assert answer.status == 200
        verify_evidence(await answer.read())
    newest = await kit.now.installation.ring.current(KeyPurpose.AGREE, kit.tenant_id)
    assert newest.label == agree_label(kit.tenant_id, 2)
    assert "phone:binding:clone" not in await audit_words(kit)


async def test_a_running_gateway_takes_up_a_key_of_another_process_within_a_minute(kit: GatewayKit) -> None:
    [phone, _] = await bind_two(kit)
    adapter = kit.now.installation.adapter
    await adapter.generate(wrap_label(2), KeyPurpose.WRAP.kind)
    await adapter.generate(audit_label(2), KeyPurpose.AUDIT.kind)
    await adapter.generate(agree_label(kit.tenant_id, 2), KeyPurpose.AGREE.kind)
    kit.clock.advance(61)
    await use(kit, phone, "user-1")
    assert 2 in {cell.generation for cell in await cells(kit)}
    activation, _ = await begin(kit)
    found = await kit.now.capabilities.activations.read(tenant_id=kit.tenant_id, activation_id=activation)
    assert found.gateway_label == agree_label(kit.tenant_id, 2)


async def test_the_gateway_itself_rewraps_in_the_background(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrap, "LOOK_S", 0.02)
    await kit.restart()
    await fill(kit, await bind_two(kit))
    await life_of(kit).rotate(KeyPurpose.WRAP)
    async with asyncio.timeout(10):
        while {cell.generation for cell in await cells(kit)} != {2}:
            await asyncio.sleep(0.05)


async def test_what_was_remembered_opens_after_its_key_is_gone(kit: GatewayKit) -> None:
    """Activations are remembered with their sealed seeds, and written back by version."""
    activation, link = await begin(kit)
    contact = await kit.phone().begin_link(link)
    waiting, _ = await begin(kit, user="user-2")
    await kit.code(waiting)
    await life_of(kit).rotate(KeyPurpose.WRAP)
    await rewrapper_of(kit).run()
    ahead = max(0.0, time.time() - kit.clock.now()) + 200  # key stores keep their own time
    kit.clock.step(ahead)
    await retire(kit, wrap_label(1))
    kit.clock.step(-ahead)
    await kit.code(waiting)
    await kit.code(activation)
    assert (await kit.confirm(activation, contact.device_code))["state"] == "confirmed"
    await contact.wait_confirmed()
    await (await contact.enrol(PIN)).close()
    assert {cell.generation for cell in await cells(kit)} == {2}


def rewrap_before(kit: GatewayKit, monkeypatch: pytest.MonkeyPatch, step: str) -> list[str]:
    """Re-wrap everything just before the transaction that calls `step`, once; return what then tells that it came."""
    storage, rewrapper, done = kit.now.installation.storage, rewrapper_of(kit), list[str]()
    write = storage.write

    async def late(unit: Any) -> Any:
        if not done and step in getattr(unit, "__code__", late.__code__).co_names:
            done.append(step)
            assert (await rewrapper.run()).done > 0
        return await write(unit)

    monkeypatch.setattr(storage, "write", late)
    return done


async def test_rewrapping_between_ready_and_the_turn_of_the_ratchet_costs_nothing(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    await life_of(kit).rotate(KeyPurpose.WRAP)
    done = rewrap_before(kit, monkeypatch, "turn_ratchet")
    [binding] = phone.store.bindings()
    channel = await phone.open(binding.binding_id)
    assert done
    await channel.prove_pin(PIN)
    await channel.close()
    assert (await audit_words(kit)).count("phone:binding:resume") == 1


async def test_rewrapping_in_the_middle_of_an_evaluation_is_no_change_of_the_pin(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, channel = await bind_phone(kit)
    await life_of(kit).rotate(KeyPurpose.WRAP)
    done = rewrap_before(kit, monkeypatch, "PinBlocked")
    await channel.prove_pin(PIN)
    assert done
    await channel.close()
    assert "phone:pin:wrong" not in await audit_words(kit)


async def test_rewrapping_between_welcome_and_the_first_act_costs_nothing(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    [binding] = phone.store.bindings()
    await life_of(kit).rotate(KeyPurpose.WRAP)
    channel = await phone.open(binding.binding_id)
    before = await cells(kit)
    assert {cell.generation for cell in before if cell.sealed.column.name == "psk_next"} == {2}
    await life_of(kit).rotate(KeyPurpose.WRAP)
    assert (await rewrapper_of(kit).run()).done == len(before)
    request = await ask(kit)
    await approve(channel, await asked(channel, request))
    assert await state(kit, request) == "approved"
    await channel.close()
    channel = await phone.open(binding.binding_id)
    await channel.prove_pin(PIN)
    await channel.close()
    assert (await kit.bindings())[0]["state"] == "active"


async def test_rewrapping_while_a_code_waits_makes_no_right_digits_wrong(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    request, right = await code_for(kit, phone, "user-1")
    await life_of(kit).rotate(KeyPurpose.WRAP)
    await rewrapper_of(kit).run()
    wrong = await type_digits(kit, request, other_digits(right), status=422)
    assert wrong["left"] == 4
    await life_of(kit).rotate(KeyPurpose.WRAP)
    await rewrapper_of(kit).run()
    await type_digits(kit, request, right)
    assert await state(kit, request) == "approved"


async def test_rewrapping_in_the_middle_of_right_digits_is_tried_again(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The re-wrap comes after the digits were checked, and before they are settled."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    request, right = await code_for(kit, phone, "user-1")
    await life_of(kit).rotate(KeyPurpose.WRAP)
    done = rewrap_before(kit, monkeypatch, "_settle")
    await type_digits(kit, request, right)
    assert done
    assert await state(kit, request) == "approved"
    assert "customer:approval:wrong" not in await audit_words(kit)


class Killed(BaseException):
    """The process ends here."""


async def test_a_pin_that_was_begun_under_an_older_key_is_stored_under_the_one_in_force(
    kit: GatewayKit,
) -> None:
    """The phone takes its time between its evaluation and the end; meanwhile keys are rotated, or even retired."""
    phone, channel = await bind_phone(kit)
    pins, [binding] = kit.now.capabilities.pins, phone.store.bindings()
    owner = BindingRef(kit.tenant_id, f"bnd_{b64url_encode(binding.binding_id)}", "user-1")
    blinded = oprf.blind(b"749205", system_random).element
    begun = await pins.begin_enrolment(binding_id=owner.binding_id, blinded=blinded)
    await life_of(kit).rotate(KeyPurpose.WRAP)
    renewed = await pins.renew(owner, begun)
    assert (renewed.wrapped_by, renewed.key.blob[1:3]) == (wrap_label(2), b"\x00\x02")
    assert renewed.key.public_key == begun.key.public_key
    assert await pins.renew(owner, renewed) is renewed
    await rewrapper_of(kit).run()
    catch_up(kit)
    await retire(kit, wrap_label(1))
    with pytest.raises(UnwrapFailed):
        await pins.renew(owner, begun)
    await channel.close()


@ENGINES
async def test_a_killed_rewrap_goes_on_where_it_was(kit: GatewayKit, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(kit, await bind_two(kit))
    monkeypatch.setattr(rewrap, "BATCH", 1)
    await life_of(kit).rotate(KeyPurpose.WRAP)
    total = len(await cells(kit))
    replace, writes = store.replace_values, 0

    def dying(*arguments: Any) -> int:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise Killed
        return replace(*arguments)

    for done in range(1, total):
        writes = 0
        monkeypatch.setattr(store, "replace_values", dying)
        with pytest.raises(Killed):
            await rewrapper_of(kit).run()
        assert await rewrapper_of(kit).count_left() == total - done
    monkeypatch.setattr(store, "replace_values", replace)
    seen: list[tuple[int, int]] = []
    result = await rewrapper_of(kit).run(lambda *progress: seen.append(progress))
    assert (result.done, seen[-1]) == (1, (1, 1))
    assert all([await opens(kit, cell) for cell in await cells(kit)])


@ENGINES
async def test_several_rewraps_at_once_change_each_value_once(kit: GatewayKit) -> None:
    await fill(kit, await bind_two(kit))
    await life_of(kit).rotate(KeyPurpose.WRAP)
    total = len(await cells(kit))
    results = await asyncio.gather(*(rewrapper_of(kit).run() for _ in range(4)))
    assert sum(result.done for result in results) == total
    assert all([await opens(kit, cell) for cell in await cells(kit)])


async def test_a_value_that_somebody_edited_stays_and_is_named(kit: GatewayKit) -> None:
    await fill(kit, await bind_two(kit))
    life = life_of(kit)
    await life.rotate(KeyPurpose.WRAP)
    [edited, *_] = [cell for cell in await cells(kit) if cell.sealed.name == "webhook_endpoints.secret"]
    broken = edited.blob[:-1] + bytes([edited.blob[-1] ^ 1])
    changes = [(edited.key, edited.blob, broken)]
    await kit.now.installation.storage.write(lambda tx: store.replace_values(tx, edited.sealed, changes))
    result = await rewrapper_of(kit).run()
    assert result.unopened == (f"webhook_endpoints.secret {edited.key}",)
    catch_up(kit)
    with pytest.raises(Problem, match="1 values"):
        await life.retire(named(wrap_label(1)))
    await kit.now.installation.webhooks.delete(tenant_id=kit.tenant_id, endpoint_id=edited.key)
    await retire(kit, wrap_label(1))


async def test_keys_that_are_needed_are_not_retired(kit: GatewayKit) -> None:
    await bind_two(kit)
    activation, _ = await begin(kit)
    life = life_of(kit)
    s = agree_label(kit.tenant_id)
    for label in (wrap_label(), audit_label(), s):
        with pytest.raises(Problem, match="in force"):
            await life.retire(named(label))
    for purpose, owner in (
        (KeyPurpose.WRAP, None),
        (KeyPurpose.AUDIT, None),
        (KeyPurpose.AGREE, kit.tenant_id),
    ):
        await life.rotate(purpose, owner)
    kit.clock.step(time.time() + 1 - kit.clock.now())  # the successors have just been made
    for label in (wrap_label(), audit_label(), s):
        with pytest.raises(Problem, match="seconds old") as early:
            await life.retire(named(label), is_forced=True)
        assert early.value.kind is ProblemCode.CONFLICT
    catch_up(kit)
    with pytest.raises(Problem, match="sealed under"):
        await life.retire(named(wrap_label()), is_forced=True)
    with pytest.raises(Problem, match="2 bound phones, 1 open activations"):
        await life.retire(named(s))
    await kit.call("POST", f"/api/v1/activations/{activation}/cancel", {}, status=None)
    before = {info.label for info in await kit.now.installation.adapter.list()}
    assert {wrap_label(), audit_label(), s} <= before
    given_up = await life.check_unused(named(s), is_forced=True)
    assert given_up["bound phones"] == 2
    await life.retire(named(s), is_forced=True)
    after = {info.label for info in await kit.now.installation.adapter.list()}
    assert before - after == {s}
    entries = await kit.call("GET", "/api/v1/audit?word=operator:key:retire")
    assert [entry["subject"] for entry in entries["items"]] == [s]


async def test_the_installations_own_entries_are_no_banks(kit: GatewayKit) -> None:
    await life_of(kit).rotate(KeyPurpose.AUDIT)
    listed = await kit.call("GET", "/api/v1/audit?word=operator:key:rotate")
    assert listed["items"] == []
    found = await AuditService(kit.now.installation.storage).list(INSTALLATION, before=None, limit=9)
    assert [(each.word, each.subject) for each in found] == [(AuditWord.OPERATOR_KEY_ROTATE, audit_label(2))]


async def test_a_key_store_that_falls_silent_is_believed_for_two_minutes(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = kit.now.installation
    await installation.ring.refresh()

    async def silent() -> Any:
        raise HsmUnavailable("gone")

    monkeypatch.setattr(installation.adapter, "list", silent)
    cell = {"table": "t", "column": "c", "row": "r"}
    kit.clock.advance(119)
    await installation.sealer.seal(b"x", **cell)
    kit.clock.advance(2)
    with pytest.raises(HsmUnavailable):
        await installation.sealer.seal(b"x", **cell)
    monkeypatch.undo()
    await installation.sealer.seal(b"x", **cell)
