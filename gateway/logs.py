"""Structured logs: one JSON object a line on standard error, by structlog. The command line configures them once.
Nothing secret leaves through here: members with telling names are dropped, and anything shaped like a credential is
blotted out of the finished line, whoever wrote it."""

import asyncio
import atexit
import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import structlog

from gateway.core.clock import Clock

_SECRET_NAMES = frozenset(
    {
        "authorization",
        "cookie",
        "token",
        "page_token",
        "api_key",
        "secret",
        "password",
        "code",
        "device_code",
        "typed",
    }
    | {"pin", "psk", "otk", "seed", "link", "body", "payload", "plaintext"}
)
_SECRET_SHAPES = re.compile(
    rb"(tsk|ptk|whsec)_[A-Za-z0-9_+/=-]{8,}|(?:[Bb]earer|BEARER) [A-Za-z0-9._~+/=-]{8,}"
)
_ASYNCIO_WORDS = re.compile(r"[^(<\n]*")
TRACE_FRAMES = 12
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def configure(*, level: str, clock: Clock, stream: BinaryIO | None = None) -> None:
    """Send structlog and the standard library's logging to `stream` (default: standard error)."""

    def stamp(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["level"] = method
        event["at"] = round(clock.now(), 3)
        return event

    structlog.configure(
        processors=[stamp, redact, trace, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_LineLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(max(_LEVELS[level], logging.WARNING) if level != "debug" else logging.INFO)


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blot out members whose name tells of a secret."""
    for name in _SECRET_NAMES & event.keys():
        event[name] = "[redacted]"
    return event


def trace(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace `exc_info` by the exception's type and where it came from. Its text is left out: a library may quote
    a value in it."""
    info = event.pop("exc_info", None)
    if info:
        error = (
            info
            if isinstance(info, BaseException)
            else info[1]
            if isinstance(info, tuple)
            else sys.exc_info()[1]
        )
        if error is not None:
            event["exception"] = type(error).__name__
            frames = traceback.extract_tb(error.__traceback__)
            event["trace"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-TRACE_FRAMES:]]
    return event


def render(_: object, __: str, event: MutableMapping[str, Any]) -> bytes:
    """Return the line: JSON with the message first, credentials blotted out."""
    line = {"event": event.pop("event", None), **event}
    encoded = _encode(line)
    if (
        b"sk_" in encoded
        or b"tk_" in encoded
        or b"sec_" in encoded
        or b"earer " in encoded
        or b"EARER " in encoded
    ):
        return _SECRET_SHAPES.sub(b"[redacted]", encoded)
    return encoded


class _LineLogger:
    """Writes finished lines; without a stream to whatever standard error is at the time. The lines of one turn of the
    event loop are written together at its end."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._turn: asyncio.AbstractEventLoop | None = None
        atexit.register(self._flush)

    def msg(self, line: bytes) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop runs here: a command, or a thread of the storage
            self._write(line + b"\n")
            return
        if self._turn is not loop:
            self._flush()  # what a loop that has ended left
            self._turn = loop
            loop.call_soon(self._flush)
        self._lines.append(line + b"\n")

    def _flush(self) -> None:
        self._turn = None
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"".join(lines))

    def _write(self, text: bytes) -> None:
        stream = self._stream or sys.stderr.buffer
        stream.write(text)
        stream.flush()

    debug = info = warning = error = critical = exception = msg


class _LineLoggerFactory:
    """Gives every logger the same stream."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._logger = _LineLogger(stream)

    def __call__(self, *_: object) -> _LineLogger:
        return self._logger


class _Bridge(logging.Handler):
    """Hands records of the standard library's logging to structlog, without the words of exceptions."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger("library")
        level = (
            "error"
            if record.levelno >= logging.ERROR
            else "warning"
            if record.levelno >= logging.WARNING
            else "info"
        )
        members: dict[str, Any] = {"source": record.name}
        if record.exc_info:
            members["exc_info"] = record.exc_info
            members["place"] = f"{Path(record.pathname).name}:{record.lineno} {record.funcName}"
        getattr(logger, level)(_words_of(record), **members)


def _words_of(record: logging.LogRecord) -> str:
    """Return what a record may say. asyncio writes tasks and arguments out, exceptions and all, behind its first words;
    a message that comes with an exception is told only where it is a constant."""
    if record.name == "asyncio":
        return _ASYNCIO_WORDS.match(record.getMessage())[0].strip()  # type: ignore[index]
    if record.exc_info:
        return str(record.msg) if record.args else "a library's exception"
    if isinstance(record.args, tuple):
        record.args = tuple(map(_without_words, record.args))
    elif isinstance(record.args, Mapping):
        record.args = {name: _without_words(value) for name, value in record.args.items()}
    return record.getMessage()


def _without_words(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value
