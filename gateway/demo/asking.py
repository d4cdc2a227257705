"""What the demo bank asks its customers' phones: logins, payments, contact data, further phones. The bank never
believes its own page: what was approved it reads at the gateway, and carries each out once. Orders are kept in memory,
as the accounts of a demo may be."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.core.clock import Clock
from gateway.demo.customers import Account, Customer

MAX_ORDERS = 1_000

Call = Callable[..., Awaitable[dict[str, Any]]]
"""`call(method, path, body)`: the gateway's JSON. Raises aiohttp's HTTPException for what fails."""


class OrderRefused(Exception):
    """The order cannot be taken; the text says why, for the customer."""


@dataclass(frozen=True, slots=True)
class Order:
    """Something that waits for the customer's phone: a transfer, or a change of contact data. `state` is the
    approval's."""

    id: str
    user: str
    type: str
    fields: dict[str, str]
    state: str
    at: float

    def as_json(self) -> dict[str, Any]:
        """Return what the page shows."""
        return {"id": self.id, "type": self.type, "state": self.state, "at": self.at, **self.fields}


class AskingDesk:
    """Orders and accounts of all customers."""

    def __init__(self, call: Call, clock: Clock) -> None:
        self._call = call
        self._clock = clock
        self._orders: dict[str, Order] = {}
        self._balances: dict[str, int] = {}
        self._contacts: dict[tuple[str, str], str] = {}
        self._used: set[str] = set()
        self._reported: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def has_phone(self, user: str) -> bool:
        """Whether a customer has a phone that could be asked."""
        page = await self._call("GET", f"/api/v1/bindings?user={user}&state=active&limit=1", None)
        return bool(page["items"])

    async def ask(self, customer: Customer, kind: str, fields: dict[str, str]) -> dict[str, Any]:
        """Ask a customer; return the gateway's answer for the page. A transfer and a change are kept as orders."""
        wish = {"user": customer.user, "type": kind, "fields": fields}
        started = await self._call("POST", "/api/v1/approvals", wish)
        approval = started["approval"]
        if kind in ("payment", "contact"):
            if len(self._orders) >= MAX_ORDERS:
                del self._orders[next(iter(self._orders))]
            self._orders[approval["id"]] = Order(
                approval["id"], customer.user, kind, fields, approval["state"], self._clock.now()
            )
        return started

    async def open_session(self, approval_id: str, user: str) -> str:
        """Return the state of a login's approval; the first to see it approved may open a session. Raises OrderRefused
        for an approval that has served, or is of something else."""
        async with self._locks[user]:
            approval = await self._call("GET", f"/api/v1/approvals/{approval_id}", None)
            if (approval["user"], approval["type"]) != (user, "login"):
                raise OrderRefused("this was not a login of this customer")
            if approval["state"] != "approved":
                return str(approval["state"])
            if approval_id in self._used:
                raise OrderRefused("this login was used already")
            self._used.add(approval_id)
            return "approved"

    async def settle(self, approval_id: str) -> Order | None:
        """Look up how an order stands at the gateway, and carry it out if it was approved, once. An order that a
        restart has made the bank forget is taken up again from what it asked the gateway itself."""
        order = self._orders.get(approval_id) or await self._take_up(approval_id)
        if order is None or order.state != "pending":
            return order
        async with self._locks[order.user]:
            order = self._orders[approval_id]
            if order.state != "pending":
                return order
            approval = await self._call("GET", f"/api/v1/approvals/{approval_id}", None)
            if (approval["user"], approval["type"], approval["fields"]) != (
                order.user,
                order.type,
                order.fields,
            ):
                raise OrderRefused("the gateway knows another order by this number")
            order = replace(order, state=str(approval["state"]))
            self._orders[approval_id] = order
            if order.state == "approved":
                self._carry_out(order)
            return order

    async def _take_up(self, approval_id: str) -> Order | None:
        approval = await self._call("GET", f"/api/v1/approvals/{approval_id}", None)
        if approval["type"] not in ("payment", "contact"):
            return None
        order = Order(
            approval_id, approval["user"], approval["type"], approval["fields"], "pending", self._clock.now()
        )
        return self._orders.setdefault(approval_id, order)

    def _carry_out(self, order: Order) -> None:
        if order.type == "contact":
            self._contacts[order.user, order.fields["kind"]] = order.fields["value"]
        elif order.fields["currency"] == "EUR":
            cents = int((Decimal(order.fields["amount"]) * 100).to_integral_value())
            self._balances[order.user] = self._balances.get(order.user, 0) - cents

    def accounts(self, customer: Customer) -> list[Account]:
        """Return a customer's accounts with what was paid taken off the first."""
        first, *others = customer.accounts
        return [replace(first, balance=first.balance + self._balances.get(customer.user, 0)), *others]

    def contact(self, customer: Customer, kind: str) -> str:
        """Return a customer's contact data of a kind."""
        own = customer.email if kind == "email" else customer.phone
        return self._contacts.get((customer.user, kind), own)

    def orders(self, user: str, kind: str) -> list[Order]:
        """Return a customer's orders of a kind, newest first."""
        found = [order for order in self._orders.values() if (order.user, order.type) == (user, kind)]
        return found[::-1]

    def note_report(self, user: str) -> None:
        """A customer has reported a login that he did not ask for."""
        self._reported.add(user)

    def take_report(self, user: str) -> bool:
        """Say whether there was a report since the last login, once."""
        was_there = user in self._reported
        self._reported.discard(user)
        return was_there

    def check_transfer(self, customer: Customer, body: dict[str, Any]) -> dict[str, str]:
        """Return the fields of a payment as the page typed them. Raises OrderRefused with what to mend."""
        texts = {
            name: str(body.get(name, "")).strip() for name in ("payee", "account", "purpose", "currency")
        }
        amount = str(body.get("amount", "")).strip().replace(",", ".")
        try:
            value = Decimal(amount)
        except InvalidOperation:
            raise OrderRefused("amount") from None
        if (
            not value.is_finite()
            or not 0 < value < Decimal(10) ** 9
            or value != value.quantize(Decimal("0.01"))
        ):
            raise OrderRefused("amount")
        if not texts["payee"] or len(texts["payee"]) > 140:
            raise OrderRefused("payee")
        account = texts["account"].replace(" ", "").upper()
        if not 4 <= len(account) <= 34 or not account.isalnum() or not account.isascii():
            raise OrderRefused("account")
        if texts["currency"] not in ("EUR", "CHF", "GBP", "USD"):
            raise OrderRefused("currency")
        if len(texts["purpose"]) > 1_000:
            raise OrderRefused("purpose")
        if texts["currency"] == "EUR" and value * 100 > self.accounts(customer)[0].balance:
            raise OrderRefused("balance")
        return {**texts, "account": account, "amount": f"{value:.2f}"}
