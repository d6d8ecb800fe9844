"""CSV, streamed."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import polars as pl

from enricher.model import Dialect, Fingerprint
from enricher.source.files import opened, regular_file, unchanged
from enricher.source.lines import line_blocks, skip_bom
from enricher.source.records import Column, Records

_MOST_ROWS = 8_192
_MOST_CELLS = 1 << 18


def rows_per_batch(width: int) -> int:
    """8,192 rows, and from 33 columns on as many as make 262,144 cells (131 of 2,000 columns)."""
    return max(1, min(_MOST_ROWS, _MOST_CELLS // max(1, width)))


class DelimitedTable:
    """A text file with one record a line and a header; the interface is `Table`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blank_lines = 0
        self._opened_as = regular_file(path)
        self.dialect = Dialect()
        with opened(path) as file:
            has_bom = skip_bom(path, file)
            records = Records(path, line_blocks(path, file), self.dialect.delimiter)
            self.columns = records.header()
        line_end = records.line_end or self.dialect.line_end
        self.dialect = replace(self.dialect, bom=has_bom, line_end=line_end)

    def fingerprint(self) -> Fingerprint:
        return regular_file(self.path)

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        most = rows_per_batch(len(self.columns))
        with unchanged(self.path, self._opened_as), opened(self.path) as file:
            skip_bom(self.path, file)
            records = Records(self.path, line_blocks(self.path, file), self.dialect.delimiter)
            records.header()
            while not records.at_end:
                columns = records.next_columns(most)
                if columns[0]:
                    yield _frame(columns)
        self.blank_lines = records.blank_lines


def _frame(columns: list[Column]) -> pl.DataFrame:
    names = map(str, range(len(columns)))
    return pl.DataFrame(
        [
            pl.Series(name, cells, dtype=pl.String)
            for name, cells in zip(names, columns, strict=True)
        ]
    )
