"""Write the output: the input's rows and their outcomes, in order, whole or not at all.

chosen.py     only some of the rows
layout.py     which columns, and how they are named
target.py     a temporary file beside the target, renamed when it is complete
stream.py     where text goes: packed or plain, a file or standard output
delimited.py  CSV and TSV
ndjson.py     NDJSON
shapes.py     the narrowest type for what an output column holds
parquet.py    Parquet
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from enricher.errors import OutputError
from enricher.formats import STANDARD, parse_name
from enricher.sink.chosen import enriched, failed, failure_layout, is_of_failures
from enricher.sink.delimited import write_delimited
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
from enricher.sink.target import check_place

__all__ = [
    "Layout",
    "Pair",
    "Written",
    "check_layout",
    "check_writable",
    "enriched",
    "failed",
    "failure_layout",
    "is_of_failures",
    "output_names",
    "status_columns",
    "write",
]

_Pairs = Callable[[], Iterable[Pair]]
_Writer = Callable[[Path, Layout, _Pairs], Written]

_TEXT: dict[str, _Writer] = {
    ".csv": write_delimited,
    ".tsv": write_delimited,
    ".ndjson": write_ndjson,
    ".jsonl": write_ndjson,
}
"""Formats of text; each may be packed."""

_BINARY: dict[str, _Writer] = {".parquet": write_parquet}


def write(path: Path, layout: Layout, pairs: _Pairs) -> Written:
    """Write the table to `path`, its format told by the extension; `-` is CSV on standard output.

    Memory does not grow with the number of rows. The file appears when it is complete; until
    then, and after any error, what was at `path` stays as it was.

    Args:
        path: a new file, one to be replaced, or `-`.
        layout: the columns.
        pairs: called for each pass over the rows; Parquet needs two, and one more whenever an
            outcome appeared in between that its column's type does not hold. Pairs without rows
            are welcome: they tell the types of the input's columns.

    Raises:
        OutputError: the file cannot be written, or its format cannot hold the layout.
    """
    writer = _writer_for(path)
    check_layout(path, layout)
    return writer(path, layout, pairs)


def check_writable(path: Path) -> None:
    """Make sure, before money is spent, that `write` will be able to make this file.

    A file is created beside it and removed again: nothing else finds a full or read-only disk.

    Raises:
        OutputError: it will not; the message says why.
    """
    _writer_for(path)
    if str(path) != STANDARD:
        check_place(path)


def check_layout(path: Path, layout: Layout) -> None:
    """Make sure, before money is spent, that the format of `path` can hold the columns.

    Raises:
        OutputError: a status column is there already, or the format cannot hold the names.
    """
    layout.check()
    if _writer_for(path) is write_parquet:
        check_parquet_names(path, layout)
    if _writer_for(path) is write_ndjson:
        check_distinct_names(path, layout, "NDJSON")


def _writer_for(path: Path) -> _Writer:
    if str(path) == STANDARD:
        return write_delimited
    name = parse_name(path.name)
    if name.format in _TEXT:
        return _TEXT[name.format]
    if name.format in _BINARY and not name.packing:
        return _BINARY[name.format]
    found = f"the extension {name.extension}" if name.extension else "a name without extension"
    known = ", ".join([*_TEXT, *_BINARY])
    raise OutputError(
        f"{path} cannot be written: {found} does not name a format that can be written",
        mend=f"Give it one of these extensions: {known}; text may end in .gz or .zst too.",
    )
