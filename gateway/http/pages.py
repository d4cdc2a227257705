"""Lists in pages. A cursor is opaque text that holds the place in the list, with a tag that ties it to the list it
was made for, so that one of another list (or a made-up one) is refused. It carries no authority: the query that uses
it is bound to the caller's tenant anyway."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from gateway.core.encoding import b64url_decode, b64url_encode
from gateway.core.errors import Problem, ProblemCode

MAX_CURSOR = 256
DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_TAG_BYTES = 4

T = TypeVar("T")
Cursor = Annotated[str, Meta(max_length=MAX_CURSOR, description="next_cursor of the page before.")]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="At most so many items.")]


class PageParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The query parameters of every list; add the list's own filters in a subclass."""

    cursor: Cursor | None = None
    limit: Limit = DEFAULT_LIMIT


def encode_cursor(place: Sequence[str | int], *, of: str) -> str:
    """Return the cursor of a place in the list named `of` (name it after the list and its filters)."""
    body = msgspec.msgpack.encode(list(place))
    return b64url_encode(_tag(of, body) + body)


def decode_cursor(cursor: str, *, of: str, shape: type[T]) -> T:
    """Return the place, as `shape` (such as `tuple[int, str]`). Raises Problem(INVALID_REQUEST)."""
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError("too long")
        raw = b64url_decode(cursor)
        tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if tag != _tag(of, body):
            raise ValueError("of another list")
        return msgspec.msgpack.decode(body, type=shape)
    except (ValueError, msgspec.DecodeError) as error:
        raise Problem(ProblemCode.INVALID_REQUEST, "cursor: not one of this list") from error


def next_cursor(
    items: Sequence[Any], limit: int, *, place: Sequence[str | int] | None, of: str
) -> str | None:
    """Return the cursor to go on with, or None at the end. `items` holds up to `limit` + 1 rows as read; `place` is
    that of the last row that is shown."""
    if len(items) <= limit or place is None:
        return None
    return encode_cursor(place, of=of)


def _tag(of: str, body: bytes) -> bytes:
    return hashlib.sha256(of.encode() + b"\0" + body).digest()[:_TAG_BYTES]
