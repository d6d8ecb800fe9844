"""Several files as one table, in the order of their names."""

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import astuple
from pathlib import Path

import polars as pl

from enricher.errors import InputError
from enricher.formats import Dialect, Fingerprint
from enricher.source.ndjson import NdjsonTable, agree_on_types
from enricher.source.table import Table
from enricher.source.workbook import XlsxTable

_SHOWN = 3


class ManyTables:
    """All rows of `tables`, which must have the same columns; the interface is `Table`.

    Args:
        tables: at least one, opened, in order; each a `Table`.

    Raises:
        InputError: a table has other columns than the first; names it and them.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        self._first = tables[0]
        for table in tables[1:]:
            _check_columns(self._first, table)
        agree_on_types([table for table in tables if isinstance(table, NdjsonTable | XlsxTable)])

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(path for table in self._tables for path in table.files)

    @property
    def columns(self) -> tuple[str, ...]:
        return self._first.columns

    @property
    def dialect(self) -> Dialect | None:
        return self._first.dialect

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(remark for table in self._tables for remark in table.remarks)

    @property
    def blank_lines(self) -> int:
        return sum(table.blank_lines for table in self._tables)

    @property
    def ragged_lines(self) -> int:
        return sum(table.ragged_lines for table in self._tables)

    def fingerprint(self) -> Fingerprint:
        """That of all files, which of them there are included."""
        parts = [(str(table.files), astuple(table.fingerprint())) for table in self._tables]
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
        sizes = [table.fingerprint().size for table in self._tables]
        return Fingerprint(sum(sizes), 0, 0, digest)

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        expected: list[pl.DataType] | None = None
        for table in self._tables:
            for frame in table.batches():
                if expected is None:
                    expected = frame.dtypes
                elif frame.dtypes != expected:
                    raise self._differing(table, expected, frame.dtypes)
                yield frame

    def _differing(
        self, table: Table, expected: list[pl.DataType], found: list[pl.DataType]
    ) -> InputError:
        pairs = zip(expected, found, strict=True)
        place = next(number for number, (one, other) in enumerate(pairs) if one != other)
        return InputError(
            f"{table.files[0]}: the column {self.columns[place]!r} is of type {found[place]},"
            f" and of type {expected[place]} in {self._first.files[0]}",
            mend="Write the files again with the same types.",
        )


def _check_columns(first: Table, other: Table) -> None:
    if other.columns == first.columns:
        return
    name, main = other.files[0], first.files[0]
    lacking = _listed(set(first.columns) - set(other.columns))
    surplus = _listed(set(other.columns) - set(first.columns))
    found = "; ".join(
        [f"it lacks {lacking}"] * bool(lacking) + [f"it has also {surplus}"] * bool(surplus)
    )
    raise InputError(
        f"{name} has other columns than {main}: {found or 'they stand in another order'}",
        mend="Give all files the same columns in the same order, or name them one by one.",
    )


def _listed(names: set[str]) -> str:
    shown = ", ".join(map(repr, sorted(names)[:_SHOWN]))
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
