"""Delimited text (CSV, TSV), streamed."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import polars as pl

from enricher.formats import Dialect, Fingerprint, Reading
from enricher.source.batches import rows_per_batch
from enricher.source.dialects import find_delimiter
from enricher.source.encodings import find_encoding, text_blocks
from enricher.source.lines import line_blocks
from enricher.source.records import Column, Records
from enricher.source.stored import StoredFile


class DelimitedTable:
    """A text file with one record a line and a header; the interface is `Table`.

    Args:
        stored: the file.
        reading: what the user says of it.
        default: the delimiter of a table with one column.
    """

    def __init__(self, stored: StoredFile, reading: Reading, default: str) -> None:
        self.path = stored.path
        self.blank_lines = 0
        self.ragged_lines = 0
        self._stored = stored
        self._ragged = reading.ragged
        self._encoding = find_encoding(stored, reading.encoding)
        with self._lines() as lines:
            head = next(lines, [])
            found = reading.delimiter or find_delimiter(stored.shown, head, default)
            records = Records(stored.shown, chain([head], lines), found, reading.ragged)
            self.columns = records.header()
        line_end = records.line_end or Dialect().line_end
        self.dialect = Dialect(found, line_end, self._encoding.had_bom)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._stored.path,)

    @property
    def remarks(self) -> tuple[str, ...]:
        return self._encoding.remarks(self._stored.shown)

    def fingerprint(self) -> Fingerprint:
        return self._stored.fingerprint()

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        most = rows_per_batch(len(self.columns))
        with self._stored.unchanged(), self._lines() as lines:
            records = Records(self._stored.shown, lines, self.dialect.delimiter, self._ragged)
            records.header()
            while not records.at_end:
                columns = records.next_columns(most)
                if columns[0]:
                    yield _frame(columns)
        self.blank_lines, self.ragged_lines = records.blank_lines, records.ragged_lines

    @contextmanager
    def _lines(self) -> Iterator[Iterator[list[str]]]:
        with self._stored.opened() as file:
            blocks = text_blocks(self._stored, file, self._encoding)
            yield line_blocks(self._stored.shown, blocks)


def _frame(columns: list[Column]) -> pl.DataFrame:
    names = map(str, range(len(columns)))
    return pl.DataFrame(
        [
            pl.Series(name, cells, dtype=pl.String)
            for name, cells in zip(names, columns, strict=True)
        ]
    )
