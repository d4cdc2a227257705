"""Logs are one JSON object a line and hold no secret, whoever writes them."""

import asyncio
import gc
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from gateway import logs
from gateway.core.clock import ManualClock


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Log into memory; afterwards everything is as it was."""
    config, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.BytesIO()
    logs.configure(level="info", clock=ManualClock(1_800_000_000.1234), stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.configure(**config)
    root.handlers[:], root.level = handlers, level


def fresh_logger() -> structlog.typing.FilteringBoundLogger:
    return structlog.get_logger("test")  # type: ignore[no-any-return]


def test_line_has_event_level_and_time(lines: Callable[[], list[dict[str, object]]]) -> None:
    fresh_logger().info("hello", count=3)
    assert lines() == [{"event": "hello", "count": 3, "level": "info", "at": 1_800_000_000.123}]


async def test_lines_of_one_turn_of_the_loop_are_written_together(
    lines: Callable[[], list[dict[str, object]]],
) -> None:
    log = fresh_logger()
    log.info("a")
    log.info("b")
    assert lines() == []
    await asyncio.sleep(0)
    assert [line["event"] for line in lines()] == ["a", "b"]
    await asyncio.to_thread(log.info, "of a thread")
    assert lines()[-1]["event"] == "of a thread"


def test_lines_that_a_loop_left_are_written_with_those_of_the_next(
    lines: Callable[[], list[dict[str, object]]],
) -> None:
    log = fresh_logger()

    async def say(words: str) -> None:
        log.info(words)

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    task = first.create_task(say("left"))
    first.call_soon(first.stop)  # ends before its next turn
    first.run_forever()
    assert task.done()
    second.run_until_complete(say("next"))
    first.close()
    second.run_until_complete(asyncio.sleep(0))
    second.close()
    assert [line["event"] for line in lines()] == ["left", "next"]


def test_lines_that_wait_are_written_at_the_end_of_the_process() -> None:
    program = (
        "import asyncio, structlog\nfrom gateway import logs\nfrom gateway.core.clock import SystemClock\n"
        "logs.configure(level='info', clock=SystemClock())\n"
        "async def main():\n    structlog.get_logger('x').info('last words')\n    raise SystemExit(3)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert json.loads(ended.stderr)["event"] == "last words"


def test_telling_names_are_blotted_out(lines: Callable[[], list[dict[str, object]]]) -> None:
    fresh_logger().info("x", authorization="Bearer abc", pin="123456", code="1", seed="s", route="GET /a")
    (line,) = lines()
    assert {name for name, value in line.items() if value == "[redacted]"} == {
        "authorization",
        "pin",
        "code",
        "seed",
    }
    assert line["route"] == "GET /a"


@pytest.mark.parametrize(
    "secret",
    [
        "tsk_" + "a" * 43,
        "ptk_" + "b" * 43,
        "whsec_" + "c" * 43 + "=",
        "Bearer abcdefgh12345",
        "bearer abcdefgh12345",
    ],
)
def test_credentials_are_blotted_out_wherever_they_stand(
    lines: Callable[[], list[dict[str, object]]], secret: str
) -> None:
    fresh_logger().info(f"asked with {secret}", url=f"https://x/?t={secret}", inner={"list": [secret]})
    assert secret.split("_")[-1] not in json.dumps(lines())
    assert "[redacted]" in json.dumps(lines())


def test_exception_leaves_its_kind_and_place_but_not_its_words(
    lines: Callable[[], list[dict[str, object]]],
) -> None:
    try:
        raise ValueError("the PIN 123456")
    except ValueError:
        fresh_logger().error("failed", exc_info=True)
    (line,) = lines()
    assert line["exception"] == "ValueError"
    assert any("test_logs.py" in str(frame) for frame in line["trace"])  # type: ignore[attr-defined]
    assert "123456" not in json.dumps(line)


def test_level_is_kept(lines: Callable[[], list[dict[str, object]]]) -> None:
    fresh_logger().debug("unseen")
    assert lines() == []


def test_librarys_own_logs_come_the_same_way(lines: Callable[[], list[dict[str, object]]]) -> None:
    logging.getLogger("some.library").warning("took %s", "tsk_" + "a" * 43)
    (line,) = lines()
    assert (line["level"], line["source"]) == ("warning", "some.library")
    assert line["event"] == "took [redacted]"


def raised() -> ValueError:
    try:
        raise ValueError("the PIN 123456")
    except ValueError as error:
        return error


def test_task_that_failed_unseen_leaves_no_words(lines: Callable[[], list[dict[str, object]]]) -> None:
    async def fail() -> None:
        raise ValueError("the PIN 123456")

    async def main() -> None:
        asyncio.get_running_loop().call_soon(int, "the PIN 123456")
        task = asyncio.create_task(fail())
        await asyncio.sleep(0.01)
        del task
        gc.collect()

    asyncio.run(main())
    callback, task = lines()
    assert callback["event"] == "Exception in callback int"
    assert task["event"] == "Task exception was never retrieved"
    assert (task["source"], task["exception"]) == ("asyncio", "ValueError")
    assert any("test_logs.py" in str(frame) for frame in task["trace"])  # type: ignore[attr-defined]
    assert "123456" not in json.dumps([callback, task])


@pytest.mark.parametrize(
    ("message", "args", "event"),
    [
        ("failed for %s", ("10.0.0.1",), "failed for %s"),
        ("failed: the PIN 123456", (), "a library's exception"),
    ],
)
def test_librarys_exception_leaves_its_kind_and_place_but_not_its_words(
    lines: Callable[[], list[dict[str, object]]], message: str, args: tuple[str, ...], event: str
) -> None:
    logging.getLogger("some.library").error(message, *args, exc_info=raised())
    (line,) = lines()
    assert (line["event"], line["exception"], line["source"]) == (event, "ValueError", "some.library")
    assert str(line["place"]).startswith("test_logs.py:")
    assert "123456" not in json.dumps(line)


def test_exception_among_a_librarys_arguments_is_named_by_its_kind(
    lines: Callable[[], list[dict[str, object]]],
) -> None:
    logging.getLogger("some.library").warning("retrying after %s: %r", 3, raised())
    assert lines()[0]["event"] == "retrying after 3: 'ValueError'"
    logging.getLogger("some.library").warning("%(error)s", {"error": raised()})
    assert lines()[1]["event"] == "ValueError"


def test_what_json_does_not_know_is_written_as_text(lines: Callable[[], list[dict[str, object]]]) -> None:
    fresh_logger().info("x", thing=object)
    assert "object" in str(lines()[0]["thing"])
