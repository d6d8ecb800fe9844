"""Write the output: the input's rows and their outcomes, in order, whole or not at all.

chosen.py     only some of the rows
exploded.py   results of several rows as so many rows
layout.py     which columns, and how they are named
target.py     a temporary file beside the target, renamed when it is complete
stream.py     where text goes: packed or plain, a file or standard output
delimited.py  CSV and TSV
ndjson.py     NDJSON
shapes.py     the narrowest type for what an output column holds
parquet.py    Parquet
workbook.py   XLSX
remote.py     object stores and databases, by way of a file on this machine
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import polars as pl

from enricher import databases
from enricher.errors import OutputError
from enricher.formats import parse_name
from enricher.places import Database, Place, is_standard
from enricher.sink.chosen import enriched, failed, failure_layout, is_of_failures
from enricher.sink.delimited import write_delimited
from enricher.sink.exploded import exploded
from enricher.sink.layout import (
    Layout,
    Pair,
    Written,
    check_distinct_names,
    output_names,
    status_columns,
)
from enricher.sink.ndjson import write_ndjson
from enricher.sink.parquet import check_parquet_names, write_parquet
from enricher.sink.remote import (
    check_reachable,
    exists,
    is_elsewhere,
    remove,
    written_elsewhere,
)
from enricher.sink.target import check_own, check_place, replacing
from enricher.sink.workbook import (
    check_xlsx,
    check_xlsx_columns,
    check_xlsx_rows,
    write_xlsx,
)

__all__ = [
    "Layout",
    "Pair",
    "Written",
    "check_layout",
    "check_own",
    "check_place",
    "check_rows",
    "check_writable",
    "enriched",
    "exists",
    "exploded",
    "failed",
    "failure_layout",
    "is_of_failures",
    "output_names",
    "remove",
    "replacing",
    "status_columns",
    "write",
]


class Rows(Protocol):
    """The input, as far as the output depends on it."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def batches(self) -> Iterable[pl.DataFrame]: ...


_Pairs = Callable[[], Iterable[Pair]]
_Writer = Callable[[Path, Layout, _Pairs], Written]

_TEXT: dict[str, _Writer] = {
    ".csv": write_delimited,
    ".tsv": write_delimited,
    ".ndjson": write_ndjson,
    ".jsonl": write_ndjson,
}
"""Formats of text; each may be packed."""

_BINARY: dict[str, _Writer] = {".parquet": write_parquet, ".xlsx": write_xlsx}


def write(place: Place, layout: Layout, pairs: _Pairs) -> Written:
    """Write the table to `place`, its format told by the extension; `-` is CSV on standard output.

    Memory does not grow with the number of rows. The file appears when it is complete; until
    then, and after any error, what was there stays as it was.

    Args:
        place: a new file, one to be replaced, `-`, an object, or a database with a table.
        layout: the columns.
        pairs: called for each pass over the rows; Parquet needs another one whenever an outcome
            came that its column's type, as it was known by then, does not hold. Pairs without rows
            are welcome: they tell the types of the input's columns.

    Raises:
        OutputError: the file cannot be written, or its format cannot hold the layout.
    """
    writer = _writer_for(place)
    check_layout(place, layout)
    if is_elsewhere(place):
        with written_elsewhere(place) as path:
            return writer(path, layout, pairs)
    return writer(Path(str(place)), layout, pairs)


def check_writable(place: Place) -> None:
    """Make sure, before money is spent, that `write` will be able to make this file.

    A file is created beside it and removed again: nothing else finds a full or read-only disk. So
    is an object, and a table of a database in a transaction that is given up.

    Raises:
        OutputError: it will not; the message says why.
    """
    if _writer_for(place) is write_xlsx:
        check_xlsx(place)
    if is_elsewhere(place):
        check_reachable(place)
    elif not is_standard(place):
        check_place(Path(str(place)))


def check_layout(place: Place, layout: Layout) -> None:
    """Make sure, before money is spent, that the format of `place` can hold the columns.

    Raises:
        OutputError: a status column is there already, or the format cannot hold the names.
    """
    layout.check()
    if isinstance(place, Database):
        databases.check_columns(place, layout.arranged(layout.names()))
    elif _writer_for(place) is write_parquet:
        check_parquet_names(place, layout)
    if _writer_for(place) is write_ndjson:
        check_distinct_names(place, layout, "NDJSON")
    if _writer_for(place) is write_xlsx:
        check_xlsx_columns(place, layout)


def check_rows(place: Place, table: Rows) -> None:
    """Make sure, before money is spent, that the format of `place` can hold the rows of the input.

    Raises:
        OutputError: it cannot.
    """
    if _writer_for(place) is write_xlsx:
        check_xlsx_rows(place, table.batches(), table.columns)


def _writer_for(place: Place) -> _Writer:
    if is_standard(place):
        return write_delimited
    if isinstance(place, Database):  # which takes the types from there
        return write_parquet
    name = parse_name(place.name)
    if name.format in _TEXT:
        return _TEXT[name.format]
    if name.format in _BINARY and not name.packing:
        return _BINARY[name.format]
    found = f"the extension {name.extension}" if name.extension else "a name without extension"
    known = ", ".join([*_TEXT, *_BINARY])
    raise OutputError(
        f"{place} cannot be written: {found} does not name a format that can be written",
        mend=f"Give it one of these extensions: {known}; text may end in .gz or .zst too.",
    )
