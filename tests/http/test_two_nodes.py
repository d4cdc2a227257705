"""Two gateways on one PostgreSQL: the desktop talks to one, the phone to the other, and nobody notices."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from approval_kit import ask, asked, exchange, make, set_policy, state
from attack_kit import audit_words, bind_phone
from gateway_kit import PIN, GatewayKit, settings_in

sys.path.insert(0, str(Path(__file__).parents[1] / "contracts"))

from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures

from gateway.core.encoding import b64url_decode
from gateway.phone.errors import BindingGone, ContactEnded, GatewayRefused
from gateway.protocol.errors import ErrorCode
from gateway.storage.migrate import migrate

pytestmark = pytest.mark.postgresql


@pytest.fixture
async def nodes(
    tmp_path: Path,
    postgresql_url: str,  # noqa: F811 - the fixture
) -> AsyncIterator[tuple[GatewayKit, GatewayKit]]:
    await asyncio.to_thread(migrate, postgresql_url)
    async with aiohttp.ClientSession() as http:
        desktop = GatewayKit(settings_in(tmp_path, database_url=postgresql_url), http=http)
        await desktop.start()
        mobile = GatewayKit(
            desktop.settings,
            clock=desktop.clock,
            http=http,
            api_key=desktop.api_key,
            tenant_id=desktop.tenant_id,
        )
        await mobile.start()
        yield desktop, mobile
        await mobile.stop()
        await desktop.stop()


@pytest.mark.parametrize("two_step", [False, True])
async def test_phone_on_one_node_desktop_on_the_other(
    nodes: tuple[GatewayKit, GatewayKit], two_step: bool
) -> None:
    desktop, mobile = nodes
    activation = (await desktop.begin(two_step=two_step))["activation"]["id"]
    contact = await mobile.phone().begin_link((await desktop.code(activation))["link"])
    await desktop.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    if two_step:
        shown = await desktop.code(activation)
        contact.take_code2(b64url_decode(shown["link"].partition("#")[2]))
    channel = await contact.enrol(PIN)
    binding = (await desktop.activation(activation))["binding"]
    watching = asyncio.create_task(channel.watch(10))
    await desktop.call("POST", f"/api/v1/bindings/{binding}/suspend", {})
    with pytest.raises(BindingGone):
        await watching


async def test_wrong_codes_and_the_end_are_told_across(nodes: tuple[GatewayKit, GatewayKit]) -> None:
    desktop, mobile = nodes
    activation = (await desktop.begin())["activation"]["id"]
    contact = await mobile.phone().begin_link((await desktop.code(activation))["link"])
    waiting = asyncio.create_task(contact.wait_confirmed())
    wrong = f"{(int(contact.device_code) + 1) % 10**8:08d}"
    await desktop.confirm(activation, wrong, status=422)
    await mobile.confirm(activation, wrong, status=422)
    await desktop.confirm(activation, wrong, status=410)
    with pytest.raises(ContactEnded) as ended:
        await waiting
    assert ended.value.reason == "device-code"


async def test_both_nodes_erase_what_has_long_been_over(nodes: tuple[GatewayKit, GatewayKit]) -> None:
    desktop = nodes[0]
    ended = (await desktop.begin())["activation"]["id"]
    await desktop.call("POST", f"/api/v1/activations/{ended}/cancel", {})
    desktop.clock.advance(30 * 86_400 + 301)
    open_one = (await desktop.begin())["activation"]["id"]
    await asyncio.gather(*(node.now.capabilities.activations.sweep() for node in nodes))
    for node in nodes:
        await node.call("GET", f"/api/v1/activations/{ended}", status=404)
        assert (await node.activation(open_one))["state"] == "waiting"
    entries = (await desktop.call("GET", "/api/v1/audit?limit=50"))["items"]
    assert ended in {entry["subject"] for entry in entries}, "the audit log stays"


async def test_two_phones_on_two_nodes_end_it(nodes: tuple[GatewayKit, GatewayKit]) -> None:
    desktop, mobile = nodes
    activation = (await desktop.begin())["activation"]["id"]
    link = (await desktop.code(activation))["link"]
    first = await mobile.phone().begin_link(link)
    with pytest.raises(GatewayRefused) as refused:
        await desktop.phone("Fremdes Telefon").begin_link(link)
    assert refused.value.error is ErrorCode.ENDED
    with pytest.raises(ContactEnded) as ended:
        await first.wait_confirmed()
    assert ended.value.reason == "contested"


async def test_phone_comes_again_on_the_other_node(nodes: tuple[GatewayKit, GatewayKit]) -> None:
    desktop, mobile = nodes
    activation = (await desktop.begin())["activation"]["id"]
    link = (await desktop.code(activation))["link"]
    here = mobile.phone()
    there = desktop.phone(store=here.store)  # type: ignore[arg-type]
    await here.begin_link(link)
    desktop.clock.advance(60)
    contact = await there.begin_link(link)
    # Whichever node is asked, the device code in force is that of the newer channel.
    await mobile.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    channel = await contact.enrol(PIN)
    await channel.close()
    for phone in (here, there, here):
        channel = await phone.open(channel.binding.binding_id)
        await channel.prove_pin(PIN)
        await channel.close()


async def test_forty_confirms_on_two_nodes_are_one(nodes: tuple[GatewayKit, GatewayKit]) -> None:
    desktop, mobile = nodes
    activation = (await desktop.begin())["activation"]["id"]
    contact = await mobile.phone().begin_link((await desktop.code(activation))["link"])
    services = [node.now.capabilities.activations for node in nodes]
    answers = await asyncio.gather(
        *(
            services[index % 2].confirm(
                tenant_id=desktop.tenant_id, activation_id=activation, code=contact.device_code
            )
            for index in range(40)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    await contact.wait_confirmed()
    await contact.enrol(PIN)


async def test_two_phones_on_two_nodes_decide_at_once(nodes: tuple[GatewayKit, GatewayKit]) -> None:
    desktop, mobile = nodes
    await set_policy(desktop, "payment", factors="possession")
    channels = [(await bind_phone(node))[1] for node in nodes]
    for turn in range(4):
        request = await ask(nodes[turn % 2], user="user-1")
        answers = []
        for channel, decision in zip(channels, ("approve", "refuse"), strict=True):
            found = await asked(channel, request)
            answers.append(
                make(channel, found.raw, id=found.id, factor="possession", decision=decision)  # type: ignore[arg-type]
            )
        got = await asyncio.gather(*map(exchange, channels, answers))
        end = await state(mobile, request)
        assert [getattr(each, "state", None) for each in got] == [end, end]
        decided = [word for word in await audit_words(desktop) if word.startswith("phone:approval:")]
        assert len(decided) == turn + 1
        desktop.clock.advance(3_700)  # refusals slow down what follows


async def test_one_key_on_two_nodes_makes_one_request(nodes: tuple[GatewayKit, GatewayKit]) -> None:
    await bind_phone(nodes[0])
    body = {"user": "user-1", "type": "login", "fields": {"browser": "Firefox", "place": "Lyon"}}

    async def post(node: GatewayKit) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {node.api_key}", "Idempotency-Key": "one"}
        url = f"{node.now.url}/api/v1/approvals"
        async with node.session.post(url, json=body, headers=headers) as answer:
            made = (await answer.json()).get("approval")
            return answer.status, None if made is None else made["id"]

    outcomes = await asyncio.gather(*(post(node) for node in nodes * 10))
    assert {status for status, _ in outcomes} <= {201, 409}
    later = [await post(node) for node in nodes]
    [request] = (await nodes[0].call("GET", "/api/v1/approvals?user=user-1"))["items"]
    assert {*outcomes, *later} - {(409, None)} == {(201, request["id"])}
