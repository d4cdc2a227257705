"""The HTTP face of the audit log: a bank's back end reads its own tenant's entries. Nothing here writes."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.audit.models import MAX_SUBJECT
from gateway.audit.service import AuditService
from gateway.core.chain import AuditEntry
from gateway.core.encoding import b64url_decode, b64url_encode
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.http.routing import ApiRequest, Auth, Route

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries: of one subject (an id such as `act_…`), of one word, from a cursor on."""

    cursor: Annotated[str, Meta(max_length=16)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    subject: Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT)] | None = None
    word: AuditWord | None = None


class AuditItem(msgspec.Struct, frozen=True):
    """One entry. `sequence` and `hash` (SHA-256, hexadecimal) are its place in the installation's chain."""

    sequence: int
    at: str
    word: str
    subject: str
    data: msgspec.Raw
    hash: str


class AuditList(msgspec.Struct, frozen=True):
    """Entries, newest first; `next_cursor` is null on the last page."""

    items: list[AuditItem]
    next_cursor: str | None


def routes(service: AuditService) -> list[Route]:
    """Return the route table of the audit log."""

    async def list_entries(request: ApiRequest) -> AuditList:
        query: AuditQuery = request.params
        before = _decode_cursor(query.cursor) if query.cursor is not None else None
        entries = await service.list(
            request.tenant_id, before=before, limit=query.limit + 1, subject=query.subject, word=query.word
        )
        shown = entries[: query.limit]
        more = len(entries) > query.limit
        return AuditList(
            items=[_item(entry) for entry in shown],
            next_cursor=_encode_cursor(shown[-1].sequence) if more else None,
        )

    return [
        Route(
            "GET",
            "/api/v1/audit",
            list_entries,
            auth=Auth.API_KEY,
            scope="audit:read",
            summary="Read the audit log",
            description="Entries of this tenant, newest first. The log is a hash chain, and nothing in it is ever "
            "changed: `tessera audit verify` proves it.",
            params=AuditQuery,
            response=AuditList,
            tag="audit",
        )
    ]


def _item(entry: AuditEntry) -> AuditItem:
    return AuditItem(
        sequence=entry.sequence,
        at=(_EPOCH + timedelta(milliseconds=entry.at_ms))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        word=entry.word,
        subject=entry.subject,
        data=msgspec.Raw(entry.data.encode()),
        hash=entry.hash.hex(),
    )


def _encode_cursor(sequence: int) -> str:
    return b64url_encode(sequence.to_bytes(8, "big"))


def _decode_cursor(cursor: str) -> int:
    try:
        raw = b64url_decode(cursor)
    except ValueError:
        raw = b""
    if len(raw) != 8 or raw[0] & 0x80:
        raise Problem(ProblemCode.INVALID_REQUEST, "cursor: not one that a list gave")
    return int.from_bytes(raw, "big")
