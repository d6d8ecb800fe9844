"""Names of tables and columns in SQL, and what a database takes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from enricher.errors import InputError, OutputError
from enricher.places import Database

_CSV = "Write the output as .csv, or give the columns of the input other names."


@dataclass(frozen=True, slots=True)
class Limits:
    """What a database takes: how many columns, names of how many bytes, and `a` beside `A`."""

    columns: int
    bytes_a_name: int
    case_matters: bool


def quoted(name: str) -> str:
    """A name as SQL text that is that name and nothing else."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def parts_of(place: Database) -> tuple[str | None, str]:
    """The schema, if one is named, and the table."""
    schema, dot, table = (place.table or "").rpartition(".")
    return (schema, table) if dot and schema and table else (None, place.table or "")


def table_text(place: Database, name: str = "") -> str:
    """The table, or the one called `name` beside it, as SQL text."""
    schema, table = parts_of(place)
    return (f"{quoted(schema)}." if schema else "") + quoted(name or table)


def query_text(place: Database, query: str | None) -> str:
    """The query, or the one for all rows of the table."""
    return query if query is not None else f"SELECT * FROM {table_text(place)}"  # noqa: S608


def check_result(place: Database, names: Sequence[str]) -> None:
    """Raise `InputError` if the columns of a query have not each a name of its own."""
    if not names:
        raise InputError(
            f"{place}: the query gives no table", mend="Ask for columns: SELECT … FROM …"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"{place}: the query gives two columns named {twice[0]!r}",
            mend=f"Name them apart: SELECT … AS {quoted(twice[0] + ' 2')}",
        )


def check_names(place: Database, names: Sequence[str], limits: Limits) -> None:
    """See `databases.check_columns`."""
    if len(names) > limits.columns:
        raise OutputError(
            f"{place} cannot be written: a table there has at most {limits.columns:,} columns, and"
            f" this would have {len(names):,}",
            mend=_CSV,
        )
    seen: set[str] = set()
    for name in names:
        same = name if limits.case_matters else name.casefold()
        if not name or "\0" in name or same in seen or len(name.encode()) > limits.bytes_a_name:
            raise OutputError(
                f"{place} cannot be written: no two columns can be called {name!r} there"
                if same in seen
                else f"{place} cannot be written: no column can be called {name[:80]!r} there",
                mend=_CSV,
            )
        seen.add(same)
