"""The demo bank's customers and their accounts: made up, with a password that the login page shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

DEMO_PASSWORD = "tessera"  # noqa: S105 - shown on the login page
RATES: Mapping[str, Decimal] = MappingProxyType(
    {"EUR": Decimal(1), "CHF": Decimal("1.06"), "GBP": Decimal("1.16"), "USD": Decimal("0.92")}
)
"""What one unit of a currency costs in EUR: as made up as the customers."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account: name of a message in the pages' tables, IBAN, balance in cents of EUR."""

    kind: str
    iban: str
    balance: int


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer: user reference towards the gateway, and what the pages show."""

    user: str
    name: str
    accounts: tuple[Account, ...]
    email: str
    phone: str


CUSTOMERS: dict[str, Customer] = {
    customer.user: customer
    for customer in (
        Customer(
            "claire",
            "Claire Martin",
            (
                Account("current", "FR76 3000 4000 0312 3456 7890 143", 284_217),
                Account("savings", "FR76 3000 4000 0398 7654 3210 127", 1_250_000),
            ),
            "claire.martin@example.org",
            "+33 6 39 98 01 23",
        ),
        Customer(
            "thomas",
            "Thomas Leroy",
            (Account("current", "FR76 3000 4000 0355 5512 3400 197", 91_840),),
            "thomas.leroy@example.org",
            "+33 6 39 98 04 56",
        ),
        Customer(
            "amelia",
            "Amelia Clarke",
            (
                Account("current", "FR76 3000 4000 0377 1200 9900 103", 412_655),
                Account("savings", "FR76 3000 4000 0377 1200 9901 170", 3_300_020),
            ),
            "amelia.clarke@example.org",
            "+33 6 39 98 07 89",
        ),
    )
}
