"""OCRA, the OATH challenge-response algorithm (RFC 6287): suites by the grammar of its section 6, and the response of
one computation. Offline answers are one suite of it (`offline.py`). Keys and PIN hashes are secrets: never log, format
or compare them by ==. Counting, windows and tries are the caller's."""

import hmac
import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.protocol.errors import MalformedSuite, OcraInputRefused
from gateway.protocol.otp import truncate

QuestionForm = Literal["A", "N", "H"]

_QUESTION_BYTES: Final = 128
_HASH_BYTES: Final = {"SHA1": 20, "SHA256": 32, "SHA512": 64}
_STEP: Final = r"(?:[1-9]|[1-5][0-9])[SM]|(?:[0-9]|[1-3][0-9]|4[0-8])H"
_SUITE: Final = re.compile(
    r"\AOCRA-1:HOTP-(?P<hash>SHA(?:1|256|512))-(?P<digits>0|[4-9]|10):"
    r"(?P<counter>C-)?Q(?P<form>[ANH])(?P<longest>0[4-9]|[1-5][0-9]|6[0-4])"
    rf"(?:-P(?P<pin>SHA(?:1|256|512)))?(?:-S(?P<session>[0-9]{{3}}))?(?:-T(?P<step>{_STEP}))?\Z"
)
_FORMS: Final = {
    "A": re.compile(r"\A[\x20-\x7e]+\Z"),
    "N": re.compile(r"\A[0-9]+\Z"),
    "H": re.compile(r"\A[0-9A-Fa-f]+\Z"),
}


@dataclass(frozen=True, slots=True)
class Suite:
    """A parsed suite. `digits` is 0 where the response is the whole HMAC; `pin_hash`, `session_bytes` and `step` are
    None where the suite has no such input. `step` is the size of a time step as written, such as "1M"."""

    text: str
    hash: str
    digits: int
    counter: bool
    form: QuestionForm
    longest: int
    pin_hash: str | None
    session_bytes: int | None
    step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What goes into one computation: the question, and exactly the inputs that the suite names. In a mutual
    computation the question is those of both parties joined, the other's in front (section 7.2). `counter` and
    `time_steps` are u64, `pin_hash` is the digest of the PIN by the suite's hash, `session` exactly its bytes."""

    question: str
    counter: int | None = None
    pin_hash: bytes | None = None
    session: bytes | None = None
    time_steps: int | None = None

    def __repr__(self) -> str:
        return "Inputs(<of one response>)"


def parse_suite(text: str) -> Suite:
    """Read a suite: `OCRA-1:HOTP-<hash>-<digits>:[C-]Q<form><longest>[-P<hash>][-S<nnn>][-T<step>]`, in upper case,
    with nothing left to defaults. Raises MalformedSuite."""
    found = _SUITE.match(text)
    if found is None:
        raise MalformedSuite("not a suite of RFC 6287")
    session = None if found["session"] is None else int(found["session"])
    if session is not None and not 1 <= session <= 512:
        raise MalformedSuite("session information has 1 to 512 bytes")
    form: QuestionForm = "A" if found["form"] == "A" else "N" if found["form"] == "N" else "H"
    return Suite(
        text=text,
        hash=found["hash"],
        digits=int(found["digits"]),
        counter=found["counter"] is not None,
        form=form,
        longest=int(found["longest"]),
        pin_hash=found["pin"],
        session_bytes=session,
        step=found["step"],
    )


def respond(suite: Suite, inputs: Inputs, *, key: bytes) -> str:
    """Return the response: `suite.digits` decimal digits, or the whole HMAC in lower-case hex where the suite has 0.
    Raises OcraInputRefused when the inputs are not those of the suite."""
    mac = hmac.new(key, _data_input(suite, inputs), suite.hash.lower()).digest()
    if suite.digits == 0:
        return mac.hex()
    return f"{truncate(mac) % 10**suite.digits:0{suite.digits}d}"


def _data_input(suite: Suite, inputs: Inputs) -> bytes:
    """Section 5.1: suite | 0x00 | C u64 | Q 128 | P | S | T u64."""
    parts = [suite.text.encode("ascii"), b"\x00"]
    if suite.counter:
        parts.append(_u64(inputs.counter, what="counter"))
    parts.append(_question(suite, inputs.question))
    if suite.pin_hash is not None:
        parts.append(_sized(inputs.pin_hash, _HASH_BYTES[suite.pin_hash], what="hash of the PIN"))
    if suite.session_bytes is not None:
        parts.append(_sized(inputs.session, suite.session_bytes, what="session"))
    if suite.step is not None:
        parts.append(_u64(inputs.time_steps, what="count of time steps"))
    present = (inputs.counter, inputs.pin_hash, inputs.session, inputs.time_steps)
    wanted = (
        suite.counter,
        suite.pin_hash is not None,
        suite.session_bytes is not None,
        suite.step is not None,
    )
    if any(value is not None and not want for value, want in zip(present, wanted, strict=True)):
        raise OcraInputRefused("an input that the suite does not name would not count")
    return b"".join(parts)


def _question(suite: Suite, question: str) -> bytes:
    """The question in 128 bytes, zeros behind: text as ASCII, a number as its hexadecimal digits from the left, and
    hexadecimal digits likewise, so that an odd one fills the upper half of its byte."""
    if len(question) > 2 * suite.longest or _FORMS[suite.form].match(question) is None:
        raise OcraInputRefused("the question is not of the form of the suite")
    if suite.form == "A":
        return question.encode("ascii").ljust(_QUESTION_BYTES, b"\x00")
    digits = f"{int(question):x}" if suite.form == "N" else question
    return bytes.fromhex(digits.ljust(2 * _QUESTION_BYTES, "0"))


def _u64(value: int | None, *, what: str) -> bytes:
    if value is None or not 0 <= value < 2**64:
        raise OcraInputRefused(f"the {what} has 8 bytes")
    return value.to_bytes(8, "big")


def _sized(value: bytes | None, size: int, *, what: str) -> bytes:
    if value is None or len(value) != size:
        raise OcraInputRefused(f"the {what} has {size} bytes")
    return value
