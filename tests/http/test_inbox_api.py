"""Messages by HTTP and on the phone: the bank sends, page and phone read, each sees its own customer's alone, and what
is not plain text is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from devices_kit import bind
from gateway_kit import GatewayKit

from gateway.core.ids import encode_id

MESSAGES = "/api/v1/messages"
TEXTS = {"fr": {"title": "Bonjour", "body": "Deux\nlignes"}, "en": {"title": "Hello", "body": "Two\nlines"}}


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def send(kit: GatewayKit, *, status: int = 201, **wish: Any) -> Any:
    return await kit.call("POST", MESSAGES, {"user": "user-1", "texts": TEXTS, **wish}, status=status)


async def page_token(kit: GatewayKit, user: str = "user-1") -> str:
    made: dict[str, str] = await kit.call("POST", "/api/v1/page-tokens", {"user": user}, status=201)
    return made["page_token"]


async def test_bank_sends_page_reads_bank_takes_back(kit: GatewayKit) -> None:
    sent = await send(kit, expires_in_s=3_600)
    assert sent["texts"] == TEXTS
    assert sent["read_at"] is None
    one, token = f"{MESSAGES}/{sent['id']}", await page_token(kit)
    assert await kit.call("GET", one) == sent
    listed = await kit.call("GET", MESSAGES, token=token)
    assert listed == {"items": [sent], "next_cursor": None, "unread": 1}
    read = await kit.call("POST", f"{one}/read", {}, token=token)
    assert read["read_at"] is not None
    assert await kit.call("POST", f"{one}/read", {}, token=token) == read
    assert (await kit.call("GET", f"{MESSAGES}?user=user-1"))["unread"] == 0
    assert (await kit.call("GET", MESSAGES))["unread"] is None
    await kit.call("DELETE", one, status=204)
    for method in ("GET", "DELETE"):
        assert (await kit.call(method, one, status=404))["code"] == "not-found"
    assert (await kit.call("GET", MESSAGES, token=token))["items"] == []


async def test_a_message_in_one_language_has_no_other(kit: GatewayKit) -> None:
    sent = await send(kit, texts={"en": TEXTS["en"]})
    assert sent["texts"] == {"en": TEXTS["en"]}


async def test_lists_go_by_cursor(kit: GatewayKit) -> None:
    for number in range(7):
        await send(kit, texts={"fr": {"title": str(number), "body": "x"}})
        kit.clock.advance(1)
    await send(kit, user="user-2")
    titles: list[str] = []
    query = f"{MESSAGES}?user=user-1&limit=3"
    cursor = ""
    while True:
        page = await kit.call("GET", query + cursor)
        titles += [item["texts"]["fr"]["title"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert titles == list("6543210")
    other = f"{MESSAGES}?user=user-2{cursor}"
    assert (await kit.call("GET", other, status=400))["code"] == "invalid-request"


async def test_a_page_touches_its_own_customers_messages_alone(kit: GatewayKit) -> None:
    mine, other = await send(kit), await send(kit, user="user-2")
    token = await page_token(kit)
    assert [item["id"] for item in (await kit.call("GET", MESSAGES, token=token))["items"]] == [mine["id"]]
    await kit.call("GET", f"{MESSAGES}?user=user-2", token=token, status=403)
    await kit.call("GET", f"{MESSAGES}/{other['id']}", token=token, status=404)
    await kit.call("POST", f"{MESSAGES}/{other['id']}/read", {}, token=token, status=404)
    await kit.call("DELETE", f"{MESSAGES}/{mine['id']}", token=token, status=403)
    await kit.call("POST", MESSAGES, {"user": "user-1", "texts": TEXTS}, token=token, status=403)
    await kit.call("POST", f"{MESSAGES}/{mine['id']}/read", {}, status=403)
    activation = (await kit.begin())["page_token"]
    for method, path in (("GET", MESSAGES), ("GET", f"{MESSAGES}/{mine['id']}")):
        await kit.call(method, path, token=activation, status=403)
    await kit.call("POST", f"{MESSAGES}/{mine['id']}/read", {}, token=activation, status=403)
    assert (await kit.call("GET", f"{MESSAGES}?user=user-1"))["unread"] == 1


async def test_keys_need_their_scope(kit: GatewayKit) -> None:
    async def key(*scopes: str) -> str:
        keys = kit.now.installation.api_keys
        _, made = await keys.create(tenant_id=kit.tenant_id, name="x", scopes=list(scopes))
        return made.reveal().decode()

    reader, writer = await key("messages:read"), await key("messages:write")
    sent = await kit.call("POST", MESSAGES, {"user": "user-1", "texts": TEXTS}, token=writer, status=201)
    await kit.call("POST", MESSAGES, {"user": "user-1", "texts": TEXTS}, token=reader, status=403)
    await kit.call("GET", MESSAGES, token=writer, status=403)
    await kit.call("GET", f"{MESSAGES}/{sent['id']}", token=reader)
    await kit.call("DELETE", f"{MESSAGES}/{sent['id']}", token=reader, status=403)


async def test_another_bank_sees_nothing(kit: GatewayKit) -> None:
    sent = await send(kit)
    other = (await kit.now.installation.tenants.create("Autre banque")).id
    _, made = await kit.now.installation.api_keys.create(tenant_id=other, name="x", scopes=["*"])
    token = made.reveal().decode()
    assert (await kit.call("GET", MESSAGES, token=token))["items"] == []
    for method in ("GET", "DELETE"):
        await kit.call(method, f"{MESSAGES}/{sent['id']}", token=token, status=404)


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("", "x"),
        ("x", ""),
        (" ", "x"),
        ("x", " \n "),
        ("x" * 129, "x"),
        ("x", "x" * 2_001),
        ("a\nb", "x"),
        ("a\n", "x"),
        *(
            (f"a{hidden}b", "x")
            for hidden in ("\x00", "\t", "\x7f", "\x85", "\u202e", "\u2066", "\u200b", "\u2028", "\ufeff")
        ),
        *(
            ("x", f"a{hidden}b")
            for hidden in ("\r", "\t", "\x1b", "\x9f", "\u061c", "\u200f", "\u202d", "\u2029", "\u00ad")
        ),
    ],
)
async def test_what_is_not_plain_text_is_refused(kit: GatewayKit, title: str, body: str) -> None:
    problem = await send(kit, texts={"fr": {"title": title, "body": body}}, status=400)
    assert problem["code"] == "invalid-request"
    assert "texts" in problem["detail"]


@pytest.mark.parametrize(
    "wish",
    [
        {"texts": {}},
        {"texts": {"de": {"title": "x", "body": "y"}}},
        {"texts": {"fr": {"title": "x"}}},
        {"texts": {"fr": {"title": "x", "body": "y", "html": "z"}}},
        {"user": ""},
        {"user": "u" * 129},
        {"expires_in_s": 59},
        {"expires_in_s": 366 * 86_400 + 1},
        {"expires_in_s": True},
        {"push": True},
    ],
)
async def test_what_is_not_a_message_is_refused(kit: GatewayKit, wish: dict[str, Any]) -> None:
    assert (await send(kit, status=400, **wish))["code"] == "invalid-request"


async def test_joiners_and_other_scripts_are_taken(kit: GatewayKit) -> None:
    texts = {"fr": {"title": "می‌خواهم 👩‍👧", "body": "שלום\nسلام\n"}}
    assert (await send(kit, texts=texts))["texts"] == texts


# On the phone ---------------------------------------------------------------------------------------------------


async def test_a_bound_phone_finds_its_welcome_and_what_the_bank_sends(kit: GatewayKit) -> None:
    phone = kit.phone("Téléphone de Zoé")
    _, channel = await bind(kit, phone)
    [welcome] = (await channel.inbox()).items
    assert welcome.title == "Bienvenue"
    assert "Téléphone de Zoé" in welcome.body
    kit.clock.advance(1)
    sent = await send(kit)
    page = await channel.inbox()
    assert [item.title for item in page.items] == ["Bonjour", "Bienvenue"]
    assert encode_id("msg", page.items[0].id) == sent["id"]
    assert page.unread == 2
    await channel.mark_read(page.items[0].id)
    assert (await channel.inbox()).unread == 1
    assert (await kit.call("GET", f"{MESSAGES}/{sent['id']}"))["read_at"] is not None
    await channel.close()


async def test_a_further_phone_is_told_to_the_first(kit: GatewayKit) -> None:
    _, first = await bind(kit, kit.phone("Le premier"))
    _, second = await bind(kit, kit.phone("Le second"))
    kit.clock.advance(1)
    for channel in (first, second):
        titles = [item.title for item in (await channel.inbox()).items]
        assert sorted(titles) == ["Bienvenue", "Un téléphone a été ajouté"]
        await channel.close()


async def test_messages_come_back_after_a_restart(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    kit.clock.advance(1)
    sent = await send(kit)
    await kit.restart()
    again = await phone.open(channel.binding.binding_id)
    assert encode_id("msg", (await again.inbox()).items[0].id) == sent["id"]
    await again.close()


async def test_what_is_told_of_messages_quotes_none(kit: GatewayKit) -> None:
    sent = await send(kit, texts={"fr": {"title": "Titre-secret", "body": "Texte-secret"}})
    await kit.call("POST", f"{MESSAGES}/{sent['id']}/read", {}, token=await page_token(kit))
    await kit.call("DELETE", f"{MESSAGES}/{sent['id']}", status=204)
    entries = await kit.call("GET", f"/api/v1/audit?subject={sent['id']}")
    assert [item["word"] for item in entries["items"]] == [
        "bank:message:delete",
        "customer:message:read",
        "bank:message:send",
    ]
    assert "secret" not in str(entries)
