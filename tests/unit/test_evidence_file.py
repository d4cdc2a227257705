"""An evidence file is the whole truth or nothing: every byte and every member of it, changed, is found and named; and
whatever else is given for one is refused by name."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from evidence_kit import SECRET, TENANT, Bank, Phone
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.encoding import b64url_decode, b64url_encode
from gateway.evidence.models import EvidenceBroken, decode_evidence
from gateway.evidence.verify import verify_evidence

FACTORS = ("possession", "pin", "biometric", None)
"""None is an offline answer."""


async def _export(folder: Path, factor: Any) -> bytes:
    async with Bank.open(folder) as bank:
        number = {} if factor is None else {"number": 47}
        record = await bank.story(Phone(), factor, **number)
        return await bank.service.export(record.id, tenant_id=TENANT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, bytes]:
    return {factor: asyncio.run(_export(tmp_path_factory.mktemp("bank"), factor)) for factor in FACTORS}


def refused(data: bytes) -> EvidenceBroken:
    with pytest.raises(EvidenceBroken) as broken:
        verify_evidence(data)
    return broken.value


def lines_of(data: bytes) -> list[str]:
    """Return the member that each line of a file tells of, such as `log[0].entries[2].hash`."""
    open_paths: list[str] = []
    counts: list[int] = []
    members = []
    for line in data.decode().splitlines():
        text = line.strip()
        if text[0] in "}]":
            members.append(open_paths.pop())
            counts.pop()
            continue
        named = re.match(r'"(\w+)": ', text)
        path = open_paths[-1] if open_paths else ""
        if named:
            path = f"{path}.{named[1]}".strip(".")
        elif counts:
            path = f"{path}[{counts[-1]}]"
            counts[-1] += 1
        members.append(path)
        if text[-1] in "{[":
            open_paths.append(path)
            counts.append(0)
    return members


def assert_named(place: str, member: str, line: int) -> None:
    """The place is the line or the member, what holds it, or that which no longer follows from it."""
    if place in (f"line {line}", member, "the file") or member.startswith(place):
        return
    part = re.match(r"log\[\d+\]", member)
    if part is None:  # a member of the answer: the signature no longer stands over it
        assert (place, member.startswith("approval.proof.")) == ("approval.proof", True), (place, member)
        return
    link = re.match(r"log\[\d+\]\.entries\[\d+\]", member)
    if link is None:  # the head or the signature of a part
        assert place in (f"{part[0]}.entries[0]", f"{part[0]}.checkpoint", f"{part[0]}.key"), (place, member)
    else:
        assert place.startswith(link[0]), (place, member)


def test_the_files_hold_and_show_nobody_else(files: dict[Any, bytes]) -> None:
    for factor, data in files.items():
        found = verify_evidence(data)
        assert found.evidence.approval.proof.factor == (factor or "pin")
        assert found.statement.user == "user-1"
        assert len(found.evidence.log) == 2  # what happened between the binding and the request stays out
        assert SECRET.encode() not in data
        shown = [
            link for part in found.evidence.log for link in part.entries if link.entry is not msgspec.UNSET
        ]
        assert len(shown) == (5 if factor == "biometric" else 4)
        closed = [link for part in found.evidence.log for link in part.entries if link.entry is msgspec.UNSET]
        assert len(closed) > 3


@pytest.mark.parametrize("factor", FACTORS)
def test_every_byte_changed_is_found_and_named(files: dict[Any, bytes], factor: Any) -> None:
    data = files[factor]
    members = lines_of(data)
    line = 1
    for place, byte in enumerate(data):
        altered = bytearray(data)
        altered[place] = byte ^ 1
        broken = refused(bytes(altered))
        assert_named(broken.place, members[line - 1], line)
        line += byte == ord("\n")
    refused(data[:-1])
    refused(data + b"\n")
    refused(data + b"{}")


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_bytes_changed_are_found(files: dict[Any, bytes], data: st.DataObject) -> None:
    file = files[data.draw(st.sampled_from(FACTORS))]
    place = data.draw(st.integers(0, len(file) - 1))
    put = data.draw(st.binary(max_size=4))
    cut = data.draw(st.integers(0, 4))
    altered = file[:place] + put + file[place + cut :]
    if altered != file:
        refused(altered)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any, Any, Any]]:
    """Yield path, holder, key and value of each leaf."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        here = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".strip(".")
        if isinstance(inner, dict | list):
            yield from leaves(inner, here)
        else:
            yield here, value, key, inner


def written(tree: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(tree), indent=1) + b"\n"


def other(value: Any) -> list[Any]:
    match value:
        case None:
            return [1, "A"]
        case int():
            return [value + 1, value - 1, 0]
        case str():
            swapped = ("B" if value[:1] == "A" else "A") + value[1:]
            return [swapped, value[:-1], value + "A", ""]
        case _:
            raise AssertionError(value)


@pytest.mark.parametrize("factor", FACTORS)
def test_every_member_changed_by_somebody_who_knows_the_form(files: dict[Any, bytes], factor: Any) -> None:
    """Written anew as the gateway writes, with one value changed, removed, or given to another member."""
    data = files[factor]
    tree = json.loads(data)
    assert written(tree) == data
    count = 0
    for number, (path, _, key, value) in enumerate(leaves(tree)):
        for change in other(value):
            if change != value:
                fresh = json.loads(data)
                _, holder, _, _ = list(leaves(fresh))[number]
                holder[key] = change
                assert_named(refused(written(fresh)).place, path, 0)
                count += 1
        fresh = json.loads(data)
        _, holder, _, _ = list(leaves(fresh))[number]
        del holder[key]
        refused(written(fresh))
    assert count > 100


def test_the_other_signature_that_verifies_is_not_evidence(files: dict[Any, bytes]) -> None:
    """(r, n - s) verifies wherever (r, s) does."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for path in (("log", 0, "checkpoint", "signature"), ("approval", "proof", "signature")):
        tree = json.loads(files["pin"])
        *above, last = path
        holder = tree
        for step in above:
            holder = holder[step]
        raw = b64url_decode(holder[last])
        s = order - int.from_bytes(raw[32:], "big")
        holder[last] = b64url_encode(raw[:32] + s.to_bytes(32, "big"))
        assert refused(written(tree)).place in ("log[0].checkpoint.signature", "approval.proof")


def test_members_of_two_approvals_do_not_mix(tmp_path: Path) -> None:
    """Answer, statement and log of different approvals by one phone."""

    async def two() -> list[Any]:
        async with Bank.open(tmp_path) as bank:
            phone = Phone()
            records = [await bank.story(phone, "pin")]
            for factor in ("pin", "biometric"):
                record = await bank.ask()
                await bank.take(record, phone.answer(record.statement, factor=factor))
                records.append(record)
            return [json.loads(await bank.service.export(r.id, tenant_id=TENANT)) for r in records]

    first, *others = asyncio.run(two())
    for second in others:
        for member in ("id", "statement", "proof"):
            mixed = json.loads(json.dumps(first))
            mixed["approval"][member] = second["approval"][member]
            assert refused(written(mixed)).place.startswith("approval")
        mixed = {**first, "approval": second["approval"]}
        refused(written(mixed))
        mixed = {**first, "log": second["log"]}
        refused(written(mixed))
        part = json.loads(json.dumps(first))
        part["approval"]["proof"]["pin"] = second["approval"]["proof"]["pin"]
        assert refused(written(part)).place.startswith("approval.proof")


def test_parts_and_entries_cannot_be_moved_dropped_or_repeated(files: dict[Any, bytes]) -> None:
    data = files["pin"]
    for change in (
        lambda log: log.reverse(),
        lambda log: log.append(log[0]),
        lambda log: log.pop(0),
        lambda log: log.pop(1),
        lambda log: log.clear(),
        lambda log: log[0]["entries"].pop(),
        lambda log: log[0]["entries"].pop(0),
        lambda log: log[1]["entries"].reverse(),
        lambda log: log[1]["entries"].insert(1, log[1]["entries"][0]),
        lambda log: log[1]["entries"][0].pop("entry"),
        lambda log: log[1]["entries"][0].update(content=log[0]["previous"]),
        lambda log: log[1].update(checkpoint=log[0]["checkpoint"]),
    ):
        tree = json.loads(data)
        change(tree["log"])
        assert refused(written(tree)).place.startswith(("log", "approval.proof.binding", "approval.id"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_is_given_for_a_file_is_refused_by_name(
    files: dict[Any, bytes], data: st.DataObject
) -> None:
    raw = data.draw(st.binary(max_size=300) | _JSON.map(lambda tree: json.dumps(tree).encode()))
    refused(raw)
    tree = json.loads(files["biometric"])
    places = list(leaves(tree))
    _, holder, key, _ = places[data.draw(st.integers(0, len(places) - 1))]
    before = holder[key]
    holder[key] = data.draw(_JSON)
    if holder[key] != before or type(holder[key]) is not type(before):
        refused(written(tree))


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"format":' * 50_000,
        b'{"format":"tessera evidence 1","format":"tessera evidence 1"}',
        b"\xef\xbb\xbf{}",
        b"",
        b"\x00" * (16 * 1024 * 1024 + 1),
    ],
)
def test_deep_long_and_doubled_input_ends_early(raw: bytes) -> None:
    with pytest.raises(EvidenceBroken):
        decode_evidence(raw)
