"""Tables of PostgreSQL and SQLite: a query copied to a Parquet file, and such a file made a table.

A table is replaced in one transaction: a reader sees the old one or all of the new one.

sql.py         names of tables and columns, and what a database takes of them
postgresql.py  through ADBC, which takes passwords from where PostgreSQL's own tools take them
sqlite.py      through the standard library
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from enricher.databases import postgresql, sqlite
from enricher.databases.sql import check_names
from enricher.places import Database


def copy_rows(place: Database, query: str | None, file: BinaryIO) -> None:
    """Write what `query` gives, or else the table of `place`, to `file` as Parquet.

    Raises:
        InputError: the database cannot be reached, refuses, or gives what has no place there.
    """
    (sqlite if place.file else postgresql).copy_rows(place, query, file)


def load(place: Database, parquet: Path) -> None:
    """Make the rows of a Parquet file the table of `place`, in place of what had that name.

    Raises:
        OutputError: the database cannot be reached, or refuses; then all is as before.
    """
    (sqlite if place.file else postgresql).load(place, parquet)


def exists(place: Database) -> bool:
    """Whether something has the name of the table.

    Raises:
        OutputError: the database cannot be reached.
    """
    return sqlite.exists(place) if place.file else postgresql.exists(place)


def check_loadable(place: Database) -> None:
    """Make sure that a table can be made there, without making one.

    Raises:
        OutputError: it cannot.
    """
    (sqlite if place.file else postgresql).check_loadable(place)


def check_columns(place: Database, names: Sequence[str]) -> None:
    """Make sure that a table can have columns of these names.

    Raises:
        OutputError: it cannot; names the column.
    """
    check_names(place, names, sqlite.LIMITS if place.file else postgresql.LIMITS)
