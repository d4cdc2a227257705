"""SQLAlchemy statements that are built once and run often, run on SQLite's driver itself. SQLAlchemy compiles them, and
its types convert what goes in and what comes out; what is left out is its work around each execution, which on a local
database costs more than the execution. `engine` calls it for every statement; whatever is not of a plain kind it
leaves to SQLAlchemy, with the same result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any
from weakref import WeakSet

from sqlalchemy import Column, Delete, Executable, Insert, Select, Update
from sqlalchemy.engine import Dialect, Row
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError

from gateway.core.transaction import Parameters

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

    def execute(self, driver: Any, statement: Executable, parameters: Parameters) -> "PreparedResult | None":
        """Run a statement on the driver's connection; None when that is left to SQLAlchemy. Raises SQLAlchemy's
        DBAPIError as its own execution does."""
        try:
            prepared = self._prepared[statement]
        except KeyError:
            if self._is_used:
                self._meet(statement, parameters)
            return None
        if prepared is None:
            return None
        if isinstance(parameters, dict) or isinstance(parameters, Mapping):  # noqa: SIM101 - the first is quick
            return prepared.execute(driver, parameters)
        return prepared.execute_many(driver, parameters or ())

    def _meet(self, statement: Executable, parameters: Parameters) -> None:
        row = parameters if isinstance(parameters, Mapping) else next(iter(parameters or ()), {})
        if statement not in self._seen:
            self._seen.add(statement)
        elif len(self._prepared) < MAX_PREPARED:
            self._prepared[statement] = _prepare(statement, row, self._dialect)


class _Prepared:
    """SQL text, and what turns parameters into its values and its rows into results."""

    __slots__ = ("_columns", "_constants", "_converts", "_dialect", "_names", "_pick", "_sql", "size")

    def __init__(
        self,
        dialect: Dialect,
        sql: str,
        names: Sequence[str],
        *,
        constants: Mapping[str, Any],
        converts: Sequence[tuple[str, _Convert]],
        columns: "_Columns | None",
        size: int,
    ) -> None:
        """`names` are the values in SQL's order, `constants` those that the statement brings, `size` how many the
        caller does. Statements without `columns` return no rows."""
        self._dialect = dialect
        self._sql = sql
        self._names = names
        self._constants = constants
        self._converts = converts
        self._pick = itemgetter(*names) if len(names) > 1 else None
        self._columns = columns
        self.size = size

    def execute(self, driver: Any, parameters: Mapping[str, Any]) -> "PreparedResult | None":
        """Run it, or return None when the parameters are others than it was prepared for."""
        arguments = self._arguments(parameters)
        if arguments is None:
            return None
        try:
            cursor = driver.execute(self._sql, arguments)
            rows = cursor.fetchall() if self._columns is not None else ()
        except Exception as error:
            raise self._translated(error) from error
        if self._columns is not None:
            return PreparedResult(self._columns, self._columns.convert(rows), -1)
        return PreparedResult(_NO_COLUMNS, (), cursor.rowcount)

    def execute_many(self, driver: Any, rows: Sequence[Mapping[str, Any]]) -> "PreparedResult | None":
        """Run it for each of some rows of parameters, as `execute` does."""
        if self._columns is not None:
            return None
        many = [self._arguments(row) for row in rows]
        if None in many:
            return None
        try:
            cursor = driver.executemany(self._sql, many)
        except Exception as error:
            raise self._translated(error) from error
        return PreparedResult(_NO_COLUMNS, (), cursor.rowcount)

    def _arguments(self, parameters: Mapping[str, Any]) -> Sequence[Any] | None:
        """Return the values in SQL's order; None when one is missing."""
        if len(parameters) != self.size:
            return None
        values = {**self._constants, **parameters}
        try:
            for name, convert in self._converts:
                values[name] = convert(values[name])
            if self._pick is not None:
                return self._pick(values)  # type: ignore[no-any-return]
            return [values[name] for name in self._names]
        except KeyError:
            return None

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


class PreparedResult:
    """What a prepared statement brought, with those methods of SQLAlchemy's CursorResult that store functions use.
    All rows are here already."""

    __slots__ = ("_columns", "_rows", "rowcount")

    def __init__(self, columns: _Columns, rows: Sequence[Sequence[Any]], rowcount: int) -> None:
        self._columns = columns
        self._rows = rows
        self.rowcount = rowcount

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
