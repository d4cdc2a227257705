"""The HTTP face of evidence: a bank's back end fetches the file of one approval."""

from typing import Any, Literal

import msgspec
from aiohttp import web

from gateway.core.errors import ProblemCode
from gateway.evidence.service import EvidenceService
from gateway.http.routing import ApiRequest, Auth, Route


class EvidenceFile(msgspec.Struct, frozen=True):
    """The file, as its readers see it: `approval` is what was read and what the phone gave, `log` the signed parts of
    the audit log. It counts byte for byte; `gateway.evidence.models` has its members."""

    format: Literal["tessera evidence 1"]
    approval: dict[str, Any]
    log: list[dict[str, Any]]


def routes(service: EvidenceService) -> list[Route]:
    """Return the route table of evidence."""

    async def read_evidence(request: ApiRequest) -> web.Response:
        approval_id = request.match["id"]
        data = await service.export(approval_id, tenant_id=request.tenant_id)
        # The name is safe in a header: an approval of that id was found.
        named = {"Content-Disposition": f'attachment; filename="{approval_id}.evidence.json"'}
        return web.Response(body=data, content_type="application/json", headers=named)

    return [
        Route(
            "GET",
            "/api/v1/approvals/{id}/evidence",
            read_evidence,
            auth=Auth.API_KEY,
            scope="approvals:read",
            summary="Fetch the evidence of an approval",
            description="One file that proves years later what was asked, what the phone answered, and that the audit "
            "log held both: keep it byte for byte. `tessera evidence verify FILE` checks it without database or "
            "network.",
            response=EvidenceFile,
            problems=(ProblemCode.NOT_FOUND, ProblemCode.CONFLICT, ProblemCode.UNAVAILABLE),
            tag="approvals",
        )
    ]
