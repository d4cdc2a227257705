"""What the demo bank keeps of its customers: orders, what was paid, contact data, logins that have served. One small
JSON file beside the database, written as a whole after each change, so that a restart forgets no payment and opens no
session twice. Amounts are cents of EUR."""

import os
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway.demo.customers import RATES

_log = structlog.get_logger("demo")


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that waits for the customer's phone: a payment, or a change of contact data. `state` is the approval's,
    `at` Unix seconds."""

    id: str
    user: str
    type: str
    fields: dict[str, str]
    state: str
    at: float

    def as_json(self) -> dict[str, Any]:
        """Return what the page shows."""
        return {"id": self.id, "type": self.type, "state": self.state, "at": self.at, **self.fields}


class Ledger(msgspec.Struct, forbid_unknown_fields=True):
    """The books. `paid` by user; `contacts` by user and kind; `used` has logins that opened a session, and when; in
    `reported` are customers who have reported a login since their last one."""

    orders: dict[str, Order] = msgspec.field(default_factory=dict)
    paid: dict[str, int] = msgspec.field(default_factory=dict)
    contacts: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    used: dict[str, float] = msgspec.field(default_factory=dict)
    reported: list[str] = msgspec.field(default_factory=list)


class LedgerFile:
    """Where the books are kept; nowhere but in memory without a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> Ledger:
        """Return the books; empty ones when there are none. Books that cannot be read are put aside, not written over:
        the log says where they are."""
        if self._path is None:
            return Ledger()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Ledger)
        except FileNotFoundError:
            return Ledger()
        except msgspec.MsgspecError as error:
            aside = self._path.with_suffix(".unreadable")
            self._path.replace(aside)
            _log.warning("the demo bank begins new books", kept=aside.name, error=str(error))
            return Ledger()

    def write(self, ledger: Ledger) -> None:
        """Put the books in place of those before, readable by this user alone."""
        if self._path is None:
            return
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(ledger))
        fresh.replace(self._path)


def euro_cents(amount: Decimal, currency: str) -> int:
    """Return what an amount costs, at the demo's fixed rates."""
    return int((amount * RATES[currency] * 100).to_integral_value(ROUND_HALF_UP))
