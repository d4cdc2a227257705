"""Idempotency keys of POST requests (draft-ietf-httpapi-idempotency-key-header): the first answer is kept for a day
and given again to the same caller with the same key and body. Endpoints call `begin`, make the change inside
`covering`, and then call `finish` or `abandon`. A change and the mark that it was made stand in one transaction, so
that nothing is done twice when the answer is lost. Answers may hold a page token, so they are sealed under a key
derived from the caller's own credential: the database alone cannot read them."""

import contextlib
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    LargeBinary,
    String,
    Table,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import Executable

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import RandomSource, repr_without
from gateway.core.transaction import accompanied
from gateway.storage.engine import Storage, Transaction
from gateway.storage.schema import Digest, IdText, Millis, metadata, to_millis

KEPT_S = 86_400
LEASE_S = 60
"""After that long without an answer the first request is taken for dead (its node crashed). A retry runs anew, unless
the first one had made its change."""
MAX_KEY = 255
PRUNE = 500
_NONCE = 12

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("request_digest", Digest, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("answer", LargeBinary, nullable=True),
    Column("created_at", Millis, nullable=False),
    Column("lease_at", Millis, nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

_t = idempotency_keys.c
_VALUES = {
    name: bindparam(name) for name in ("digest", "tenant_id", "request_digest", "created_at", "lease_at")
} | {"state": "started", "attempt": 1}
_INSERT: dict[str, Executable] = {
    "sqlite": sqlite.insert(idempotency_keys).values(_VALUES).on_conflict_do_nothing(),
    # Without the option SQLAlchemy does not keep an INSERT's row count.
    "postgresql": postgresql.insert(idempotency_keys)
    .values(_VALUES)
    .on_conflict_do_nothing()
    .execution_options(preserve_rowcount=True),
}
_SELECT = select(_t.request_digest, _t.state, _t.attempt, _t.answer, _t.lease_at, _t.created_at).where(
    _t.digest == bindparam("digest")
)
_TAKE_OVER = (
    update(idempotency_keys)
    .where(_t.digest == bindparam("k"), _t.attempt == bindparam("seen"))
    .values(
        attempt=_t.attempt + 1,
        state="started",
        answer=None,
        request_digest=bindparam("request"),
        created_at=bindparam("now"),
        lease_at=bindparam("lease"),
    )
)
_MARK = (
    update(idempotency_keys)
    .where(_t.digest == bindparam("k"), _t.attempt == bindparam("seen"))
    .values(state="done")
)
_FINISH = (
    update(idempotency_keys)
    .where(_t.digest == bindparam("k"), _t.attempt == bindparam("seen"), _t.answer.is_(None))
    .values(state="done", answer=bindparam("sealed"))
)
_ABANDON = delete(idempotency_keys).where(
    _t.digest == bindparam("k"), _t.attempt == bindparam("seen"), _t.state == "started"
)
_END_LEASE = (
    update(idempotency_keys)
    .where(_t.digest == bindparam("k"), _t.attempt == bindparam("seen"), _t.answer.is_(None))
    .values(lease_at=0)
)
_OLD = select(_t.digest).where(_t.created_at < bindparam("before")).limit(PRUNE)
_DELETE = delete(idempotency_keys).where(_t.digest.in_(bindparam("digests", expanding=True)))


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What was answered: status, media type, body."""

    status: int
    media_type: str
    body: bytes

    def __repr__(self) -> str:
        return repr_without(self, "body")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a request: held by one request at a time."""

    digest: bytes
    attempt: int
    sealing_key: bytes = field(repr=False)


class Idempotency:
    """The store of answers. One a process."""

    def __init__(self, *, storage: Storage, clock: Clock, random: RandomSource) -> None:
        self._storage = storage
        self._clock = clock
        self._random = random

    async def begin(
        self, *, key: str, credential: str, tenant_id: str, route: str, path: str, body: bytes
    ) -> Claim | Answer:
        """Return the kept answer, or the claim to make one. Raises Problem(IDEMPOTENCY_MISMATCH) when the key came
        with another request, Problem(CONFLICT) while the first one still runs, Problem(IDEMPOTENCY_OUTCOME_UNKNOWN)
        when it was carried out and its answer was lost."""
        if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
            raise Problem(ProblemCode.INVALID_REQUEST, "Idempotency-Key: 1 to 255 printable ASCII characters")
        secret = hmac.digest(credential.encode(), f"idempotency\0{route}\0{key}".encode(), "sha256")
        digest = hmac.digest(secret, b"row", "sha256")
        sealing_key = hmac.digest(secret, b"seal", "sha256")
        request = hashlib.sha256(path.encode() + b"\0" + body).digest()
        now = to_millis(self._clock.now())
        row: dict[str, Any] = {
            "digest": digest,
            "tenant_id": tenant_id,
            "request_digest": request,
            "created_at": now,
            "lease_at": now + LEASE_S * 1000,
        }
        found = await self._storage.write(lambda tx: self._claim(tx, row))
        if isinstance(found, int):
            return Claim(digest, found, sealing_key)
        return _open(found, digest, sealing_key)

    @contextlib.contextmanager
    def covering(self, claim: Claim) -> Iterator[None]:
        """Mark the claim as carried out in the very transaction of whatever is changed in here. A change comes to
        nothing, with Problem(CONFLICT), when a retry has taken the claim over meanwhile."""
        values = {"k": claim.digest, "seen": claim.attempt}

        def mark(tx: Transaction) -> None:
            if tx.execute(_MARK, values).rowcount != 1:
                raise Problem(ProblemCode.CONFLICT, "a retry with this key has taken this request's place")

        with accompanied(mark):
            yield

    async def finish(self, claim: Claim, answer: Answer) -> None:
        """Keep the answer."""
        nonce = self._random(_NONCE)
        sealed = nonce + AESGCM(claim.sealing_key).encrypt(
            nonce, msgspec.msgpack.encode(answer), claim.digest
        )
        values = {"k": claim.digest, "seen": claim.attempt, "sealed": sealed}
        await self._storage.write(lambda tx: tx.execute(_FINISH, values).rowcount)

    async def abandon(self, claim: Claim) -> None:
        """Give the claim back: the request failed here, and may be sent again. Where it had made a change, retries are
        told so from now on."""
        values = {"k": claim.digest, "seen": claim.attempt}

        def give_back(tx: Transaction) -> None:
            if tx.execute(_ABANDON, values).rowcount == 0:
                tx.execute(_END_LEASE, values)

        await self._storage.write(give_back)

    async def prune(self) -> None:
        """Forget answers older than a day."""
        before = to_millis(self._clock.now() - KEPT_S)
        while await self._storage.write(lambda tx: _prune(tx, before)) == PRUNE:
            pass

    def _claim(self, tx: Transaction, row: dict[str, Any]) -> int | bytes:
        """Return the attempt number of a fresh claim, or the sealed answer."""
        if tx.execute(_INSERT[self._storage.backend.name], row).rowcount == 1:
            return 1
        kept = tx.execute(_SELECT, {"digest": row["digest"]}).one()
        now = int(row["created_at"])
        is_over = kept.created_at < now - KEPT_S * 1000
        if not is_over and not hmac.compare_digest(kept.request_digest, row["request_digest"]):
            raise Problem(ProblemCode.IDEMPOTENCY_MISMATCH)
        if not is_over and kept.answer is not None:
            answer: bytes = kept.answer
            return answer
        if not is_over and kept.lease_at > now:
            raise _still_running()
        if not is_over and kept.state == "done":
            raise Problem(ProblemCode.IDEMPOTENCY_OUTCOME_UNKNOWN)
        values = {
            "k": row["digest"],
            "seen": kept.attempt,
            "request": row["request_digest"],
            "now": now,
            "lease": row["lease_at"],
        }
        if tx.execute(_TAKE_OVER, values).rowcount != 1:
            raise _still_running()
        return int(kept.attempt) + 1


def _still_running() -> Problem:
    return Problem(ProblemCode.CONFLICT, "the first request with this key is still running", retry_after=1)


def _open(sealed: bytes, digest: bytes, sealing_key: bytes) -> Answer:
    try:
        plain = AESGCM(sealing_key).decrypt(sealed[:_NONCE], sealed[_NONCE:], digest)
        return msgspec.msgpack.decode(plain, type=Answer)
    except (InvalidTag, msgspec.DecodeError) as error:
        raise Problem(ProblemCode.UNAVAILABLE, "the kept answer cannot be read") from error


def _prune(tx: Transaction, before: int) -> int:
    digests = tx.execute(_OLD, {"before": before}).scalars().all()
    if digests:
        tx.execute(_DELETE, {"digests": list(digests)})
    return len(digests)
