"""T16: a tenant or a customer with credentials of his own reaches for another's things."""

from typing import Any

import pytest
from attack_kit import bind_phone, copy_of
from gateway_kit import GatewayKit

from gateway.phone.errors import CloneSuspected

BODIES = {"confirm": {"code": "12345678"}}


async def stranger_key(kit: GatewayKit, *scopes: str) -> str:
    """Return an API key of another bank of the same installation."""
    installation = kit.now.installation
    tenant = await installation.tenants.create("Other bank")
    _, key = await installation.api_keys.create(
        tenant_id=tenant.id, name="stranger", scopes=list(scopes) or ["*"]
    )
    return key.reveal().decode()


async def user_token(kit: GatewayKit, user: str) -> str:
    """Return a page token of a customer."""
    made = await kit.call("POST", "/api/v1/page-tokens", {"user": user}, status=201)
    return str(made["page_token"])


async def reach_for_all(kit: GatewayKit, token: str, paths: dict[str, tuple[str, ...]]) -> set[int]:
    """Try every verb on every path; return the statuses."""
    statuses = set()
    for path, verbs in paths.items():
        for verb in verbs:
            method, _, tail = verb.partition(" ")
            body: Any = BODIES.get(tail, {"name": "x"} if method == "PATCH" else None)
            url = f"{kit.now.url}{path}{f'/{tail}' if tail else ''}"
            headers = {"Authorization": f"Bearer {token}"}
            async with kit.session.request(method, url, json=body, headers=headers) as answer:
                statuses.add(answer.status)
    return statuses


OF_ACTIVATION = ("GET", "GET code", "POST confirm", "POST cancel")
OF_BINDING = ("GET", "PATCH", "POST suspend", "POST resume", "POST unblock-pin", "DELETE")


async def test_another_bank_finds_nothing(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    [binding] = await kit.bindings()
    activation = (await kit.begin())["activation"]["id"]
    hook = {"url": "https://hooks.bank.example/in", "events": []}
    webhook = (await kit.call("POST", "/api/v1/webhooks", hook, status=201))["id"]
    key = await stranger_key(kit)
    paths = {
        f"/api/v1/bindings/{binding['id']}": OF_BINDING,
        f"/api/v1/activations/{activation}": OF_ACTIVATION,
        f"/api/v1/webhooks/{webhook}": ("DELETE",),
    }
    assert await reach_for_all(kit, key, paths) == {404}
    for listed in ("bindings", "webhooks", "webhook-deliveries"):
        assert (await kit.call("GET", f"/api/v1/{listed}", token=key))["items"] == []
    assert (await kit.call("GET", "/api/v1/bindings?user=user-1", token=key))["items"] == []
    theirs = await kit.call("GET", "/api/v1/audit?limit=200", token=key)
    ours = await kit.call("GET", "/api/v1/audit?limit=200")
    assert binding["id"] in str(ours)
    assert binding["id"] not in str(theirs) and activation not in str(theirs)
    assert {item["id"] for item in (await kit.call("GET", "/api/v1/webhooks"))["items"]} == {webhook}
    await channel.ping()


async def test_a_list_cursor_of_one_bank_opens_nothing_at_another(kit: GatewayKit) -> None:
    for user in ("one", "two"):
        await bind_phone(kit, user=user)
    cursor = (await kit.call("GET", "/api/v1/bindings?limit=1"))["next_cursor"]
    assert cursor is not None
    key = await stranger_key(kit)
    page = await kit.call("GET", f"/api/v1/bindings?limit=1&cursor={cursor}", token=key, status=None)
    assert page.get("items", []) == []


async def test_another_customers_page_reaches_nothing_but_its_own(kit: GatewayKit) -> None:
    await bind_phone(kit)
    [binding] = await kit.bindings()
    activation = (await kit.begin())["activation"]["id"]
    token = await user_token(kit, "user-2")
    assert (await kit.call("GET", "/api/v1/bindings", token=token))["items"] == []
    reached = await kit.call("GET", "/api/v1/bindings?user=user-1", token=token, status=None)
    assert reached.get("items", []) == []
    paths = {
        f"/api/v1/bindings/{binding['id']}": ("GET", "PATCH", "POST suspend", "POST resume", "DELETE"),
        f"/api/v1/activations/{activation}": OF_ACTIVATION,
    }
    assert await reach_for_all(kit, token, paths) == {404}
    own = await user_token(kit, "user-1")
    assert [item["id"] for item in (await kit.call("GET", "/api/v1/bindings", token=own))["items"]] == [
        binding["id"]
    ], "the control: the customer's own page shows it"


async def test_the_page_of_one_activation_reaches_no_other_and_no_phones(kit: GatewayKit) -> None:
    await bind_phone(kit)
    [binding] = await kit.bindings()
    token = (await kit.begin())["page_token"]
    other = (await kit.begin())["activation"]["id"]
    assert await reach_for_all(kit, token, {f"/api/v1/activations/{other}": OF_ACTIVATION}) == {404}
    refused = await reach_for_all(
        kit, token, {f"/api/v1/bindings/{binding['id']}": OF_BINDING, "/api/v1/bindings": ("GET",)}
    )
    assert refused <= {403, 404}


async def test_a_page_hears_of_its_own_things_alone(kit: GatewayKit) -> None:
    """The event stream follows what the token is for, whatever the query says."""
    token = await user_token(kit, "user-2")
    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": "0"}
    url = f"{kit.now.url}/api/v1/events"
    await bind_phone(kit)
    async with kit.session.get(url, headers=headers) as stream:
        assert stream.status == 200
        await bind_phone(kit, user="user-1")
        await bind_phone(kit, user="user-2")
        [own] = await kit.bindings("?user=user-2")
        await kit.call("PATCH", f"/api/v1/bindings/{own['id']}", {"name": "Mine"})
        heard = b""
        async for line in stream.content:
            heard += line
            if b"Mine" in line:
                break
    others = await kit.bindings("?user=user-1")
    assert own["id"].encode() in heard
    assert not any(other["id"].encode() in heard for other in others)


async def test_a_page_cannot_do_what_only_the_bank_may(kit: GatewayKit) -> None:
    await bind_phone(kit)
    [binding] = await kit.bindings()
    token = await user_token(kit, "user-1")
    wishes = [
        ("POST", f"/api/v1/bindings/{binding['id']}/unblock-pin", {}),
        ("POST", "/api/v1/page-tokens", {"user": "user-2"}),
        ("POST", "/api/v1/activations", {"user": "user-1", "label": "x"}),
        ("GET", "/api/v1/audit", None),
        ("GET", "/api/v1/webhooks", None),
        ("POST", "/api/v1/webhooks", {"url": "https://hooks.evil.example/", "events": []}),
    ]
    for method, path, body in wishes:
        await kit.call(method, path, body, token=token, status=403)


async def test_a_key_without_the_scope_is_refused(kit: GatewayKit) -> None:
    """Every scope alone: what it opens, and that it opens nothing else."""
    opens = {
        "activations:read": "GET /api/v1/activations/act_AAAAAAAAAAAAAAAAAAAAAA",
        "activations:write": "POST /api/v1/activations",
        "bindings:read": "GET /api/v1/bindings",
        "bindings:write": "DELETE /api/v1/bindings/bnd_AAAAAAAAAAAAAAAAAAAAAA",
        "audit:read": "GET /api/v1/audit",
        "webhooks:read": "GET /api/v1/webhooks",
        "webhooks:write": "DELETE /api/v1/webhooks/whk_AAAAAAAAAAAAAAAAAAAAAA",
        "page-tokens:write": "POST /api/v1/page-tokens",
    }
    for scope in opens:
        key = await stranger_key(kit, scope)
        for other, call in opens.items():
            method, _, path = call.partition(" ")
            headers = {"Authorization": f"Bearer {key}"}
            body = {"user": "u", "label": "l"} if method == "POST" else None
            async with kit.session.request(method, kit.now.url + path, json=body, headers=headers) as answer:
                assert (answer.status == 403) == (other != scope), (scope, call, answer.status)


@pytest.mark.parametrize("token", ["tsk_" + "A" * 43, "ptk_" + "A" * 43, "x", "tsk_", "tsk_" + "A" * 44])
async def test_made_up_credentials_are_refused(kit: GatewayKit, token: str) -> None:
    await kit.call("GET", "/api/v1/bindings", token=token, status=401)


@pytest.mark.parametrize("by", ["bank", "clone"])
async def test_a_page_does_not_undo_what_the_bank_or_a_copy_found_out_suspended(
    kit: GatewayKit, by: str
) -> None:
    """Whoever holds the customer's page would else let a stolen phone, or a copy of it, in again."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    [binding] = await kit.bindings()
    path = f"/api/v1/bindings/{binding['id']}"
    token = await user_token(kit, "user-1")
    await kit.call("POST", f"{path}/suspend", {}, token=token)
    await kit.call("POST", f"{path}/resume", {}, token=token)  # the control: its own suspension
    if by == "bank":
        await kit.call("POST", f"{path}/suspend", {})
    else:
        copy = copy_of(phone, kit)
        for _ in range(2):
            await (await phone.open(identifier)).close()
        with pytest.raises(CloneSuspected):
            await copy.open(identifier)
    for step in ("resume", "suspend", "resume"):
        await kit.call("POST", f"{path}/{step}", {}, token=token, status=409)
    found = await kit.call("GET", path, token=token)
    assert (found["state"], found["suspended_by"]) == ("suspended", by)
