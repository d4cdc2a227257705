"""`tessera phone` as a person uses it, against a scripted gateway in a thread of its own: exit status, what is
printed, and what never is."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from town import PIN, Town

from gateway import codes
from gateway.phone.cli import phone
from gateway.protocol.code import make_link, show_code2_nonce
from gateway.protocol.primitives import P256


def test_a_phone_s_life(town: Town) -> None:
    town.customer(wrong_first=True)
    bound = town.run("link", town.link(), answers=f"123456\n{PIN}\n999999\n{PIN}\n{PIN}\n")
    assert bound.exit_code == 0, bound.output
    assert "Bank      Example Bank\n  Customer  Account 1" in bound.output
    code = town.gateway.code or ""
    assert f"{code[:4]} {code[4:]}" in bound.output
    assert "A wrong code was typed on the bank's page. 2 tries left." in bound.output
    assert "Digits in a row" in bound.output
    assert "The two were not the same." in bound.output
    assert PIN not in bound.output
    assert "Account 1" in town.run("list").output
    opened = town.run("open", "--watch", "0.05")
    assert opened.exit_code == 0, opened.output
    assert "State: active, contact 1" in opened.output
    assert "PIN: 6 digits, 5 tries left" in opened.output
    assert "The PIN is right." in town.run("pin", "prove", answers=f"{PIN}\n").output
    wrong = town.run("pin", "prove", answers="718304\n")
    assert wrong.exit_code == 5
    assert "4 tries left" in wrong.output
    mistyped = town.run("pin", "change", answers="718304\n")
    assert mistyped.exit_code == 5
    assert "Choose a PIN" not in mistyped.output
    changed = town.run("pin", "change", answers=f"{PIN}\n718304\n718304\n")
    assert "The new PIN is in force." in changed.output, changed.output
    assert "Le mien" in town.run("rename", "Le mien").output
    for bad in ("", " ", "x" * 65, "two\nlines"):
        refused = town.run("rename", bad)
        assert refused.exit_code == 2
        assert "1 to 64 printable characters" in refused.output
    assert town.run("remove", answers="n\n").exit_code == 1
    assert "Removed." in town.run("remove", answers="y\n").output
    assert "bound to nothing" in town.run("list").output
    assert "bound to nothing" in town.run("open").output


def test_a_phone_that_the_bank_forgot_erases_itself_only_when_told(town: Town) -> None:
    town.customer()
    assert town.run("link", town.link(), answers=f"{PIN}\n{PIN}\n").exit_code == 0
    town.gateway.phone = None
    opened = town.run("open")
    assert opened.exit_code == 4, opened.output
    assert "does not know this phone any more" in opened.output
    assert "tessera phone remove bnd_" in opened.output
    assert town.run("remove", answers="n\n").exit_code == 1
    assert "Account 1" in town.run("list").output
    assert "Erased here." in town.run("remove", answers="y\n").output
    assert "bound to nothing" in town.run("list").output


def test_two_step_typed_code(town: Town) -> None:
    town.gateway.two_step = True
    town.customer()
    shown = show_code2_nonce(town.gateway.nonce)
    answers = f"nonsense\n{shown[:-1]}{'0' if shown[-1] != '0' else '1'}\n{shown}\n{PIN}\n{PIN}\n"
    bound = town.run("typed", town.gateway.typed.show(), answers=answers)
    assert bound.exit_code == 0, bound.output
    assert "That is not the second code" in bound.output
    assert "A character is wrong" in bound.output


def test_a_stranger_s_host_has_to_be_confirmed(town: Town) -> None:
    refused = town.run("link", town.link(), answers="n\n", host=False)
    assert refused.exit_code == 1
    assert "Nothing was sent." in refused.output
    assert town.gateway.seen == []
    foreign = town.run("link", make_link("other.example", town.gateway.screen().pack()))
    assert foreign.exit_code == 1
    assert "leads to other.example" in foreign.output
    assert town.gateway.seen == []


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["link", "https://bank.example/other"], 1, "Not a Tessera link"),
        (["typed", "0000"], 1, "20 letters and digits"),
        (["typed", "--gateway-key", "zz", "0000"], 2, "not hexadecimal"),
        (["scan", "missing.png"], 2, "does not exist"),
        (["open"], 1, "bound to nothing"),
        (["open", "bnd_unknown"], 1, "No binding"),
    ],
)
def test_mistakes_say_what_to_do(town: Town, arguments: list[str], status: int, text: str) -> None:
    result = town.run(*arguments)
    assert result.exit_code == status, result.output
    assert text in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["link", "typed"])
def test_the_code_may_come_by_the_standard_input(town: Town, command: str) -> None:
    """What stands on the command line is in the shell's history, and other people's `ps` shows it."""
    town.customer()
    code = town.link() if command == "link" else town.gateway.typed.show()
    bound = town.run(command, "-", answers=f"{code}\n{PIN}\n{PIN}\n")
    assert bound.exit_code == 0, bound.output
    assert "This phone is bound" in bound.output
    assert "history" in CliRunner().invoke(phone, [command, "--help"]).output
    assert town.run(command, "-").exit_code == 1, "the end of the input"


def test_a_typed_code_is_not_used_with_a_key_that_changed(town: Town) -> None:
    """The key was kept when the phone first spoke to the host, which is before it needed it."""
    town.gateway.ended = True
    town.run("link", town.link())
    heard = list(town.gateway.seen)
    town.gateway.static = P256().generate()
    refused = town.run("typed", town.gateway.typed.show())
    assert refused.exit_code == 1
    assert "Scan the code on the bank's page instead" in refused.output
    assert town.gateway.seen == heard, "no hello went out under the new key"


def test_a_typed_code_needs_the_host(town: Town) -> None:
    result = town.run("typed", town.gateway.typed.show(), host=False)
    assert result.exit_code == 2
    assert "--host" in result.output


def test_plain_http_is_for_this_machine_alone(town: Town) -> None:
    town.gateway.host = "bank.example"
    result = town.run("typed", town.gateway.typed.show())
    assert result.exit_code == 1
    assert "this machine alone" in result.output


def test_no_gateway_there(town: Town) -> None:
    town.gateway.host = "127.0.0.1:1"
    result = town.run("typed", town.gateway.typed.show())
    assert result.exit_code == 3
    assert "can't be reached" in result.output


def test_https_to_a_port_of_plain_http(town: Town, tmp_path: Path) -> None:
    options = [
        "--store",
        str(tmp_path / "k"),
        "--key-file",
        str(tmp_path / "kk"),
        "--host",
        town.gateway.host,
    ]
    result = CliRunner().invoke(phone, [*options, "typed", town.gateway.typed.show()])
    assert result.exit_code == 3, result.output
    assert "speaks plain HTTP" in result.output
    assert "--insecure-http" in result.output


def test_a_picture_without_a_code(town: Town, tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(b"no picture")
    result = town.run("scan", str(picture))
    assert result.exit_code == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize("form", ["colour", "qr"])
def test_scanning_a_picture(town: Town, tmp_path: Path, form: str) -> None:
    picture = tmp_path / "code.png"
    symbol = codes.render(town.gateway.screen().pack(), form=codes.Form(form), text=town.link())
    picture.write_bytes(codes.to_png(symbol, scale=8))
    town.customer()
    bound = town.run("scan", str(picture), answers=f"{PIN}\n{PIN}\n")
    assert bound.exit_code == 0, bound.output


def test_passphrase_file_and_a_wrong_one(town: Town, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse\n")
    wrong.write_text("another\n")
    store = str(tmp_path / "other.keys")
    base = ["--store", store, "--insecure-http", "--host", town.gateway.host]
    town.customer()
    bound = CliRunner().invoke(
        phone, [*base, "--passphrase-file", str(right), "link", "--yes", town.link()], input=f"{PIN}\n{PIN}\n"
    )
    assert bound.exit_code == 0, bound.output
    refused = CliRunner().invoke(phone, [*base, "--passphrase-file", str(wrong), "list"])
    assert refused.exit_code == 1
    assert "does not open" in refused.output
    assert "another" not in refused.output.replace("another process", "")


def test_help_teaches() -> None:
    text = CliRunner().invoke(phone, ["--help"]).output
    for word in (
        "An activation, step by step",
        "scan",
        "eight digits",
        "Exit status",
        "--insecure-http",
        "--ca",
    ):
        assert word in text
    for command in ("scan", "link", "typed", "list", "open", "rename", "remove"):
        assert CliRunner().invoke(phone, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("says", ["y", "n"])
def test_keys_are_erased_here_alone_when_asked(town: Town, says: str) -> None:
    town.customer()
    assert town.run("link", town.link(), answers=f"{PIN}\n{PIN}\n").exit_code == 0
    result = town.run("remove", "--here-only", answers=f"{says}\n")
    assert ("Erased here" in result.output) is (says == "y")
    listed = town.run("list").output
    assert ("bound to nothing" in listed) is (says == "y")
