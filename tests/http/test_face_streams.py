"""Event streams over real HTTP: taken up again without a gap, kept alive, ended with their credential, bounded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from face_kit import BANK_ORIGIN, PAGE_TOKEN, Face, running_face

from gateway.bus import events as bus_events
from gateway.bus.journal import RecordingJournal
from gateway.bus.store import prune
from gateway.core.clock import ManualClock
from gateway.core.events import AuditWord, Fact
from gateway.core.principals import PagePrincipal, digest_token
from gateway.http.sse import MAX_STREAMS_A_CALLER, EventStreams

TOPIC = "topic:1"


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path) as running:
        yield running


async def tell(face: Face, number: int, topic: str = TOPIC) -> None:
    def no_audit(*_: Any, **__: Any) -> None:
        return None

    journal = RecordingJournal(audit=no_audit, events=face.events, outbox=None, clock=face.clock)
    fact = Fact(
        face.tenant,
        AuditWord.BANK_WEBHOOK_CREATE,
        "s",
        {"n": number, "text": "line\nbreak é"},
        event="x.told",
        topics=(topic,),
    )
    await face.storage.write(lambda tx: journal.record(tx, fact))


class Stream:
    """Reads one stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.lines: list[str] = []

    async def event(self) -> dict[str, str]:
        """Return the next event; comments and retry lines are kept aside."""
        found: dict[str, str] = {}
        while True:
            line = (await asyncio.wait_for(self.answer.content.readline(), 20)).decode()
            if line == "":
                raise EOFError
            self.lines.append(line)
            if line == "\n" and "data" in found:
                return found
            name, colon, value = line.rstrip("\n").partition(": ")
            if colon and name in ("id", "event", "data"):
                found[name] = value

    async def numbers(self, count: int) -> list[int]:
        return [int((await self.event())["data"].split('"n":')[1].split(",")[0]) for _ in range(count)]


@contextlib.asynccontextmanager
async def stream(
    face: Face, *, last: str | None = None, query: str = "", token: str = PAGE_TOKEN
) -> AsyncIterator[Stream]:
    headers = face.bearer(token) | {"Origin": BANK_ORIGIN}
    if last is not None:
        headers["Last-Event-ID"] = last
    async with face.session.get(f"{face.url}/t/stream{query}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        yield Stream(answer)


async def test_events_come_as_they_happen_in_their_form(face: Face) -> None:
    async with stream(face) as reader:
        assert reader.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert reader.answer.headers["Access-Control-Allow-Origin"] == BANK_ORIGIN
        assert reader.answer.headers["Cache-Control"] == "no-store"
        await tell(face, 0, topic="topic:2")
        await tell(face, 1)
        event = await reader.event()
    assert event["event"] == "x.told"
    assert event["data"] == '{"n":1,"text":"line\\nbreak é"}'
    assert int(event["id"]) == 2


async def test_stream_is_taken_up_after_the_last_event(face: Face) -> None:
    for number in range(5):
        await tell(face, number)
    async with stream(face, last="2") as reader:
        assert await reader.numbers(3) == [2, 3, 4]
        await tell(face, 5)
        assert await reader.numbers(1) == [5]
    async with stream(face, query="?from=start") as reader:
        assert await reader.numbers(6) == [0, 1, 2, 3, 4, 5]


async def test_many_events_arrive_once_each_and_in_order_while_taking_up(face: Face) -> None:
    for number in range(bus_events.PAGE + 30):
        await tell(face, number)
    total = bus_events.PAGE + 130

    async def go_on() -> None:
        for number in range(bus_events.PAGE + 30, total):
            await tell(face, number)

    async with stream(face, last="1") as reader:
        writing = asyncio.create_task(go_on())
        assert await reader.numbers(total - 1) == list(range(1, total))
        await writing


async def test_slow_reader_falls_back_to_the_table(face: Face) -> None:
    subscription = face.events.subscribe([TOPIC])
    first = asyncio.create_task(anext(subscription))
    while not face.events._topics:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    await tell(face, 0)
    assert (await first).data.startswith('{"n":0')
    for number in range(1, bus_events.MAX_WAITING + 40):
        await tell(face, number)
    got = [await anext(subscription) for _ in range(bus_events.MAX_WAITING + 39)]
    assert [event.id for event in got] == list(range(2, bus_events.MAX_WAITING + 41))
    await subscription.aclose()  # type: ignore[attr-defined]
    assert not face.events._topics


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "99999999999999999999", "1 2", "٣"])
async def test_other_ids_are_refused(face: Face, last: str) -> None:
    headers = {"Last-Event-ID": last}
    status, body, _ = await face.ask("GET", "/t/stream", token=PAGE_TOKEN, headers=headers)
    assert (status, body["code"]) == (400, "invalid-request")


async def test_quiet_stream_beats(tmp_path: Path) -> None:
    async with running_face(tmp_path, heartbeat_s=0.05) as face, stream(face) as reader:
        while ":\n" not in reader.lines:
            reader.lines.append((await asyncio.wait_for(reader.answer.content.readline(), 20)).decode())
        await tell(face, 7)
        assert await reader.numbers(1) == [7]


async def test_stream_ends_with_its_credential(face: Face) -> None:
    token = "ptk_" + 43 * "e"
    ends = int(face.clock.now() * 1000) + 300
    face.pages.known[digest_token(token)] = PagePrincipal(face.tenant, "pag_e", "act_1", None, ends)
    async with stream(face, token=token) as reader:
        with pytest.raises(EOFError):
            await reader.event()


async def test_streams_of_one_caller_are_bounded_and_places_come_back(face: Face) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_STREAMS_A_CALLER):
            await stack.enter_async_context(stream(face))
        status, body, _ = await face.ask("GET", "/t/stream", token=PAGE_TOKEN)
        assert (status, body["code"]) == (429, "rate-limited")
    for number in range(200):  # writing to the streams shows that nobody reads them any more
        if face.streams.count == 0:
            break
        await tell(face, number)
    assert face.streams.count == 0


async def test_stopping_the_server_ends_streams_in_good_order(face: Face) -> None:
    async with stream(face) as reader:
        await tell(face, 1)
        assert await reader.numbers(1) == [1]
        stopping = asyncio.create_task(face.runner.cleanup())
        with pytest.raises(EOFError):
            await reader.event()
        await stopping


async def test_forgotten_events_are_told_by_a_reset(face: Face) -> None:
    for number in range(4):
        await tell(face, number)
    face.clock.advance(600)
    await tell(face, 4)
    before = int((face.clock.now() - 60) * 1000)
    assert await face.storage.write(lambda tx: prune(tx, before)) == 4
    async with stream(face, last="2") as reader:
        reset = await reader.event()
        assert (reset["event"], reset["id"]) == (bus_events.RESET, "2")
        assert await reader.numbers(1) == [4]
    async with stream(face, last="4") as reader:
        assert await reader.numbers(1) == [4]


async def test_id_of_a_newer_copy_of_the_database_is_told_by_a_reset(face: Face) -> None:
    for number in range(2):
        await tell(face, number)
    async with stream(face, last="900") as reader:
        reset = await reader.event()
        assert (reset["event"], reset["id"]) == (bus_events.RESET, "2")
        await tell(face, 2)
        assert await reader.numbers(1) == [2]
    async with stream(face, last="3") as reader:
        await tell(face, 3)
        assert await reader.numbers(1) == [3], "the newest id itself is no reason"


async def test_cancelling_a_stream_is_not_swallowed_while_its_wait_is_ended() -> None:
    started, ending, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def events(*_: Any) -> AsyncIterator[Any]:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()
        yield None

    class Response:
        async def write(self, _: bytes) -> None:
            raise ConnectionResetError

    streams = EventStreams(subscribe=events, clock=ManualClock(), max_streams=1, heartbeat_s=0.01)
    pumping = asyncio.create_task(streams._pump(Response(), events(), None))  # type: ignore[arg-type]
    await started.wait()
    await ending.wait()  # the heartbeat has failed; the wait for the next event is being ended
    pumping.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await pumping


async def test_stream_that_nobody_hears_ends_by_its_heartbeat_though_there_is_nothing_to_tell() -> None:
    async def events(*_: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None

    class Response:
        async def write(self, _: bytes) -> None:
            raise ConnectionResetError

    streams = EventStreams(subscribe=events, clock=ManualClock(), max_streams=1, heartbeat_s=0.01)
    await streams._pump(Response(), events(), None)  # type: ignore[arg-type]


async def test_fact_of_a_failed_unit_is_never_told(face: Face) -> None:
    async with stream(face) as reader:
        journal = RecordingJournal(
            audit=lambda *_, **__: None, events=face.events, outbox=None, clock=face.clock
        )
        fact = Fact(face.tenant, AuditWord.BANK_WEBHOOK_CREATE, "s", {}, event="x.told", topics=(TOPIC,))

        def unit(tx: Any) -> None:
            journal.record(tx, fact)
            raise LookupError

        with pytest.raises(LookupError):
            await face.storage.write(unit)
        await tell(face, 9)
        assert await reader.numbers(1) == [9]
