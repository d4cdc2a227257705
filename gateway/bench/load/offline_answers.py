"""Answers without a network, made ready to be typed: the bank asks, the page has the code drawn, and what the phone
would show is worked out from its keys. Measured is what follows alone: the page sends the eight digits."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gateway.bench.load.approvers import PAYMENT, Asked, Holder, Started
from gateway.bench.load.customers import PIN
from gateway.bench.load.installation import BankAccount
from gateway.bench.load.rest import Rest, bearer
from gateway.core.encoding import b64url_decode
from gateway.phone.offline import answer_code, open_code

AT_ONCE = 16


class _Code(msgspec.Struct):
    link: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Digits that approve a request, and the page's token to send them with."""

    approval_id: str
    page: dict[str, str]
    digits: str


class OfflineAnswers:
    """The bank, the pages and the phones of one gateway, each customer with one phone."""

    def __init__(self, rest: Rest, account: BankAccount, holders: Sequence[Holder]) -> None:
        self._rest = rest
        self._account = account
        self._holders = holders
        self._ready: list[Ready] = []

    async def prepare(self) -> int:
        """Make one answer of each phone ready; return how many are."""
        turns = iter(self._holders)

        async def work_on() -> None:
            for holder in turns:
                self._ready.append(await self._prepare(holder))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work_on())
        return len(self._ready)

    async def _prepare(self, holder: Holder) -> Ready:
        order = {"user": holder.phone.user, "type": "payment", "fields": PAYMENT}
        started: Started = await self._rest.post("/api/v1/approvals", order, self._account.headers, Started)
        place, page = f"/api/v1/approvals/{started.approval.id}", bearer(started.page_token)
        code: _Code = await self._rest.post(f"{place}/offline-code", {"form": "qr"}, page, _Code)
        ask = open_code(holder.store, b64url_decode(code.link.rpartition("#")[2]))
        return Ready(started.approval.id, page, answer_code(holder.store, ask, PIN))

    async def answer(self, _: int) -> None:
        """Type one of the answers that are ready. Raises RuntimeError unless it approves."""
        ready = self._ready.pop()
        path = f"/api/v1/approvals/{ready.approval_id}/offline-answer"
        told: Asked = await self._rest.post(path, {"code": ready.digits}, ready.page, Asked)
        if told.state != "approved":
            raise RuntimeError(f"the request is {told.state} after the right digits")
