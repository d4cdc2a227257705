"""The commands of `tessera phone` for what a bank asks and writes: wait, offline, approvals, messages. `cli.py` puts
them beside the others."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.core.clock import SystemClock
from gateway.core.encoding import b64url_decode, b64url_encode
from gateway.phone.asks import Ask
from gateway.phone.bound import binding_argument, with_channel
from gateway.phone.channel import Channel
from gateway.phone.errors import (
    AnswerIsWrong,
    ApprovalEnded,
    ApprovalUnreadable,
    PhoneError,
    PinHasOtherDigits,
    PinIsBlocked,
)
from gateway.phone.line import Line
from gateway.phone.offline import answer_code, open_code, read_code_text
from gateway.phone.options import Failure, Options, run, sentence
from gateway.phone.prompts import (
    ask,
    ask_pin,
    clock_time,
    describe_pin_error,
    describe_wrong_answer,
    read_picture,
)
from gateway.phone.shown import describe_end, plain, show_past, show_statement, show_time
from gateway.phone.store import FileStore
from gateway.protocol.code import read_scan
from gateway.protocol.errors import ProtocolError
from gateway.protocol.messages import Decision, InboxMessage

_DECISIONS: dict[str, Decision] = {
    "a": "approve",
    "approve": "approve",
    "r": "refuse",
    "refuse": "refuse",
    "n": "report",
    "report": "report",
}


@click.command()
@binding_argument
@click.option("--once", is_flag=True, help="Leave after one request, with an exit status that tells its end.")
def wait(binding: str | None, once: bool) -> None:  # noqa: FBT001 - click hands flags over so
    """Stay connected, show what the bank asks, and answer it.

    Each request is shown as the bank sent it, for that is what this phone signs. Read it, compare it with the bank's
    page, and then:

    \b
      a  approve: the number on the bank's page where one is asked, and the PIN
      r  refuse: nothing happens at the bank
      n  not mine: refuse, and tell the bank that somebody else began it

    A lost connection is made again by itself. Ctrl-C leaves; what waits then is asked again the next time.
    Fingerprint and face are not to be had on a command line.
    """

    async def work(channel: Channel) -> None:
        kept = channel.binding
        line = Line(channel, clock=SystemClock(), on_lost=_tell_lost)
        click.echo(f"Connected to {kept.tenant} for {kept.label}. Waiting for requests; Ctrl-C leaves.")
        try:
            while True:
                request = await line.next_ask()
                try:
                    await _serve(line, request)
                except (AnswerIsWrong, ApprovalEnded, ApprovalUnreadable, PinIsBlocked) as error:
                    if once:
                        raise
                    click.echo(_describe(error))
                if once:
                    return
        finally:
            await line.close()

    try:
        with_channel(binding, work)
    except KeyboardInterrupt:
        click.echo("\nLeft.")


def _tell_lost() -> None:
    click.echo("The connection is lost. Connecting again…")


async def _serve(line: Line, request: Ask) -> None:
    """Show a request and take its answer, again after what did not end it. Raises what ends it without the person's
    answer."""
    if request.statement is None:
        raise ApprovalUnreadable
    statement = request.statement
    click.echo(f"\n{statement.bank} asks {statement.user}, until {clock_time(request.expires_at)}:\n")
    click.echo(f"{show_statement(statement)}\n")
    while True:
        decision, number, pin = await _attended(line, request)
        try:
            end = await line.answer(request, decision, pin=pin, number=number)
        except PinHasOtherDigits as error:
            click.echo(_describe(error))
        except AnswerIsWrong as error:
            if error.left == 0 or error.until is not None or error.needs_bank:
                raise
            click.echo(_describe(error))
        else:
            return click.echo(f"{describe_end(end)}\n")


class _Person:
    """Who answers one request. A line that is waited for can't be called off: once the request is `over`, the next one
    that is typed ends the questions."""

    def __init__(self) -> None:
        self.over: PhoneError | ProtocolError | None = None

    async def type(self, text: str, **options: Any) -> str:
        """Ask for a line, which may be empty. Raises `over`."""
        typed = await ask(text, default="", show_default=False, **options)
        if self.over is not None:
            raise self.over
        return typed.strip()


async def _attended(line: Line, request: Ask) -> tuple[Decision, int | None, str | None]:
    """Ask the person while the channel is heard, which keeps it alive. Raises ApprovalEnded when the request is over
    meanwhile, and what ends the connection for good."""
    person = _Person()
    answered = asyncio.ensure_future(_ask_answer(person, request))
    settled = asyncio.ensure_future(line.until_settled(request))
    try:
        await asyncio.wait({answered, settled}, return_when=asyncio.FIRST_COMPLETED)
        if not settled.done():
            return await answered
        try:
            person.over = ApprovalEnded(await settled)
        except (PhoneError, ProtocolError) as error:
            person.over = error
        click.echo(f"\n{sentence(str(person.over))}. Press Enter.")
        with contextlib.suppress(click.Abort):
            await answered
        raise person.over
    finally:
        for task in (answered, settled):
            task.cancel()
        await asyncio.gather(answered, settled, return_exceptions=True)


async def _ask_answer(person: _Person, request: Ask) -> tuple[Decision, int | None, str | None]:
    """Ask for the decision, and for what approving needs."""
    can_approve = bool({"pin", "possession"} & set(request.factors))
    if not can_approve:
        click.echo(
            "This takes fingerprint or face, which the command line has not: approve it on another phone."
        )
    choices = "[a]pprove, [r]efuse, [n]ot mine" if can_approve else "[r]efuse, [n]ot mine"
    while True:
        decision = _DECISIONS.get((await person.type(choices)).lower())
        if decision is not None and (can_approve or decision != "approve"):
            break
    if decision != "approve":
        return decision, None, None
    number = await _ask_number(person, request)
    if "possession" in request.factors:
        return decision, number, None
    return decision, number, await person.type("PIN", hide_input=True)


async def _ask_number(person: _Person, request: Ask) -> int | None:
    """Ask for the number on the bank's page, until it can be one: a wrong one ends the request."""
    if request.number == "none":
        return None
    is_choice = request.number == "choose"
    text = "Number on the bank's page"
    if is_choice:
        text += f" ({', '.join(str(each) for each in request.numbers)})"
    while True:
        typed = await person.type(text)
        number = int(typed) if len(typed) == 2 and typed.isascii() and typed.isdigit() else 0
        if number in request.numbers or (not is_choice and number >= 10):
            return number
        click.echo(
            "That is none of them. If the page shows another, refuse." if is_choice else "It has two digits."
        )


def _describe(error: PhoneError | ProtocolError) -> str:
    if isinstance(error, ProtocolError):
        return sentence(f"{error}.")
    if isinstance(error, AnswerIsWrong):
        return describe_wrong_answer(error)
    if isinstance(error, PinIsBlocked):
        return describe_pin_error(error)
    return sentence(f"{error}. {error.next_step}")


@click.command(short_help="List what the bank asked before.")
@binding_argument
@click.option("--all", "whole", is_flag=True, help="Everything, instead of the newest.")
def approvals(binding: str | None, whole: bool) -> None:  # noqa: FBT001 - click hands flags over so
    """List what the bank asked before, newest first, and how it ended.

    `here` means that it was answered on this phone.
    """

    async def work(channel: Channel) -> None:
        before: bytes | None = None
        while True:
            page = await channel.past(before)
            for item in page.items:
                click.echo(show_past(item))
            if not page.items and before is None:
                click.echo("The bank has asked nothing yet.")
            if not (whole and page.more and page.items):
                break
            before = page.items[-1].id
        if page.more and not whole:
            click.echo("There are older ones: tessera phone approvals --all")

    with_channel(binding, work)


@click.command(short_help="List the bank's messages.")
@binding_argument
@click.option(
    "--read", "chosen", metavar="ID", help="Show one message whole, and tell the bank that it was read."
)
def messages(binding: str | None, chosen: str | None) -> None:
    """List the bank's messages, newest first; * marks those that were not read."""
    wanted = None if chosen is None else _message_id(chosen)

    async def work(channel: Channel) -> None:
        found = False
        before: bytes | None = None
        while True:
            page = await channel.inbox(before)
            for item in page.items:
                if wanted is None:
                    mark = " " if item.read else "*"
                    click.echo(f"{mark} {b64url_encode(item.id)}  {show_time(item.at)}  {plain(item.title)}")
                elif item.id == wanted:
                    found = True
                    await _show_message(channel, item)
            if found or not page.more or not page.items:
                break
            before = bytes(page.items[-1].id)
        if wanted is not None and not found:
            raise Failure("There is no such message any more. See: tessera phone messages")
        if wanted is None:
            click.echo(f"Unread: {page.unread}. To read one: tessera phone messages --read ID")

    with_channel(binding, work)


def _message_id(text: str) -> bytes:
    try:
        raw = b64url_decode(text.strip())
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise click.BadParameter("not the id of a message", param_hint="--read")
    return raw


async def _show_message(channel: Channel, item: InboxMessage) -> None:
    click.echo(f"{plain(item.title)}\n{show_time(item.at)}\n\n{plain(item.body)}")
    if not item.read:
        await channel.mark_read(item.id)


@click.command()
@click.argument("code", required=False)
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Picture of the code, colour or QR, instead of CODE.",
)
def offline(code: str | None, image: Path | None) -> None:
    """Approve what a code on the bank's page asks, without a network.

    CODE is the link that the page gives beside its picture, or the bytes of the picture in base64url; - asks for it.
    What is asked is shown here; the PIN turns it into eight digits, which you type on the bank's page. They serve once.
    Whether the PIN is right, the page tells. To refuse, type nothing there.
    """
    if (code is None) == (image is None):
        raise click.UsageError("give the code or --image, one of them")
    try:
        host, payload = read_scan(read_picture(image)) if image else read_code_text(_given(code))
    except ProtocolError as error:
        raise Failure(sentence(f"{error}.")) from None
    options: Options = click.get_current_context().obj

    async def work(store: FileStore) -> None:
        asked = open_code(store, payload, host=host or options.host)
        statement = asked.statement
        until = datetime.fromtimestamp(statement.expires, UTC)
        click.echo(f"{statement.bank} asks {statement.user}, until {until:%H:%M:%S UTC}:\n")
        click.echo(f"{show_statement(statement)}\n")
        click.echo(
            "To approve this, give the PIN. If you did not ask for it, leave (Ctrl-C) and call your bank."
        )
        while True:
            try:
                digits = answer_code(store, asked, await ask_pin())
                break
            except PinHasOtherDigits as error:
                click.echo(_describe(error))
        click.echo(f"\nType these digits on the bank's page:  {digits[:4]} {digits[4:]}\n")

    run(work)


def _given(argument: str | None) -> str:
    text: str = click.prompt("Code") if argument in (None, "-") else str(argument)
    return text


COMMANDS = (wait, offline, approvals, messages)
"""What a bound phone answers and reads."""
