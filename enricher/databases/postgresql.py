"""PostgreSQL, through ADBC and libpq: in streams, types kept."""

import re
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from enricher.cell import as_nested_json, as_text
from enricher.databases.sql import (
    Limits,
    check_result,
    parts_of,
    query_text,
    quoted,
    table_text,
)
from enricher.errors import CannotGoOn, InputError, OutputError
from enricher.extras import extra
from enricher.places import Database

if TYPE_CHECKING:
    import pyarrow as pa

LIMITS = Limits(columns=1600, bytes_a_name=63, case_matters=True)

_ROWS_AT_ONCE = 8_192
_MONEY = "money"
"""Comes as an integer of cents, which would be read as another number."""


def copy_rows(place: Database, query: str | None, file: BinaryIO) -> None:
    """See `databases.copy_rows`. The query may change nothing.

    NUMERIC is text here, as are JSON and UUID: ADBC does not tell how many digits it has.
    """
    with _cursor(place, InputError) as cursor:
        import pyarrow as pa
        import pyarrow.parquet as pq

        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(query_text(place, query))
        reader = cursor.fetch_record_batch()
        check_result(place, reader.schema.names)
        for field in reader.schema:
            _check_readable(place, field)
        kept = [pa.field(field.name, _kept_type(field)) for field in reader.schema]
        with pq.ParquetWriter(file, pa.schema(kept)) as writer:
            for batch in reader:
                columns = [_kept(*pair) for pair in zip(batch.columns, reader.schema, strict=True)]
                writer.write_batch(pa.record_batch(columns, schema=pa.schema(kept)))


def load(place: Database, parquet: Path) -> None:
    """See `databases.load`.

    Lists and objects are JSON text; NUL, which PostgreSQL has no text for, is U+FFFD.
    """
    with _cursor(place, OutputError) as cursor:
        import pyarrow.parquet as pq

        schema, table = parts_of(place)
        new = f"enricher_{secrets.token_hex(6)}"
        with closing(pq.ParquetFile(parquet)) as found:
            cursor.adbc_ingest(new, _loaded(found), mode="create", db_schema_name=schema)
        cursor.execute(f"DROP TABLE IF EXISTS {table_text(place)}")
        cursor.execute(f"ALTER TABLE {table_text(place, new)} RENAME TO {quoted(table)}")
        cursor.connection.commit()


def exists(place: Database) -> bool:
    """See `databases.exists`."""
    with _cursor(place, OutputError) as cursor:
        cursor.execute("SELECT to_regclass($1)::text", (table_text(place),))
        found = cursor.fetchone()
        return bool(found and found[0])


def check_loadable(place: Database) -> None:
    """See `databases.check_loadable`: a table is made in a transaction that is given up."""
    with _cursor(place, OutputError) as cursor:
        name = table_text(place, f"enricher_{secrets.token_hex(6)}")
        cursor.execute(f"CREATE TABLE {name} (n integer)")


@contextmanager
def _cursor(place: Database, problem: type[CannotGoOn]) -> Iterator[Any]:
    """Connect, and begin a transaction that is given up unless it is committed."""
    with extra("db", f"Reaching {place}", problem):
        import pyarrow as pa
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi
    try:
        with closing(dbapi.connect(place.url)) as connection:
            with closing(connection.cursor()) as cursor:
                yield cursor
            connection.rollback()
    except (Error, pa.ArrowException) as error:
        reads = problem is InputError
        raise problem(
            f"{place} cannot be {'read' if reads else 'written'}: {_cause(error)}",
            mend="Check the address, the query or table, and the password (PGPASSWORD, ~/.pgpass)."
            if reads
            else "Check the address, the rights and the password (PGPASSWORD, ~/.pgpass). Nothing"
            " is lost: what was bought is in the checkpoint.",
        ) from None


def _cause(error: Exception) -> str:
    """What the server says, without the driver's words around it."""
    text = str(error)
    found = re.search(r"(?:ERROR|FATAL):\s*([^\n]*)", text) or re.search(r"failed: ([^\n]*)", text)
    return (found[1] if found else (text.splitlines() or ["no reason given"])[0])[:300]


# --- from PostgreSQL ------------------------------------------------------------------------


def _type_name(field: "pa.Field") -> str:
    """PostgreSQL's own name of the type."""
    return str((field.metadata or {}).get(b"POSTGRESQL:type", b"").decode())


def _check_readable(place: Database, field: "pa.Field") -> None:
    import pyarrow as pa

    kind, name = field.type, _type_name(field)
    inner = kind.value_type if pa.types.is_list(kind) else kind
    has_text = name in ("numeric", "uuid", "json", "jsonb") and not pa.types.is_list(kind)
    is_plain = not isinstance(inner, pa.BaseExtensionType) and not pa.types.is_nested(inner)
    if has_text or (
        is_plain and name not in (_MONEY, "_money") and not pa.types.is_interval(inner)
    ):
        return
    raise InputError(
        f"{place}: the column {field.name!r} is of the type {name}, which cannot be read as it is",
        mend=f"Choose a form for it: --query 'SELECT CAST({quoted(field.name)} AS text) …'",
    )


def _kept_type(field: "pa.Field") -> "pa.DataType":
    import pyarrow as pa

    return pa.string() if isinstance(field.type, pa.BaseExtensionType) else field.type


def _kept(column: "pa.Array", field: "pa.Field") -> "pa.Array":
    import pyarrow as pa

    if not isinstance(field.type, pa.BaseExtensionType):
        return column
    if _type_name(field) == "numeric":
        return pa.array(map(_number_text, column.storage.to_pylist()), pa.string())
    return pa.array(
        [None if value is None else str(value) for value in column.to_pylist()], pa.string()
    )


def _number_text(text: str | None) -> str | None:
    return None if text is None else as_text(Decimal(text)) or None


# --- to PostgreSQL --------------------------------------------------------------------------


def _loaded(found: Any) -> "pa.RecordBatchReader":
    import pyarrow as pa

    fields = [pa.field(field.name, _loaded_type(field.type)) for field in found.schema_arrow]
    schema = pa.schema(fields)

    def batches() -> Iterator["pa.RecordBatch"]:
        for batch in found.iter_batches(_ROWS_AT_ONCE):
            columns = [_converted(*pair) for pair in zip(batch.columns, schema.types, strict=True)]
            yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _loaded_type(kind: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    if pa.types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if pa.types.is_time(kind):
        return pa.time64("us")
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or _is_text(kind):
        return pa.string()
    return pa.string() if pa.types.is_null(kind) else kind


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _converted(column: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_nested(column.type):
        texts = [None if value is None else as_nested_json(value) for value in column.to_pylist()]
        return pa.array(texts, pa.string())
    found = column if column.type == kind else column.cast(kind, safe=False)
    return pc.replace_substring(found, "\0", "\ufffd") if _is_text(kind) else found
