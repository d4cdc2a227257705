"""What `tessera phone` asks people: PINs, the second code, a yes. Prompts run in a thread, so that the channel's
heartbeat goes on while somebody thinks. PINs are never echoed and never part of a message."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.phone.contact import FirstContact
from gateway.phone.errors import AnswerIsWrong, PinIsBlocked, PinIsWrong
from gateway.protocol.code import read_link, read_own_scan
from gateway.protocol.errors import MalformedCode, MistypedCode, ProtocolError
from gateway.protocol.messages import FirstAnswer
from gateway.protocol.pin import WeakReason, weakness

_WEAK = {
    WeakReason.NOT_DIGITS: "A PIN has digits only.",
    WeakReason.LENGTH: "The PIN needs {digits} digits.",
    WeakReason.SAME: "All digits are the same. Choose another PIN.",
    WeakReason.RUN: "Digits in a row are the first that anybody tries. Choose another PIN.",
    WeakReason.REPEATED: "The same digits over and over are easily guessed. Choose another PIN.",
    WeakReason.DATE: "This reads as a date, and dates are easily guessed. Choose another PIN.",
    WeakReason.COMMON: "Many people choose this one. Choose another PIN.",
}


YES = ("y", "yes", "o", "oui")


async def ask(text: str, **options: Any) -> str:
    """Ask for a line. Ctrl-C and the end of input abort."""
    answer: str = await asyncio.to_thread(lambda: click.prompt(text, **options))
    return answer


async def ask_pin(text: str = "PIN") -> str:
    """Ask for a PIN in force, hidden."""
    return await ask(text, hide_input=True)


async def ask_new_pin(*, digits: int) -> str:
    """Ask twice for a new PIN until it is not weak and both agree."""
    while True:
        pin = await ask(f"Choose a PIN of {digits} digits", hide_input=True)
        reason = weakness(pin, digits=digits)
        if reason is not None:
            click.echo(_WEAK[reason].format(digits=digits))
        elif await ask("The same PIN again", hide_input=True) == pin:
            return pin
        else:
            click.echo("The two were not the same.")


class Teller:
    """Prints what happens while the contact waits. The device code is shown to a person who has agreed, and not before:
    whoever types it binds this phone."""

    def __init__(self) -> None:
        self._has_agreed = False
        self._held: str | None = None

    def agree(self) -> None:
        """Show the device code from now on."""
        self._has_agreed = True
        if self._held is not None:
            self._show(self._held)

    def device_code(self, code: str, tries: int) -> None:
        """Show the code to type on the bank's page."""
        if self._has_agreed:
            self._show(code)
        self._held = code

    def _show(self, code: str) -> None:
        click.echo(f"\nType this code on the bank's page:  {code[:4]} {code[4:]}\n")

    def wrong_code(self, left: int) -> None:
        """Tell of a wrong code."""
        click.echo(
            f"A wrong code was typed on the bank's page. {left} {'try' if left == 1 else 'tries'} left."
        )

    def reconnecting(self) -> None:
        """Tell of a lost connection."""
        click.echo("The connection is lost. Connecting again…")


async def agree(answer: FirstAnswer, *, is_asked: bool) -> bool:
    """Say who answers and what will happen; return whether this phone is to be bound to it."""
    click.echo(f"\n  Bank      {answer.tenant}\n  Customer  {answer.label}\n\nWhat will happen:")
    steps = ["Eight digits appear here.", "You type them on the bank's page."]
    if answer.two_step:
        steps.append("The bank's page shows a second code, which you give here.")
    steps.append(f"You choose a PIN of {answer.pin.digits} digits here.")
    for number, step in enumerate(steps, start=1):
        click.echo(f"  {number}. {step}")
    if not is_asked:
        return True
    click.echo("\nGo on only if you began this yourself on your bank's page, and it is your name.")
    typed = await ask("Bind this phone? [y/N]", default="n", show_default=False)
    return typed.strip().lower() in YES


async def ask_code2(contact: FirstContact, *, host: str) -> None:
    """Ask for the second code until one is taken: a picture's path, a link, or the 17 typed characters."""
    while True:
        text = (await ask("Second code (path of a picture, or the characters shown beside it)")).strip()
        try:
            scanned = await asyncio.to_thread(_read_if_picture, Path(text))
            if scanned is not None:
                label = contact.take_code2(read_own_scan(scanned, own_host=host))
                click.echo(f"The second code is for: {label}")
            elif text.startswith("http"):
                contact.take_code2(read_link(text)[1])
            else:
                contact.take_typed_code2(text)
            return
        except MistypedCode:
            click.echo("A character is wrong: compare it with the bank's page, and type it again.")
        except (MalformedCode, click.ClickException) as error:
            text = error.format_message() if isinstance(error, click.ClickException) else str(error)
            click.echo(f"That is not the second code of this contact: {text}.")
        except ProtocolError as error:
            click.echo(f"Not taken: {error}.")


def _read_if_picture(path: Path) -> bytes | None:
    """Return what the code in a picture holds, or None when the path is no file."""
    try:
        return read_picture(path) if path.is_file() else None
    except OSError:
        return None


def read_picture(path: Path) -> bytes:
    """Return what the code in a picture holds. Raises click.ClickException."""
    from gateway.codes.reader import (  # numpy is slow to load, and needed here alone
        UnreadableCode,
        read_image,
    )

    try:
        return read_image(path).payload
    except UnreadableCode as error:
        raise click.ClickException(str(error)) from None


def describe_wrong_answer(error: AnswerIsWrong) -> str:
    """Return what to say of an answer that was not taken; the gateway does not tell which part of it was wrong."""
    lines = ["The bank did not take that: the PIN, the number or the signature is wrong."]
    if error.left:
        lines.append(f"{error.left} {'try' if error.left == 1 else 'tries'} left for this request.")
    else:
        lines.append("This request is over.")
    if error.needs_bank:
        lines.append("This phone can't approve any more until the bank unblocks it: call your bank.")
    elif error.until is not None:
        lines.append(f"This phone can't approve until {clock_time(error.until)}; it can refuse.")
    if error.is_last and not error.needs_bank:
        lines.append("After the next block, only the bank unblocks it.")
    return " ".join(lines)


def clock_time(seconds: float) -> str:
    """Return a time of day, for what ends within hours."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S UTC")


def describe_pin_error(error: PinIsWrong | PinIsBlocked) -> str:
    """Return the sentence for a wrong or blocked PIN."""
    if isinstance(error, PinIsWrong) and error.left > 0:
        return f"That is not the PIN. {error.left} {'try' if error.left == 1 else 'tries'} left."
    if error.until is None:
        return "The PIN is blocked. Ask the bank to unblock it."
    return f"The PIN is blocked until {clock_time(error.until)}."
