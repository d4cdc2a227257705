"""What all tables share: one MetaData with stable constraint names, and column types that mean the same on
SQLite and PostgreSQL. Each capability's store.py declares its own tables on `metadata`; the migrations
repeat them."""

from sqlalchemy import BigInteger, Integer, LargeBinary, MetaData, String
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Millis = BigInteger
"""A moment: milliseconds of Unix time (`clock.now() * 1000`). For every column named `*_at`."""

IdText = String(40)
"""An identifier such as `act_…` or `ten_…`."""

Digest = LargeBinary(32)
"""A SHA-256 digest."""


def growing_key() -> TypeEngine[int]:
    """Return the type of an integer primary key that the database counts up itself (SQLite counts only
    INTEGER)."""
    return BigInteger().with_variant(Integer, "sqlite")


def to_millis(seconds: float) -> int:
    """Return Unix milliseconds of Unix seconds, rounded down."""
    return int(seconds * 1000)
