"""`GET /api/v1/approvals/{id}/evidence` behind the real assembly: the file of the bank's own approval, byte for byte
the one that the command writes, and nothing for anybody else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from evidence_kit import OTHER, TENANT, Bank, Phone

from gateway.core.principals import ApiKeyPrincipal, PagePrincipal, digest_token
from gateway.core.secrets import system_random
from gateway.evidence.routes import routes
from gateway.evidence.verify import verify_evidence
from gateway.http.auth import Authenticator
from gateway.http.endpoint import EndpointParts
from gateway.http.health import Health
from gateway.http.idempotency import Idempotency
from gateway.http.limits import RateLimiter
from gateway.http.metrics import Metrics
from gateway.http.server import ServerParts, build_app
from gateway.settings import DEFAULT_LIMITS

READER, STRANGER, UNSCOPED = (f"tsk_{43 * letter}" for letter in "rsu")
PAGE = f"ptk_{43 * 'p'}"


class Credentials:
    """Three banks' keys, and a page token of the approval itself."""

    def __init__(self, approval_id: str) -> None:
        self.approval_id = approval_id

    async def find_principal(self, digest: bytes) -> tuple[ApiKeyPrincipal, int | None] | None:
        for token, tenant, scope in (
            (READER, TENANT, "approvals:read"),
            (STRANGER, OTHER, "approvals:read"),
            (UNSCOPED, TENANT, "audit:read"),
        ):
            if digest == digest_token(token):
                return ApiKeyPrincipal(tenant, f"key_{token[-1]}", frozenset({scope})), None
        return None


class Pages:
    """The page token of one approval."""

    def __init__(self, approval_id: str) -> None:
        self.approval_id = approval_id

    async def find_principal(self, digest: bytes) -> PagePrincipal | None:
        if digest != digest_token(PAGE):
            return None
        return PagePrincipal(TENANT, "pag_1", None, None, 2**53, self.approval_id)


@dataclass
class World:
    """A bank whose customer has approved, and is asked once more."""

    bank: Bank
    http: TestClient
    approved: str
    pending: str

    async def get(self, approval: str, token: str | None = READER) -> tuple[int, bytes, str]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.http.get(f"/api/v1/approvals/{approval}/evidence", headers=headers) as answer:
            return answer.status, await answer.read(), answer.headers.get("Content-Disposition", "")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Bank.open(tmp_path) as bank:
        approved = (await bank.story(Phone(), "pin", number=47)).id
        pending = (await bank.ask()).id
        metrics = Metrics()
        parts = ServerParts(
            endpoint=EndpointParts(
                authenticator=Authenticator(
                    api_keys=Credentials(approved), page_tokens=Pages(approved), clock=bank.clock
                ),
                limiter=RateLimiter(clock=bank.clock),
                limits=DEFAULT_LIMITS,
                idempotency=Idempotency(storage=bank.storage, clock=bank.clock, random=system_random),
                cors_origins=frozenset(),
            ),
            metrics=metrics,
            health=Health(checks={}, metrics=metrics, metrics_token=None, clock=bank.clock),
            web_dist=tmp_path / "no-dist",
            origin="https://gateway.example",
            version="0.0.0",
            is_secure=True,
            max_body_bytes=65_536,
        )
        async with TestClient(TestServer(build_app(routes(bank.service), parts))) as http:
            yield World(bank, http, approved, pending)


async def test_the_file_is_the_one_that_the_command_writes(world: World) -> None:
    status, body, disposition = await world.get(world.approved)
    assert status == 200
    assert disposition == f'attachment; filename="{world.approved}.evidence.json"'
    assert verify_evidence(body).evidence.approval.id == world.approved
    assert body == await world.bank.service.export_any(world.approved)


@pytest.mark.parametrize(
    ("token", "status"),
    [(None, 401), (f"tsk_{43 * 'x'}", 401), (UNSCOPED, 403), (PAGE, 403), (STRANGER, 404)],
)
async def test_nobody_else_gets_it(world: World, token: str | None, status: int) -> None:
    answered, body, _ = await world.get(world.approved, token)
    assert answered == status
    assert b"statement" not in body


async def test_what_was_not_answered_or_is_not_there_says_so(world: World) -> None:
    status, body, _ = await world.get(world.pending)
    assert status == 409
    assert b"no phone has answered" in body
    assert (await world.get("apr_AAAAAAAAAAAAAAAAAAAAAA"))[0] == 404


async def test_the_document_of_the_api_describes_the_file(world: World) -> None:
    async with world.http.get("/openapi.json") as answer:
        document = await answer.json()
    operation = document["paths"]["/api/v1/approvals/{id}/evidence"]["get"]
    assert "EvidenceFile" in str(operation["responses"]["200"])
