"""SQLite, through the standard library: each value as it is stored.

ADBC gives a column the type of its first rows and makes the others fit: it writes 3.5 beside text
as `3.500000e+00`, which would be another input, bought again.
"""

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from enricher.cell import as_nested_json, as_text
from enricher.databases.sql import Limits, check_result, parts_of, query_text, quoted, table_text
from enricher.errors import CannotGoOn, InputError, OutputError
from enricher.extras import extra
from enricher.places import Database

if TYPE_CHECKING:
    import pyarrow as pa

LIMITS = Limits(columns=2000, bytes_a_name=1 << 20, case_matters=False)

_ROWS_AT_ONCE = 8_192
_EXACT_IN_FLOAT = 1 << 53
_LARGEST = 1 << 63
_PATIENCE = 10.0
"""Seconds to wait for another program that writes the database."""


def copy_rows(place: Database, query: str | None, file: BinaryIO) -> None:
    """See `databases.copy_rows`. A column of several kinds of values is text here.

    The rows are gone over twice, in one transaction: first to learn the types.
    """
    with extra("db", f"Reading {place}", InputError):
        import pyarrow as pa
        import pyarrow.parquet as pq
    with _connection(place, InputError, "ro") as connection:
        connection.execute("BEGIN")
        text = query_text(place, query)
        names, rows = _asked(place, connection, text)
        kinds = [_Kinds() for _ in names]
        for row in rows:
            for kind, value in zip(kinds, row, strict=True):
                kind.see(value)
        types = [kind.type() for kind in kinds]
        schema = pa.schema(list(zip(names, types, strict=True)))
        _, rows = _asked(place, connection, text)
        try:
            with pq.ParquetWriter(file, schema) as writer:
                while batch := list(islice(rows, _ROWS_AT_ONCE)):
                    columns = map(_column, zip(*batch, strict=True), types)
                    writer.write_batch(pa.record_batch(list(columns), schema=schema))
        except pa.ArrowException as error:
            raise InputError(
                f"{place}: the query gives other values each time it is asked",
                mend="Leave out what is random in it.",
            ) from error


def load(place: Database, parquet: Path) -> None:
    """See `databases.load`.

    Truth is 1 and 0; dates, times, decimals and integers beyond 64 bits are text, lists and objects
    JSON.
    """
    with extra("db", f"Writing {place}", OutputError):
        import pyarrow.parquet as pq
    new = f"enricher_{secrets.token_hex(6)}"
    with (
        closing(pq.ParquetFile(parquet)) as found,
        _connection(place, OutputError, "rwc") as connection,
    ):
        fields = found.schema_arrow
        declared = ", ".join(f"{quoted(one.name)} {_declared(one.type)}" for one in fields)
        marks = ", ".join("?" * len(fields))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"CREATE TABLE {table_text(place, new)} ({declared})")
        into = f"INSERT INTO {table_text(place, new)} VALUES ({marks})"  # noqa: S608
        for batch in found.iter_batches(_ROWS_AT_ONCE):
            columns = [map(_stored, _python_values(column)) for column in batch.columns]
            connection.executemany(into, zip(*columns, strict=True))
        connection.execute(f"DROP TABLE IF EXISTS {table_text(place)}")
        renamed = quoted(parts_of(place)[1])
        connection.execute(f"ALTER TABLE {table_text(place, new)} RENAME TO {renamed}")
        connection.execute("COMMIT")


def exists(place: Database) -> bool:
    """See `databases.exists`."""
    if place.file is None or not place.file.exists():
        return False
    with _connection(place, OutputError, "ro") as connection:
        schema, table = parts_of(place)
        master = f"{quoted(schema)}.sqlite_master" if schema else "sqlite_master"
        sql = f"SELECT 1 FROM {master} WHERE name = ? COLLATE NOCASE"  # noqa: S608
        return connection.execute(sql, (table,)).fetchone() is not None


def check_loadable(place: Database) -> None:
    """See `databases.check_loadable`: a table is made in a transaction that is given up.

    Where there is no database yet, whoever calls looks at the folder.
    """
    with extra("db", f"Writing {place}", OutputError):
        import pyarrow  # noqa: F401
    if place.file is None or not place.file.exists():
        return
    with _connection(place, OutputError, "rw") as connection:
        connection.execute("BEGIN IMMEDIATE")
        name = table_text(place, f"enricher_{secrets.token_hex(6)}")
        connection.execute(f"CREATE TABLE {name} (n)")
        connection.execute("ROLLBACK")


@contextmanager
def _connection(
    place: Database, problem: type[CannotGoOn], mode: str
) -> Iterator[sqlite3.Connection]:
    """Open the file; what is not committed in the block is given up."""
    if mode == "ro" and place.file is not None and not place.file.is_file():
        raise problem(f"{place.file}: there is no such file", mend="Check the path.")
    uri = f"file:{quote(str(place.file))}?mode={mode}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
    except (sqlite3.Error, sqlite3.Warning) as error:
        done = "read" if problem is InputError else "written"
        raise problem(
            f"{place} cannot be {done}: {error}",
            mend="Check the path, the table and the query."
            if problem is InputError
            else "Check the path and the rights. What was bought is in the checkpoint.",
        ) from error


def _asked(
    place: Database, connection: sqlite3.Connection, text: str
) -> tuple[list[str], Iterator[Sequence[Any]]]:
    cursor = connection.execute(text)
    names = [column[0] for column in cursor.description or ()]
    check_result(place, names)
    return names, iter(cursor)


class _Kinds:
    """Which kinds of values a column has."""

    def __init__(self) -> None:
        self._kinds: set[type] = set()
        self._largest = 0

    def see(self, value: Any) -> None:
        self._kinds.add(type(value))
        if type(value) is int:
            self._largest = max(self._largest, abs(value))

    def type(self) -> "pa.DataType":
        import pyarrow as pa

        kinds = self._kinds - {type(None)}
        if kinds == {int}:
            return pa.int64()
        if kinds == {float} or (kinds == {int, float} and self._largest <= _EXACT_IN_FLOAT):
            return pa.float64()
        return pa.binary() if kinds == {bytes} else pa.string()


def _column(values: Sequence[Any], kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_string(kind):
        return pa.array([None if one is None else as_text(one) for one in values], kind)
    return pa.array(values, kind)


def _declared(kind: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return "INTEGER"
    if pa.types.is_floating(kind):
        return "REAL"
    return "BLOB" if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else "TEXT"


def _python_values(column: "pa.Array") -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    elif pa.types.is_time64(column.type):
        column = column.cast(pa.time64("us"), safe=False)
    elif pa.types.is_duration(column.type):
        column = column.cast(pa.duration("us"), safe=False)
    return list(column.to_pylist())


def _stored(value: Any) -> Any:
    if value is None or isinstance(value, str | float | bytes):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else str(value)
    return as_nested_json(value) if isinstance(value, list | dict) else as_text(value)
