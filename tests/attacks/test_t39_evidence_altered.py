"""T39: evidence is altered: the file itself, or the rows that it is made of. Every byte and member of a file:
tests/unit/test_evidence_file.py; here a file of the whole gateway, of a real phone."""

import json
from typing import Any

import pytest
from approval_kit import approve, ask, asked
from attack_kit import bind_phone
from gateway_kit import GatewayKit
from sqlalchemy import text

from gateway.evidence.models import EvidenceBroken
from gateway.evidence.verify import verify_evidence


async def approved(kit: GatewayKit) -> dict[str, Any]:
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    await approve(channel, await asked(channel, request))
    return request


async def export(kit: GatewayKit, request: dict[str, Any]) -> tuple[int, bytes]:
    path = f"{kit.now.url}/api/v1/approvals/{request['id']}/evidence"
    headers = {"Authorization": f"Bearer {kit.api_key}"}
    async with kit.session.get(path, headers=headers) as answer:
        return answer.status, await answer.read()


async def edit(kit: GatewayKit, sql: str, **values: Any) -> None:
    await kit.now.installation.storage.write(lambda tx: tx.execute(text(sql), values))


async def test_the_file_of_a_real_approval_verifies_and_no_line_of_it_can_change(kit: GatewayKit) -> None:
    status, data = await export(kit, await approved(kit))
    assert status == 200
    shown = verify_evidence(data)
    assert shown.statement.fields.amount == "250.00"  # type: ignore[union-attr]
    changed = 0
    for start in range(0, len(data), 97):
        for place in range(start, min(start + 97, len(data))):
            if chr(data[place]).isalnum():
                other = data[:place] + (b"B" if data[place : place + 1] == b"A" else b"A") + data[place + 1 :]
                with pytest.raises(EvidenceBroken) as broken:
                    verify_evidence(other)
                assert broken.value.place
                changed += 1
                break
    assert changed > 20


async def test_a_file_measured_by_the_banks_key_takes_no_other(kit: GatewayKit) -> None:
    """An insider who signs a log of his own brings his own key along."""
    _, data = await export(kit, await approved(kit))
    shown = verify_evidence(data)
    keys = list(shown.keys.values())
    assert verify_evidence(data, pinned=keys).is_pinned
    with pytest.raises(EvidenceBroken) as broken:
        verify_evidence(data, pinned=[bytes(65)])
    assert broken.value.place.endswith(".key")


EDITS = {
    "the amount that was asked": ("statement", b'"250.00"', b'"950.00"'),
    "the payee": ("statement", "Zoé".encode(), b"Max "),
    "the decision": ("proof", b'"approve"', b'"refuse"'),
    "the factor": ("proof", b'"factor":"pin"', b'"factor":"possession"'),
}


@pytest.mark.parametrize("what", EDITS)
async def test_a_row_that_was_edited_makes_no_evidence(kit: GatewayKit, what: str) -> None:
    request = await approved(kit)
    column, old, new = EDITS[what]
    raw = await kit.now.installation.storage.read(
        lambda tx: bytes(tx.execute(text(f"SELECT {column} FROM approvals")).scalar_one())  # noqa: S608
    )
    assert old in raw
    await edit(kit, f"UPDATE approvals SET {column} = :value", value=raw.replace(old, new))  # noqa: S608
    await assert_no_evidence(kit, request)
    await edit(kit, f"UPDATE approvals SET {column} = :value", value=raw)  # noqa: S608
    status, data = await export(kit, request)
    assert status == 200
    verify_evidence(data)


async def test_a_row_edited_before_the_phone_read_it_makes_none_either(kit: GatewayKit) -> None:
    """The limit of T13: the phone shows and signs what the insider wrote. The log has the digest of what was asked."""
    _, channel = await bind_phone(kit)
    await channel.close()
    request = await ask(kit)
    raw = await kit.now.installation.storage.read(
        lambda tx: bytes(tx.execute(text("SELECT statement FROM approvals")).scalar_one())
    )
    await edit(kit, "UPDATE approvals SET statement = :value", value=raw.replace(b"250.00", b"950.00"))
    channel = await channel.open_again()
    await approve(channel, await asked(channel, request))
    assert (await kit.call("GET", f"/api/v1/approvals/{request['id']}"))["fields"]["amount"] == "950.00"
    await assert_no_evidence(kit, request)


async def assert_no_evidence(kit: GatewayKit, request: dict[str, Any]) -> None:
    status, data = await export(kit, request)
    if status == 200:
        with pytest.raises(EvidenceBroken):
            verify_evidence(data)
    else:
        assert "code" in json.loads(data)
