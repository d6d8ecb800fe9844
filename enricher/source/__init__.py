"""Read a table as it is: in batches, every cell as it came, in memory that does not grow.

`open_table` looks at the header, and once at all bytes where only they tell the encoding;
`Table.batches` streams it, as often as it is asked to. What cannot be read right is an
`InputError` with the file, the line and a mend, never a guess.

    files.py      one regular file, unchanged from the start of a pass to its end
    stored.py     the bytes of a file, unpacked
    spool.py      bytes that come once, copied to a file
    remote.py     objects of a store and queries of a database, copied too
    encodings.py  bytes to UTF-8: which encoding it is
    lines.py      UTF-8 to lines of text
    dialects.py   which delimiter it is
    records.py    lines to records: CSV grammar, and where in the file a mistake is
    delimited.py  CSV and TSV, on top of these
    ndjson.py     NDJSON, on top of lines
    parquet.py    Parquet
    workbook.py   XLSX, with worksheet_xml.py for what its reader does not tell
    table.py      what all of them are to the rest of the house
    many.py       several files as one table
"""

import glob
from collections.abc import Callable
from pathlib import Path

from enricher.errors import InputError
from enricher.formats import (
    AS_FOUND,
    STANDARD,
    Packing,
    Reading,
    TableName,
    parse_name,
    split_pattern,
)
from enricher.places import Database, Place, StoredObject, format_of, is_standard
from enricher.source.delimited import DelimitedTable
from enricher.source.files import regular_file
from enricher.source.many import ManyTables
from enricher.source.ndjson import NdjsonTable
from enricher.source.parquet import ParquetTable
from enricher.source.remote import object_copied, query_copied
from enricher.source.spool import Spool, is_spool, spooled, spooled_table
from enricher.source.stored import StoredFile
from enricher.source.table import Table
from enricher.source.workbook import XlsxTable

__all__ = [
    "STANDARD_INPUT",
    "Spool",
    "Table",
    "copied",
    "is_spool",
    "open_copy",
    "open_table",
    "spooled",
    "spooled_table",
]


STANDARD_INPUT = "standard input"

_Opener = Callable[[StoredFile, Reading], Table]

_TEXT: dict[str, _Opener] = {
    ".csv": lambda stored, reading: DelimitedTable(stored, reading, ","),
    ".tsv": lambda stored, reading: DelimitedTable(stored, reading, "\t"),
    ".ndjson": NdjsonTable,
    ".jsonl": NdjsonTable,
}
"""Formats of text; each may be packed."""

_BINARY: dict[str, Callable[[Path, Reading, str], Table]] = {
    ".parquet": lambda path, _, shown: ParquetTable(path, shown),
    ".xlsx": XlsxTable,
}

_SAVE_AS = "Open it in a spreadsheet program and save it as .xlsx."
_NOT_READ = {
    ".txt": "If its columns are separated by commas, semicolons, tabs or bars, rename it to .csv.",
    ".xls": _SAVE_AS,
    ".xlsm": _SAVE_AS,
    ".xlsb": _SAVE_AS,
    ".ods": _SAVE_AS,
    ".json": "Convert it to .ndjson (one object a line) first.",
    ".bz2": "Unpack it first (bunzip2).",
    ".xz": "Unpack it first (unxz).",
    ".zip": "Unpack it first.",
}


def open_table(path: Path, reading: Reading = AS_FOUND) -> Table:
    """Open the table at `path`, its format told by the extension (in any case).

    A name with wildcards that is no file's own name stands for all files that fit, in the order of
    their names.

    Raises:
        InputError: there is no such table, or its head already shows that it cannot be read.
    """
    if str(path) == STANDARD:
        raise InputError(
            "standard input was read once, and no copy of it is left",
            mend="Name a copy of it with --input, or give it on standard input again.",
        )
    folder, pattern = split_pattern(path)
    if pattern:
        found = _matching(folder, pattern)
        return ManyTables([_open_one(one, reading) for one in found])
    return _open_one(path, reading)


def copied(place: StoredObject | Database, query: str | None, checkpoint: Path) -> Spool:
    """Copy an input that is not on this machine beside the checkpoint.

    Args:
        query: what is asked of a database, if it is not for a whole table.

    Raises:
        InputError: it cannot be read, or its format is none that can.
        OutputError: the copy cannot be written.
    """
    if isinstance(place, Database):
        return query_copied(place, query, checkpoint)
    name = parse_name(place.name)
    if name.format not in _TEXT and (name.format not in _BINARY or name.packing):
        raise _unknown(place, name)
    return object_copied(place, checkpoint, is_text=name.format in _TEXT)


def open_copy(path: Path, shown: Place, reading: Reading = AS_FOUND) -> Table:
    """Open the copy of an input, which messages call `shown`, and whose name tells the format.

    Raises:
        InputError: the copy is gone, or its head shows that it cannot be read.
    """
    name = STANDARD_INPUT if is_standard(shown) else str(shown)
    format_ = format_of(shown) or ".parquet"
    if format_ in _BINARY:
        return _BINARY[format_](path, reading, name)
    return _TEXT[format_](StoredFile(path, Packing.ZSTD, name), reading)


def _open_one(path: Path, reading: Reading) -> Table:
    name = parse_name(path.name)
    if name.format in _TEXT:
        _check_sheet(path, name, reading)
        return _TEXT[name.format](StoredFile(path, name.packing), reading)
    if name.format in _BINARY and not name.packing:
        _check_sheet(path, name, reading)
        return _BINARY[name.format](path, reading, "")
    raise _unknown(path, name)


def _matching(folder: Path, pattern: str) -> list[Path]:
    # Not Path.glob, which takes hidden files too.
    found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
    if not found:
        raise InputError(f"{folder / pattern}: no file fits this pattern", mend="Check the path.")
    return [folder / one for one in found]


def _check_sheet(path: Path, name: TableName, reading: Reading) -> None:
    if reading.sheet is not None and name.format != ".xlsx":
        raise InputError(
            f"{path} has no sheets, and --sheet {reading.sheet!r} names one",
            mend="Leave out --sheet, or name a workbook (.xlsx).",
        )


def _unknown(path: Path | StoredObject, name: TableName) -> InputError:
    if isinstance(path, Path):
        regular_file(path)  # a name that does not exist is the likelier mistake than its extension
    known = ", ".join([*_TEXT, *_BINARY])
    if name.format in _BINARY:
        return InputError(
            f"{path}: {name.format} is packed in itself and cannot be read as {name.extension}",
            mend="Unpack it first.",
        )
    if name.format in _NOT_READ:
        return InputError(
            f"{path}: {name.format} files cannot be read, only {known}", mend=_NOT_READ[name.format]
        )
    found = f"the extension {name.format} is not known" if name.format else "it has no extension"
    if name.packing and not name.format:
        found = f"{name.packing} does not tell what is packed"
    return InputError(f"{path}: {found}; readable are {known}", mend="Rename or convert the file.")
