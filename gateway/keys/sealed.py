"""Which columns hold sealed values, as data: each capability declares its own, and `gateway.key_life` collects them.
The re-wrap, `tessera keys retire` and `migrate` go through that list, and a test holds it against the tables, so that
no column is forgotten when a wrapping key is destroyed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Column

from gateway.keys.sealer import HERE, INSIDE

Row = Mapping[str, Any]
"""Values by the columns' names."""


class SealedKind(StrEnum):
    """What made the value: `Sealer.seal`, `SealedAgreementKeys.generate_wrapped`, or `SeedKeeper.seal`."""

    SECRET = "secret"  # noqa: S105 - a kind, not a secret
    AGREEMENT_KEY = "agreement key"
    SEED = "seed"

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that such values begin with."""
        return (HERE, INSIDE) if self is SealedKind.SEED else (HERE,)


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values or NULL, in a table whose primary key is one column. `context` makes the associated
    data of a row's value from that row's `needs`: columns that never change without the value's changing, too.
    `version` is the column by which others compare the whole row, where they may write the sealed value back with it:
    it is counted up with a re-wrap, else what they remembered would come back."""

    column: Column[Any]
    context: Callable[[Row], bytes]
    needs: tuple[Column[Any], ...] = ()
    kind: SealedKind = SealedKind.SECRET
    version: Column[Any] | None = None

    @property
    def key(self) -> Column[Any]:
        """The table's primary key."""
        (key,) = self.column.table.primary_key.columns
        return key

    @property
    def name(self) -> str:
        """`table.column`, for reports."""
        return f"{self.column.table.name}.{self.column.name}"
