"""SQLAlchemy statements that are built once and run often, run on SQLite's driver itself. SQLAlchemy compiles them, and
its types convert what goes in and what comes out; what is left out is its work around each execution, which on a local
database costs more than the execution. `engine` calls it for every statement; whatever is not of a plain kind it
leaves to SQLAlchemy, with the same result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any
from weakref import WeakSet

from sqlalchemy import Column, Connection, Delete, Executable, Insert, Select, Update
from sqlalchemy.engine import Dialect, Row
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError

MAX_PREPARED = 1_000

_Convert = Callable[[Any], Any]


class PreparedStatements:
    """The statements of one database engine. A statement object is prepared when it comes a second time: those that are
    built for one call never do."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._is_used = dialect.name == "sqlite"
        self._seen: WeakSet[Executable] = WeakSet()
        self._prepared: dict[Executable, _Prepared | None] = {}

    def execute(
        self, connection: Connection, statement: Executable, parameters: Mapping[str, Any]
    ) -> "PreparedResult | None":
        """Run a statement with one row of parameters; None when that is left to SQLAlchemy. Raises SQLAlchemy's
        DBAPIError as its own execution does."""
        try:
            prepared = self._prepared[statement]
        except KeyError:
            if self._is_used:
                self._meet(statement, parameters)
            return None
        if prepared is None or len(parameters) != prepared.size:
            return None
        return prepared.execute(connection, parameters)

    def _meet(self, statement: Executable, parameters: Mapping[str, Any]) -> None:
        if statement not in self._seen:
            self._seen.add(statement)
        elif len(self._prepared) < MAX_PREPARED:
            self._prepared[statement] = _prepare(statement, parameters, self._dialect)


class _Prepared:
    """SQL text, and what turns parameters into its values and its rows into results."""

    __slots__ = ("_columns", "_constants", "_converts", "_dialect", "_key", "_names", "_pick", "_sql", "size")

    def __init__(
        self,
        dialect: Dialect,
        sql: str,
        names: Sequence[str],
        *,
        constants: Mapping[str, Any],
        converts: Sequence[tuple[str, _Convert]],
        columns: "_Columns | None",
        key: "_PrimaryKey | None",
        size: int,
    ) -> None:
        """`names` are the values in SQL's order, `constants` those that the statement brings, `size` how many the
        caller does. Statements without `columns` return no rows; `key` is there for an INSERT."""
        self._dialect = dialect
        self._sql = sql
        self._names = names
        self._constants = constants
        self._converts = converts
        self._pick = itemgetter(*names) if len(names) > 1 else None
        self._columns = columns
        self._key = key
        self.size = size

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> "PreparedResult | None":
        """Run it, or return None when the parameters are others than it was prepared for."""
        values = {**self._constants, **parameters}
        try:
            for name, convert in self._converts:
                values[name] = convert(values[name])
            arguments = (
                self._pick(values) if self._pick is not None else [values[name] for name in self._names]
            )
        except KeyError:
            return None
        driver: Any = connection.connection.dbapi_connection
        try:
            cursor = driver.execute(self._sql, arguments)
            rows = cursor.fetchall() if self._columns is not None else ()
        except Exception as error:
            raise self._translated(error) from error
        if self._columns is not None:
            return PreparedResult(self._columns, self._columns.convert(rows), -1, None)
        key = self._key.read(parameters, cursor.lastrowid) if self._key is not None else None
        return PreparedResult(_NO_COLUMNS, (), cursor.rowcount, key)

    def _translated(self, error: Exception) -> BaseException:
        kind: Any = self._dialect.loaded_dbapi.Error
        return DBAPIError.instance(self._sql, None, error, kind, hide_parameters=True, dialect=self._dialect)


class _Columns:
    """Names of a SELECT's columns, and the conversions that some of them need."""

    __slots__ = ("_converts", "metadata", "names")

    def __init__(self, names: Sequence[str], converts: Sequence[tuple[int, _Convert]]) -> None:
        self.names = names
        self.metadata = SimpleResultMetaData(names)
        self._converts = converts

    def convert(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Return the rows as the types of the columns have them."""
        if not self._converts:
            return rows
        converted = []
        for row in rows:
            values = list(row)
            for place, convert in self._converts:
                values[place] = convert(values[place])
            converted.append(tuple(values))
        return converted


_NO_COLUMNS = _Columns((), ())


class _PrimaryKey:
    """How to tell the primary key of a new row: from its values, or as the database counted."""

    __slots__ = ("_names",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def read(self, parameters: Mapping[str, Any], counted: int) -> tuple[Any, ...]:
        """Return the primary key's values."""
        return tuple(parameters.get(name, counted) for name in self._names)


class PreparedResult:
    """What a prepared statement brought, with those methods of SQLAlchemy's CursorResult that store functions use.
    All rows are here already."""

    __slots__ = ("_columns", "_rows", "inserted_primary_key", "rowcount")

    def __init__(
        self,
        columns: _Columns,
        rows: Sequence[Sequence[Any]],
        rowcount: int,
        inserted_primary_key: tuple[Any, ...] | None,
    ) -> None:
        self._columns = columns
        self._rows = rows
        self.rowcount = rowcount
        self.inserted_primary_key = inserted_primary_key

    def __iter__(self) -> Iterator[Row[Any]]:
        return map(self._row, self._rows)

    def all(self) -> list[Row[Any]]:
        """Return all rows."""
        return [self._row(row) for row in self._rows]

    def first(self) -> Row[Any] | None:
        """Return the first row, or None."""
        return self._row(self._rows[0]) if self._rows else None

    def one(self) -> Row[Any]:
        """Return the only row. Raises ValueError when there is none, or another."""
        if len(self._rows) != 1:
            raise ValueError(f"one row was expected, {len(self._rows)} came")
        return self._row(self._rows[0])

    def one_or_none(self) -> Row[Any] | None:
        """Return the only row, or None. Raises ValueError when there is another."""
        return self.one() if self._rows else None

    def scalar(self) -> Any:
        """Return the first value of the first row, or None."""
        return self._rows[0][0] if self._rows else None

    def scalar_one(self) -> Any:
        """Return the first value of the only row. Raises ValueError when there is none, or another."""
        return self.one()[0]

    def scalars(self) -> "Values":
        """Return the first value of each row."""
        return Values([row[0] for row in self._rows])

    def mappings(self) -> "Values":
        """Return each row as a dict by column name."""
        return Values([dict(zip(self._columns.names, row, strict=True)) for row in self._rows])

    def _row(self, values: Sequence[Any]) -> Row[Any]:
        metadata = self._columns.metadata
        return Row(metadata, None, metadata._key_to_index, values)


class Values(list[Any]):
    """Values or mappings of a result, with the methods that SQLAlchemy gives them."""

    def all(self) -> list[Any]:
        """Return all."""
        return self

    def first(self) -> Any:
        """Return the first, or None."""
        return self[0] if self else None


def _prepare(statement: Executable, parameters: Mapping[str, Any], dialect: Dialect) -> _Prepared | None:
    """Return the prepared form, or None for what is not a plain SELECT of columns, INSERT, UPDATE or DELETE."""
    if not isinstance(statement, Select | Insert | Update | Delete):
        return None
    columns = _columns_of(statement, dialect) if isinstance(statement, Select) else None
    if isinstance(statement, Select) and columns is None:
        return None
    compiled: Any = statement.compile(dialect=dialect, column_keys=sorted(parameters))
    if (
        compiled.positiontup is None
        or compiled.post_compile_params
        or compiled.insert_prefetch
        or compiled.update_prefetch
        or compiled.effective_returning
    ):
        return None
    names: list[str] = compiled.positiontup
    constants = {
        name: bind.effective_value for name, bind in compiled.binds.items() if name not in parameters
    }
    if any(compiled.binds[name].required for name in names if name in constants):
        return None
    return _Prepared(
        dialect,
        compiled.string,
        names,
        constants=constants,
        converts=_bind_converts(compiled, names, dialect),
        columns=columns,
        key=_PrimaryKey([c.name for c in statement.table.primary_key])
        if isinstance(statement, Insert)
        else None,
        size=len(parameters),
    )


def _columns_of(statement: Select[Any], dialect: Dialect) -> _Columns | None:
    selected = list(statement.selected_columns)
    if not all(isinstance(column, Column) for column in selected):
        return None
    found = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in selected]
    converts = [(place, convert) for place, convert in enumerate(found) if convert is not None]
    return _Columns(tuple(column.name for column in selected), converts)


def _bind_converts(compiled: Any, names: Sequence[str], dialect: Dialect) -> list[tuple[str, _Convert]]:
    found = {
        name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in set(names)
    }
    return [(name, convert) for name, convert in found.items() if convert is not None]
