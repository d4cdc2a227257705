"""Tables of the storage suite's own, for the tests and their worker processes."""

from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, bindparam, select, update

metadata = MetaData()
notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", String(64), nullable=False, unique=True),
)
counters = Table(
    "counters",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("value", Integer, nullable=False),
)
children = Table(
    "children",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("note", Integer, ForeignKey("notes.id", deferrable=True, initially="DEFERRED"), nullable=False),
)

INSERT = notes.insert()
ALL = select(notes.c.text).order_by(notes.c.id)
COUNTER = select(counters.c.value).where(counters.c.name == bindparam("name"))
ADVANCE = (
    update(counters)
    .where(counters.c.name == bindparam("b_name"), counters.c.value == bindparam("b_old"))
    .values(value=bindparam("b_new"))
)
