"""Read a table as it is: in batches, every cell as it came, in memory that does not grow.

`open_table` looks at the file's head only; `Table.batches` streams it, as often as it is asked to.
What cannot be read right is an `InputError` with the file, the line and a mend, never a guess.

    files.py      one regular file, unchanged from the start of a pass to its end
    lines.py      bytes to lines of text: encodings
    records.py    lines to records: CSV grammar, and where in the file a mistake is
    delimited.py  CSV
    parquet.py    Parquet
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

import polars as pl

from enricher.errors import InputError
from enricher.model import Dialect, Fingerprint
from enricher.source.delimited import DelimitedTable
from enricher.source.files import regular_file
from enricher.source.parquet import ParquetTable

__all__ = ["Table", "open_table"]


class Table(Protocol):
    """A table in a file. Nothing is held open between passes."""

    @property
    def path(self) -> Path:
        """The file, as the user named it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names as they stand in the file: duplicates and empty ones too."""

    @property
    def dialect(self) -> Dialect | None:
        """How the text is written; `None` for a format that has types of its own."""

    @property
    def blank_lines(self) -> int:
        """How many blank lines the last complete pass went over."""

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        """Go over all rows once, in order, from the start.

        Columns are named by position, "0", "1", …. In CSV all are text: an empty field is null
        and a quoted empty one (`""`) is the empty string. Parquet keeps its types, and a Parquet
        file without rows gives one batch without rows, so that its types are known.

        Closing the iterator early closes the file.

        Raises:
            InputError: the file is not a table, or somebody wrote to it since it was opened.
        """

    def fingerprint(self) -> Fingerprint:
        """The file as it is now.

        Raises:
            InputError: it is gone.
        """


_FORMATS: dict[str, Callable[[Path], Table]] = {
    ".csv": DelimitedTable,
    ".parquet": ParquetTable,
}

_NOT_YET = {
    ".tsv": "Save it as a comma-separated .csv file.",
    ".txt": "If it is comma-separated, rename it to .csv.",
    ".xlsx": 'Save the sheet as "CSV UTF-8" from the spreadsheet program.',
    ".xls": 'Save the sheet as "CSV UTF-8" from the spreadsheet program.',
    ".jsonl": "Convert it to .csv or .parquet first.",
    ".ndjson": "Convert it to .csv or .parquet first.",
    ".json": "Convert it to .csv or .parquet first.",
    ".gz": "Unpack it first (gunzip).",
    ".zst": "Unpack it first (unzstd).",
    ".zip": "Unpack it first.",
}


def open_table(path: Path) -> Table:
    """Open the table at `path`, its format told by the extension (in any case).

    Only the header is read.

    Raises:
        InputError: there is no such table, or its head already shows that it cannot be read.
    """
    extension = path.suffix.lower()
    if extension in _FORMATS:
        return _FORMATS[extension](path)
    regular_file(path)  # a name that does not exist is the likelier mistake than its extension
    known = " and ".join(_FORMATS)
    if extension in _NOT_YET:
        raise InputError(
            f"{path}: {extension} files cannot be read yet, only {known}",
            mend=_NOT_YET[extension],
        )
    found = f"the extension {extension} is not known" if extension else "it has no extension"
    raise InputError(f"{path}: {found}; readable are {known}", mend="Rename or convert the file.")
