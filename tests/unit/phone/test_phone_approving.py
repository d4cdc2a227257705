"""`tessera phone wait`, `offline`, `approvals` and `messages` as a person uses them, against a scripted gateway: what
is shown, what is asked, exit status."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import scripted_requests
from click.testing import CliRunner, Result
from offline_kit import STATEMENT, check, code_for
from town import PIN, Town

import gateway.phone.approving as approving
from gateway import codes
from gateway.core.encoding import b64url_encode
from gateway.phone.cli import phone
from gateway.phone.shown import group_amount, plain, show_statement, summarise
from gateway.protocol import messages
from gateway.protocol.approval import (
    ContactFields,
    DeviceFields,
    Fields,
    FreeFields,
    LoginFields,
    make_statement,
    parse_statement,
)
from gateway.protocol.code import make_link

LOGIN = LoginFields(browser="Firefox on Linux", place="Lyon")


@pytest.fixture
def bound(town: Town) -> Town:
    """A town whose phone is bound."""
    town.customer()
    result = town.run("link", town.link(), answers=f"{PIN}\n{PIN}\n")
    assert result.exit_code == 0, result.output
    return town


def wait(town: Town, answers: str, *, status: int = 0) -> str:
    """Run `wait --once`; return what was printed."""
    result: Result = town.run("wait", "--once", answers=answers)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    assert PIN not in result.output
    return result.output


def test_a_payment_is_shown_as_it_was_sent_and_approved(bound: Town) -> None:
    bound.gateway.requests.ask()
    shown = wait(bound, f"what?\na\n12345\na\n{PIN}\n")
    assert "Example Bank asks user-1, until" in shown
    for line in (
        "  Payment",
        "  Amount    1,234,567.50 EUR",
        "  To        Ätna & Söhne",
        "  Account   FR76 3000 4000",
        "  Purpose   Invoice 7",
        "            Rest",
    ):
        assert f"{line}\n" in shown
    assert "The PIN has 6 digits" in shown
    assert "Approved." in shown
    assert list(bound.gateway.requests.ends.values()) == ["approved"]


@pytest.mark.parametrize(("typed", "end"), [("r", "refused"), ("Report", "reported"), ("n", "reported")])
def test_what_is_not_wanted(bound: Town, typed: str, end: str) -> None:
    bound.gateway.requests.ask(LOGIN, number=47)
    shown = wait(bound, f"{typed}\n")
    assert "Browser   Firefox on Linux\n  Place     Lyon" in shown
    assert "Number" not in shown
    assert list(bound.gateway.requests.ends.values()) == [end]


@pytest.mark.parametrize("is_typed", [True, False])
def test_the_number_of_the_page_is_asked_until_it_can_be_one(bound: Town, is_typed: bool) -> None:
    bound.gateway.requests.ask(LOGIN, number=47, is_typed=is_typed)
    shown = wait(bound, f"a\n5\nx\n47\n{PIN}\n")
    assert ("(47, 11, 99)" in shown) is not is_typed
    assert ("It has two digits." if is_typed else "That is none of them.") in shown
    assert "Approved." in shown
    [answer] = bound.gateway.requests.answers
    assert answer.number == 47


def test_a_wrong_pin_may_be_typed_again(bound: Town) -> None:
    bound.gateway.requests.ask()
    shown = wait(bound, f"a\n718304\na\n{PIN}\n")
    assert "4 tries left for this request." in shown
    assert "Approved." in shown


def test_a_wrong_answer_that_blocks_the_phone_is_told(bound: Town) -> None:
    bound.gateway.requests.until = 1_800_000_300
    bound.gateway.requests.ask()
    assert "can't approve until 08:05:00 UTC; it can refuse" in wait(bound, "a\n718304\n", status=5)


def test_the_last_wrong_answer_ends_it(bound: Town) -> None:
    bound.gateway.requests.tries = 1
    bound.gateway.requests.ask()
    assert "This request is over." in wait(bound, "a\n718304\n", status=5)


def test_fingerprint_or_face_alone_can_only_be_refused_here(bound: Town) -> None:
    bound.gateway.requests.ask(factors=("biometric",))
    shown = wait(bound, "a\nr\n")
    assert "fingerprint or face, which the command line has not" in shown
    assert "[a]pprove" not in shown
    assert list(bound.gateway.requests.ends.values()) == ["refused"]


def test_what_this_client_can_t_show_is_not_answered(bound: Town) -> None:
    bound.gateway.requests.ask(statement=b'{"v":2}')
    assert "too old to show. Update this client" in wait(bound, "", status=1)
    assert bound.gateway.requests.answers == []


@pytest.mark.parametrize("typed", ["", "a", "r"])
def test_an_end_while_the_person_thinks_is_told(
    bound: Town, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    message = bound.gateway.requests.ask()
    asked = []

    async def thinks(text: str, **__: Any) -> str:
        asked.append(text)
        bound.tell(messages.Settled(id=message.id, state="cancelled"))
        await asyncio.sleep(1)
        return typed

    monkeypatch.setattr(approving, "ask", thinks)
    shown = wait(bound, "", status=4)
    assert "the bank's page took it back. Press Enter." in shown
    assert len(asked) == 1, "one line ends it, whatever it is"
    assert bound.gateway.requests.answers == []


def test_the_end_of_the_binding_while_the_person_thinks_is_told(
    bound: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound.gateway.requests.ask()

    async def thinks(_: str, **__: Any) -> str:
        bound.tell(messages.State(state="suspended"))
        await asyncio.sleep(1)
        return ""

    monkeypatch.setattr(approving, "ask", thinks)
    assert "This phone is suspended. Press Enter." in wait(bound, "", status=4)
    assert "suspended when the bank was last asked" in bound.run("list").output


def test_a_lost_connection_is_made_again(bound: Town) -> None:
    bound.gateway.requests.ask()
    bound.gateway.faults.add("answered")
    shown = wait(bound, f"a\n{PIN}\n")
    assert "The connection is lost. Connecting again" in shown
    assert "Approved." in shown


def test_without_once_it_goes_on_after_each(bound: Town) -> None:
    bound.gateway.requests.tries = 1
    for fields in (scripted_requests.PAYMENT, LOGIN, LOGIN):
        bound.gateway.requests.ask(fields)
    result = bound.run("wait", answers="a\n718304\nr\n")
    assert result.exit_code == 1, "the end of the input at the third"
    assert "This request is over." in result.output
    assert list(bound.gateway.requests.ends.values()) == ["failed", "refused"]


def test_ctrl_c_leaves(bound: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(approving.Line, "next_ask", interrupted)
    result = bound.run("wait")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("Left.\n")


def test_open_tells_what_waits(bound: Town) -> None:
    bound.gateway.requests.ask()
    bound.gateway.requests.write("Hello", "World")
    opened = bound.run("open").output
    assert "Requests that wait: 1. See: tessera phone wait" in opened
    assert "Unread messages: 1. See: tessera phone messages" in opened


def test_past_requests_are_listed(bound: Town) -> None:
    assert "has asked nothing yet" in bound.run("approvals").output
    for _ in range(3):
        bound.gateway.requests.ask()
        wait(bound, "r\n")
    listed = bound.run("approvals").output
    assert listed.count("refused here  payment, 1,234,567.50 EUR to Ätna & Söhne") == 2
    assert "tessera phone approvals --all" in listed
    whole = bound.run("approvals", "--all").output
    assert whole.count("refused here") == 3
    assert "--all" not in whole


def test_messages_are_listed_and_read(bound: Town) -> None:
    ids = [b64url_encode(bound.gateway.requests.write(f"Title {n}", "One\n\x1b[2JTwo")) for n in range(3)]
    listed = bound.run("messages").output
    assert f"* {ids[2]}" in listed and "Unread: 3." in listed
    read = bound.run("messages", "--read", ids[0]).output
    assert "Title 0" in read and "One\n\ufffd[2JTwo" in read and "\x1b" not in read
    assert bound.gateway.requests.unread == 2
    assert bound.run("messages", "--read", "A" * 22).exit_code == 1
    assert bound.run("messages", "--read", "nonsense").exit_code == 2


@pytest.mark.parametrize("form", ["link", "base64url", "asked", "colour", "qr"])
def test_a_code_is_answered_without_a_network(bound: Town, tmp_path: Path, form: str) -> None:
    payload = code_for(bound.gateway)
    link = make_link(bound.gateway.host, payload, scheme="http")
    arguments, answers = [b64url_encode(payload) if form == "base64url" else link], ""
    if form == "asked":
        arguments, answers = ["-"], f"{link}\n"
    if form in ("colour", "qr"):
        picture = tmp_path / "code.png"
        picture.write_bytes(codes.to_png(codes.render(payload, form=codes.Form(form), text=link), scale=8))
        arguments = ["--image", str(picture)]
    heard = list(bound.gateway.seen)
    result = bound.run("offline", *arguments, answers=f"{answers}123\n{PIN}\n", host=False)
    assert result.exit_code == 0, result.output
    assert "Amount    1,234,567.50 EUR" in result.output
    assert "The PIN has 6 digits" in result.output
    found = re.search(r"Type these digits on the bank's page:  (\d{4} \d{4})", result.output)
    assert found is not None
    assert check(bound.gateway, found[1]) == 0
    assert bound.gateway.seen == heard, "nothing went over the network"
    again = bound.run("offline", *arguments, answers=f"{answers}{PIN}\n")
    found = re.search(r"page:  (\d{4} \d{4})", again.output)
    assert found is not None and check(bound.gateway, found[1]) == 1


def test_codes_that_are_not_for_this_phone(bound: Town) -> None:
    payload = code_for(bound.gateway)
    for arguments, status, text in (
        ([], 2, "give the code or --image"),
        (["nonsense!"], 1, "Not a Tessera code"),
        ([bound.link()], 1, "Not an offline code"),
        ([make_link("other.example", payload)], 1, "leads to other.example"),
        ([b64url_encode(payload[:1] + bytes(4) + payload[5:])], 1, "for another phone"),
        ([b64url_encode(payload[:-1] + bytes(1))], 1, "Have the page show a new code"),
    ):
        result = bound.run("offline", *arguments)
        assert result.exit_code == status, result.output
        assert text in result.output


@pytest.mark.parametrize(
    ("fields", "shown", "summary"),
    [
        (LoginFields(browser="", place=""), "Browser   (not known)", "login"),
        (
            ContactFields(kind="email", value="a@b.example", previous=""),
            "Change of your e-mail address\n  New       a@b.example\n  Until now (none)",
            "new e-mail address, a@b.example",
        ),
        (
            FreeFields(title="Consent", text="One\nTwo"),
            "  Consent\n            One\n            Two",
            "Consent",
        ),
        (DeviceFields(mode="add", browser="B", place="P"), "A further phone", "further phone"),
        (DeviceFields(mode="move", browser="B", place="P"), "in place of this one, which ends", "in place"),
    ],
)
def test_every_kind_has_words(fields: Fields, shown: str, summary: str) -> None:
    raw = make_statement(fields, id=bytes(16), bank="B", user="U", created=1, expires=2, nonce=bytes(16))
    statement = parse_statement(raw)
    assert shown in show_statement(statement)
    assert summary in summarise(statement)


def test_amounts_keep_every_decimal() -> None:
    assert [group_amount(each) for each in ("0.5", "12", "1234.500", "999999999999999.99")] == [
        "0.5",
        "12",
        "1,234.500",
        "999,999,999,999,999.99",
    ]
    assert "too old" in summarise(None)
    assert plain("a\u202eb\nc\x07\u200d") == "a\ufffdb\nc\ufffd\u200d"
    assert parse_statement(STATEMENT).type == "payment"


def test_help_teaches() -> None:
    text = CliRunner().invoke(phone, ["--help"]).output
    for command in ("wait", "offline", "approvals", "messages"):
        assert command in text
        assert CliRunner().invoke(phone, [command, "--help"]).exit_code == 0
    assert "not mine" in CliRunner().invoke(phone, ["wait", "--help"]).output
