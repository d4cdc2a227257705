"""Strong customer authentication by the articles of Commission Delegated Regulation (EU) 2018/389 (RTS to PSD2), each
against the whole gateway: what it asks for, tried."""

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from approval_kit import (
    PAYMENT,
    WRONG_PIN,
    approve,
    ask,
    asked,
    digits_by,
    exchange,
    keys_of,
    make,
    other_digits,
    payload_of,
    set_policy,
    show_code,
    state,
    type_digits,
)
from attack_kit import audit_words, bind_phone
from demo_kit import log_in
from gateway_kit import PIN, GatewayKit
from msgspec.structs import replace
from sqlalchemy import text

from gateway.phone.client import PhoneClient
from gateway.protocol.messages import Answered, AnswerWrong, Inbox, InboxPage, encode
from gateway.protocol.offline import OfflineKeys, offline_answer, open_offline, parse_offline
from gateway.protocol.pin import offline_verifier
from gateway.protocol.wiretypes import Bytes64


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def shown_to(kit: GatewayKit, phone: PhoneClient, request: dict[str, Any]) -> tuple[bytes, OfflineKeys]:
    """Draw a request's code and open it on the phone."""
    code = parse_offline(payload_of(await show_code(kit, request)))
    [binding] = phone.store.bindings()
    return open_offline(code, binding_id=binding.binding_id, keys=keys_of(phone))


# Article 4(1): the authentication code is accepted only once


async def test_4_1_an_answer_is_accepted_once(kit: GatewayKit) -> None:
    """Again for the same request it changes nothing; for another, it is wrong."""
    await set_policy(kit, "payment", factors="possession")
    _, channel = await bind_phone(kit)
    first, second = await ask(kit), await ask(kit)
    found, other = await asked(channel, first), await asked(channel, second)
    answer = make(channel, found.raw, id=found.id, factor="possession")
    for _ in range(3):
        assert isinstance(await exchange(channel, answer), Answered)
    assert (await audit_words(kit)).count("phone:approval:approve") == 1
    moved = replace(answer, id=make(channel, other.raw, id=other.id, factor="possession").id)
    assert isinstance(await exchange(channel, moved), AnswerWrong)
    assert await state(kit, second) == "pending"


async def test_4_1_digits_are_accepted_once(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    first, second = await ask(kit), await ask(kit)
    raw, keys = await shown_to(kit, phone, first)
    await shown_to(kit, phone, second)
    digits = digits_by(phone, raw, keys=keys)
    await type_digits(kit, first, digits)
    await type_digits(kit, first, digits, status=410)
    await type_digits(kit, second, digits, status=422)


# Article 4(2)(a): no information on the elements can be derived from the disclosure of the code


async def test_4_2_a_digits_tell_no_pin_to_one_who_lacks_the_phones_secret(kit: GatewayKit) -> None:
    """Whoever knows the digits, the statement, the count and even the answer key tries PINs in vain: without the
    phone's own secret, which never leaves it, the right one gives other digits as the wrong ones do."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    raw, keys = await shown_to(kit, phone, await ask(kit))
    [binding] = phone.store.bindings()
    disclosed = digits_by(phone, raw, keys=keys)
    assert digits_by(phone, raw, keys=keys, pin=PIN) == disclosed, (
        "the control: with the secret, the PIN shows"
    )
    for pin in (PIN, WRONG_PIN):
        guessed = offline_verifier(bytes(32), binding_id=binding.binding_id, pin=pin)
        assert offline_answer(raw, answer_key=keys.answer_key, counter=0, verifier=guessed) != disclosed


async def test_4_2_a_a_signature_holds_nothing_that_depends_on_a_second_try(kit: GatewayKit) -> None:
    """The PIN's key signs a nonce of the gateway's: two answers by one PIN have no part in common."""
    _, channel = await bind_phone(kit)
    signatures = []
    for _ in range(2):
        found = await asked(channel, await ask(kit))
        answer = make(channel, found.raw, id=found.id, evaluated=await channel._evaluate(PIN))
        assert isinstance(await exchange(channel, answer), Answered)
        assert isinstance(answer.pin_signature, Bytes64)
        signatures.append((answer.signature, answer.pin_signature))
    assert len({part for pair in signatures for part in pair}) == 4


# Article 4(2)(b): no new code can be generated from knowledge of others


async def test_4_2_b_the_next_digits_follow_from_none_before(kit: GatewayKit) -> None:
    """Five answers to one and the same statement: the count alone changes them, and beside it no two are alike, nor
    are the steps between them."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    raw, keys = await shown_to(kit, phone, await ask(kit))
    series = [digits_by(phone, raw, keys=keys, counter=count) for count in range(5)]
    assert [each[:2] for each in series] == [f"{count:02d}" for count in range(5)]
    assert len({each[2:] for each in series}) == 5
    assert len({(int(after[2:]) - int(before[2:])) % 10**6 for before, after in pairwise(series)}) == 4


# Article 4(3)(a): a failed attempt does not tell which element was incorrect


async def test_4_3_a_every_failure_on_the_channel_is_answered_alike(kit: GatewayKit) -> None:
    """PIN, number, signature of the phone, of the PIN, factor, statement: the bytes of the answer are the same but for
    the id of the request. Each fails on a phone of its own."""
    replies = {}
    for number, what in enumerate(
        ("pin", "number", "signature", "pin signature", "factor", "statement", "two")
    ):
        user = f"user-{number}"
        _, channel = await bind_phone(kit, user=user)
        request = await ask(kit, "login", user=user)
        found = await asked(channel, request)
        evaluated = await channel._evaluate(WRONG_PIN if what in ("pin", "two") else PIN)
        wrong = next(each for each in found.numbers if each != request["number"])
        answer = make(
            channel,
            found.raw if what != "statement" else found.raw + b" ",
            id=found.id,
            number=wrong if what in ("number", "two") else request["number"],
            factor="possession" if what == "factor" else "pin",
            evaluated=evaluated,
        )
        if what == "signature":
            answer = replace(answer, signature=Bytes64(bytes(64)))
        if what == "pin signature":
            answer = replace(answer, pin_signature=Bytes64(bytes(64)))
        got = await exchange(channel, answer)
        assert isinstance(got, AnswerWrong), what
        replies[what] = encode(replace(got, id=type(got.id)(bytes(16))))
    assert len(set(replies.values())) == 1, replies


async def test_4_3_a_the_page_is_told_alike_whether_pin_or_key_was_wrong(kit: GatewayKit) -> None:
    """Digits of a wrong PIN, of a wrong key, of a count that is far off, and invented ones."""
    bodies = []
    for number in range(4):
        user = f"user-{number}"
        phone, channel = await bind_phone(kit, user=user)
        await channel.close()
        request = await ask(kit, user=user)
        raw, keys = await shown_to(kit, phone, request)
        right = digits_by(phone, raw, keys=keys)
        wrong = [
            digits_by(phone, raw, keys=keys, pin=WRONG_PIN),
            digits_by(phone, raw, keys=OfflineKeys(keys.index, keys.seal_key, bytes(32))),
            digits_by(phone, raw, keys=keys, counter=77),
            other_digits(right),
        ][number]
        problem = await type_digits(kit, request, wrong, status=422)
        problem.pop("request_id")
        bodies.append(problem)
    assert bodies == [bodies[0]] * 4


# Article 4(3)(b): no more than five failed attempts in a row; a block; the payer is alerted before it is permanent


async def fail_five_times(kit: GatewayKit, channel: Any) -> list[AnswerWrong]:
    """Wrong signatures, so that the PIN's own count stays out of it: one to each of five requests."""
    heard = []
    for _ in range(5):
        request = await ask(kit, "free", fields={"title": "Card", "text": "A new card"})
        found = await asked(channel, request)
        answer = make(channel, found.raw, id=found.id, factor="possession")
        got = await exchange(channel, replace(answer, signature=Bytes64(bytes(64))))
        assert isinstance(got, AnswerWrong)
        heard.append(got)
        await kit.call("POST", f"/api/v1/approvals/{request['id']}/cancel", {})
    return heard


async def test_4_3_b_five_in_a_row_block_and_the_payer_is_told_before_it_is_permanent(
    kit: GatewayKit,
) -> None:
    _, channel = await bind_phone(kit)
    first = await fail_five_times(kit, channel)
    now = int(kit.clock.now())
    assert [each.until for each in first[:4]] == [None] * 4
    assert first[4].until is not None
    assert 299 <= first[4].until - now <= 300
    assert not any(each.bank or each.last for each in first)
    kit.clock.advance(301)
    second = await fail_five_times(kit, channel)
    assert second[4].until is not None
    assert second[4].until - int(kit.clock.now()) >= 599
    assert (second[4].bank, second[4].last) == (False, True), "the next one is permanent"
    assert [blocked["next_is_final"] for blocked in await blocks(kit)] == [False, True]
    page = await channel._exchange(Inbox(), InboxPage)
    assert "Trop de réponses erronées" in [item.title for item in page.items]
    kit.clock.advance(601)
    third = await fail_five_times(kit, channel)
    assert all(each.last for each in third[:4]), "and it is said with each try that is left"
    assert (third[4].bank, third[4].until) == (True, None)
    assert [blocked["until"] is None for blocked in await blocks(kit)] == [False, False, True]
    kit.clock.advance(365 * 86_400)
    body = {"user": "user-1", "type": "payment", "fields": PAYMENT}
    assert (await kit.call("POST", "/api/v1/approvals", body, status=409))["code"] == "no-phone"


async def blocks(kit: GatewayKit) -> list[dict[str, Any]]:
    """What webhooks tell of blocks, in order."""
    statement = text("SELECT data FROM events WHERE type = 'binding.approvals-blocked' ORDER BY 1")
    rows = await kit.now.installation.storage.read(lambda tx: tx.execute(statement).scalars().all())
    found: list[dict[str, Any]] = sorted(
        {str(row): json.loads(row) for row in rows}.values(), key=lambda each: str(each["until"] or "9")
    )
    return found


async def test_4_3_b_a_right_answer_ends_the_row(kit: GatewayKit) -> None:
    """Of consecutive failures alone."""
    _, channel = await bind_phone(kit)
    for _ in range(3):
        found = await asked(channel, await ask(kit))
        wrong = make(channel, found.raw + b" ", id=found.id, factor="possession")
        for _ in range(4):
            got = await exchange(channel, wrong)
            assert isinstance(got, AnswerWrong)
            assert got.until is None
        assert isinstance(await approve(channel, found), Answered)


# Article 4(3)(d): no more than five minutes without activity


async def test_4_3_d_five_minutes_without_activity_end_the_session(bank: Any) -> None:
    client, _, clock = bank
    await log_in(client)
    clock.advance(299)
    assert (await (await client.get("/demo/api/session")).json())["customer"] is not None
    clock.advance(299)
    assert (await (await client.get("/demo/api/session")).json())["customer"] is not None, "prolonged by use"
    clock.advance(301)
    assert (await (await client.get("/demo/api/session")).json())["customer"] is None
    assert (await client.get("/demo/api/transfers")).status == 401
    assert (await client.post("/demo/api/transfers", json={})).status == 401


# Article 5: dynamic linking


async def test_5_1_a_the_payer_is_made_aware_of_amount_and_payee(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    found = await asked(channel, await ask(kit))
    assert (found.statement.fields.amount, found.statement.fields.currency) == ("250.00", "EUR")
    assert found.statement.fields.payee == PAYMENT["payee"]


@pytest.mark.parametrize("member", ["amount", "payee", "currency", "account"])
async def test_5_1_b_d_the_code_is_specific_and_any_change_voids_it(kit: GatewayKit, member: str) -> None:
    """Two requests that differ in one member, their ids and nonces made alike: neither the signature nor the digits of
    the one serve for the other."""
    phone, channel = await bind_phone(kit)
    other_value = {"amount": "250.01", "payee": "Zoé Martins", "currency": "USD", "account": "FR76 3001"}[
        member
    ]
    request = await ask(kit)
    found = await asked(channel, request)
    raw: bytes = found.raw
    changed = raw.replace(f'"{PAYMENT[member]}"'.encode(), f'"{other_value}"'.encode())
    assert changed != raw
    evaluated = await channel._evaluate(PIN)
    assert isinstance(
        await exchange(channel, make(channel, changed, id=found.id, evaluated=evaluated)), AnswerWrong
    )
    sealed, keys = await shown_to(kit, phone, request)
    assert sealed == raw
    assert (await type_digits(kit, request, digits_by(phone, changed, keys=keys), status=422))["left"] == 3
    await type_digits(kit, request, digits_by(phone, raw, keys=keys))
    assert await state(kit, request) == "approved"


async def test_5_1_c_what_was_approved_is_what_the_bank_reads_back(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    await approve(channel, await asked(channel, request))
    read = await kit.call("GET", f"/api/v1/approvals/{request['id']}")
    assert (read["state"], read["fields"]) == ("approved", PAYMENT)
