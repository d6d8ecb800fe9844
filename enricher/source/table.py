"""What a table is to the rest of the house, whatever its format."""

from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import polars as pl

from enricher.formats import Dialect, Fingerprint


class Table(Protocol):
    """A table in a file or several. Nothing is held open between passes."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files on this machine that it is read from."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names as they stand in the file: duplicates and empty ones too."""

    @property
    def dialect(self) -> Dialect | None:
        """How the text is written; `None` for a format that has types of its own."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know of how it is read, such as a guess."""

    @property
    def blank_lines(self) -> int:
        """How many blank lines the last complete pass went over."""

    @property
    def ragged_lines(self) -> int:
        """How many rows the last complete pass padded or passed over."""

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        """Go over all rows once, in order, from the start.

        Columns are named by position, "0", "1", …. In CSV all are text: an empty field is null
        and a quoted empty one (`""`) is the empty string. Parquet and NDJSON keep their types; a
        Parquet file without rows gives one batch without rows, so that its types are known. A
        column of NDJSON whose values no one type of polars holds exactly is of type Object.

        Closing the iterator early closes the file.

        Raises:
            InputError: the file is not a table, or somebody wrote to it since it was opened.
        """

    def fingerprint(self) -> Fingerprint:
        """The file as it is now.

        Raises:
            InputError: it is gone.
        """
