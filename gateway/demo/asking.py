"""What the demo bank asks its customers' phones: logins, payments, contact data, further phones. The bank never
believes its own page: what was approved it reads at the gateway, and carries each out once."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from gateway.core.clock import Clock
from gateway.demo.customers import Account, Customer
from gateway.demo.ledger import LedgerFile, Order, euro_cents
from gateway.demo.wire import Refusal

MAX_ORDERS = 1_000
LOGIN_SECONDS = 10 * 60
"""How long a login may take: as long as a request may live."""


class Gateway(Protocol):
    """The gateway's API. Both raise Refusal."""

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read."""
        ...

    async def post(self, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """Have something done."""
        ...


class AskingDesk:
    """Orders and accounts of all customers."""

    def __init__(self, gateway: Gateway, *, file: LedgerFile, clock: Clock) -> None:
        self._gateway = gateway
        self._file = file
        self._clock = clock
        self._books = file.read()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def has_phone(self, user: str) -> bool:
        """Whether a customer has a phone that could be asked."""
        wish = {"user": user, "state": "active", "limit": "1"}
        return bool((await self._gateway.get("/api/v1/bindings", wish))["items"])

    async def ask(
        self, customer: Customer, *, kind: str, fields: dict[str, str], key: str | None = None
    ) -> dict[str, Any]:
        """Ask a customer; return the gateway's answer for the page. A payment and a change are kept as orders. Raises
        Refusal; its code is `no-phone` when the customer has none, `phone-cannot` when there is one that may not."""
        wish = {"user": customer.user, "type": kind, "fields": fields}
        try:
            started = await self._gateway.post("/api/v1/approvals", wish, key=key)
        except Refusal as refusal:
            if refusal.fields.get("code") == "no-phone" and await self.has_phone(customer.user):
                raise Refusal(409, str(refusal), code="phone-cannot") from refusal
            raise
        approval = started["approval"]
        if kind in ("payment", "contact") and approval["id"] not in self._books.orders:
            self._make_room()
            self._books.orders[approval["id"]] = Order(
                approval["id"], customer.user, kind, fields, "pending", self._clock.now()
            )
            self._file.write(self._books)
        return started

    def _make_room(self) -> None:
        """Forget the oldest order that is over, when there are too many."""
        orders = self._books.orders
        if len(orders) >= MAX_ORDERS:
            over = (order.id for order in orders.values() if order.state != "pending")
            orders.pop(next(over, next(iter(orders))))

    async def use_login(self, approval_id: str, user: str) -> None:
        """Take an approved login; it opens a session once. Raises Refusal with the state when it is not approved, for
        one that has served, and for what is no login of this customer."""
        async with self._locks[user]:
            approval = await self._gateway.get(f"/api/v1/approvals/{approval_id}")
            if (approval["user"], approval["type"]) != (user, "login"):
                raise Refusal(409, "this was not a login of this customer")
            if approval["state"] != "approved":
                raise Refusal(409, f"the login is {approval['state']}", state=str(approval["state"]))
            if approval_id in self._books.used:
                raise Refusal(409, "this login was used already")
            now = self._clock.now()
            kept = {each: at for each, at in self._books.used.items() if now - at <= LOGIN_SECONDS}
            self._books.used = {**kept, approval_id: now}
            self._file.write(self._books)

    async def settle(self, approval_id: str) -> Order | None:
        """Look up how an order stands at the gateway, and carry it out if it was approved, once. Raises Refusal."""
        order = self._books.orders.get(approval_id)
        if order is None or order.state != "pending":
            return order
        async with self._locks[order.user]:
            order = self._books.orders[approval_id]
            if order.state != "pending":
                return order
            approval = await self._gateway.get(f"/api/v1/approvals/{approval_id}")
            asked = (approval["user"], approval["type"], approval["fields"])
            if asked != (order.user, order.type, order.fields):
                raise Refusal(409, "the gateway knows another order by this number")
            if approval["state"] == "pending":
                return order
            order = msgspec.structs.replace(order, state=str(approval["state"]))
            self._books.orders[approval_id] = order
            if order.state == "approved":
                self._carry_out(order)
            self._file.write(self._books)
            return order

    async def settle_all(self, user: str) -> None:
        """Look up all orders of a customer that wait; what cannot be looked up now goes on waiting."""
        for order in self.orders(user):
            if order.state == "pending":
                with suppress(Refusal):
                    await self.settle(order.id)

    def _carry_out(self, order: Order) -> None:
        if order.type == "contact":
            self._books.contacts.setdefault(order.user, {})[order.fields["kind"]] = order.fields["value"]
        else:
            self._books.paid[order.user] = self._books.paid.get(order.user, 0) + _cost(order)

    def accounts(self, customer: Customer) -> list[Account]:
        """Return a customer's accounts, with what was paid taken off the first."""
        first, *others = customer.accounts
        return [replace(first, balance=first.balance - self._books.paid.get(customer.user, 0)), *others]

    def available(self, customer: Customer) -> int:
        """Return the cents of EUR that can be paid: what waits for the phone is spoken for."""
        waiting = (order for order in self.orders(customer.user, "payment") if order.state == "pending")
        return self.accounts(customer)[0].balance - sum(_cost(order) for order in waiting)

    def contact(self, customer: Customer, kind: str) -> str:
        """Return a customer's contact data of a kind."""
        own = customer.email if kind == "email" else customer.phone
        return self._books.contacts.get(customer.user, {}).get(kind, own)

    def orders(self, user: str, kind: str | None = None) -> list[Order]:
        """Return a customer's orders, of one kind or all, newest first."""
        found = [order for order in self._books.orders.values() if order.user == user]
        return [order for order in reversed(found) if kind in (None, order.type)]

    def note_report(self, user: str) -> None:
        """A customer has reported a login that he did not ask for."""
        if user not in self._books.reported:
            self._books.reported.append(user)
            self._file.write(self._books)

    def take_report(self, user: str) -> bool:
        """Say whether there was a report since the last login, once."""
        if user not in self._books.reported:
            return False
        self._books.reported.remove(user)
        self._file.write(self._books)
        return True


def _cost(order: Order) -> int:
    return euro_cents(Decimal(order.fields["amount"]), order.fields["currency"])
