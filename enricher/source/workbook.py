"""A sheet of a workbook (XLSX), every cell with the type that it has there.

The reader holds the sheet in memory while a pass lasts; the file knows no order in which it could
be streamed with all that a cell needs. A spreadsheet stores every number as a float: whole ones
become integers here, so that their text is what a person sees.
"""

import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import polars as pl

from enricher.cell import as_text
from enricher.errors import InputError
from enricher.extras import extra
from enricher.formats import Fingerprint, Reading
from enricher.source.batches import rows_per_batch
from enricher.source.files import opened, regular_file, unchanged
from enricher.source.worksheet_xml import Oddities, name_of, oddities_of

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_EXACT_IN_FLOAT = 1 << 53
_MOST_SHOWN = 8

_SAVE = "Open it in a spreadsheet program, save it again as .xlsx, and repeat the command."

Row = list[Any]


class XlsxTable:
    """One sheet of a workbook; the interface is `Table`.

    The first row that is not blank names the columns. `types` says how each column is held; one
    whose cells are of several kinds is of type Object, its cells values of Python.

    Args:
        path: the file.
        reading: which sheet is meant, by name or number; without it the first that is visible.
        shown: what messages call the file; by default `path`.

    Raises:
        InputError: it is no workbook that can be read, has no such sheet, or the sheet holds a
            formula without a result.
    """

    dialect = None
    ragged_lines = 0

    def __init__(self, path: Path, reading: Reading, shown: str = "") -> None:
        self.path = path
        self.blank_lines = 0
        self._shown = shown or str(path)
        self._opened_as = regular_file(path)
        _check_marks(path, self._shown)
        with self._sheet_errors(), _workbook(path, self._shown) as workbook:
            self._sheet, self._remarks = _chosen(workbook, reading.sheet, self._shown)
            self._odd = oddities_of(path, self._sheet)
            if self._odd.unsolved:
                raise self._unsolved(self._odd.unsolved)
            sheet = workbook.get_sheet_by_name(self._sheet)
            self._remarks += _remarks_on(self._shown, sheet, self._odd)
            self.columns, self.types = self._learned(sheet)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    @property
    def remarks(self) -> tuple[str, ...]:
        return self._remarks

    def fingerprint(self) -> Fingerprint:
        return regular_file(self.path)

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        self.blank_lines = 0
        with (
            unchanged(self.path, self._opened_as),
            self._sheet_errors(),
            _workbook(self.path, self._shown) as workbook,
        ):
            rows = self._rows(workbook.get_sheet_by_name(self._sheet))
            next(rows)
            is_empty = True
            while batch := list(islice(rows, rows_per_batch(len(self.columns)))):
                is_empty = False
                yield self._frame(list(zip(*batch, strict=True)))
            if is_empty:
                yield self._frame([()] * len(self.columns))

    def _frame(self, columns: Sequence[Sequence[Any]]) -> pl.DataFrame:
        pairs = zip(columns, self.types, strict=True)
        return pl.DataFrame(
            [pl.Series(str(n), list(cells), dtype=dtype) for n, (cells, dtype) in enumerate(pairs)]
        )

    def _learned(self, sheet: "CalamineSheet") -> tuple[tuple[str, ...], list[pl.DataType]]:
        rows = self._rows(sheet)
        header = next(rows, None)
        if header is None:
            raise InputError(
                f"{self._shown}: the sheet {self._sheet!r} is empty, without even a header",
                mend="Name the sheet that holds the list with --sheet NAME.",
            )
        kinds: list[set[type]] = [set() for _ in header]
        for row in rows:
            for seen, cell in zip(kinds, row, strict=True):
                seen.add(type(cell))
        self.blank_lines = 0
        return tuple(map(as_text, header)), [_dtype(seen - {type(None)}) for seen in kinds]

    def _rows(self, sheet: "CalamineSheet") -> Iterator[Row]:
        """The header and all rows that are not blank; those are counted."""
        first = sheet.start[1] if sheet.start else 0
        odd_rows = {row for row, _ in self._odd.errors}
        has_begun = False
        for number, cells in enumerate(sheet.iter_rows()):
            row = [_value(cell) for cell in cells]
            if number in odd_rows:
                row = [
                    self._odd.errors.get((number, place), cell)
                    for place, cell in enumerate(row, start=first)
                ]
            if any(cell is not None for cell in row):
                has_begun = True
                yield row
            else:
                self.blank_lines += has_begun

    @contextmanager
    def _sheet_errors(self) -> Iterator[None]:
        with extra("excel", f"Reading {self._shown}", InputError):
            from python_calamine import CalamineError
        try:
            yield
        except (
            *(CalamineError, zipfile.BadZipFile, expat.ExpatError),
            *(zlib.error, KeyError, EOFError, OSError),
        ) as error:
            raise InputError(
                f"{self._shown} cannot be read as a workbook: {error}",
                mend=f"The file is probably damaged. {_SAVE}",
            ) from error

    def _unsolved(self, place: tuple[int, int]) -> InputError:
        return InputError(
            f"{self._shown}, sheet {self._sheet!r}, cell {name_of(place)}: a formula whose result"
            " is not stored in the file: a program wrote it that does not calculate",
            mend=_SAVE,
        )


@contextmanager
def _workbook(path: Path, shown: str) -> Iterator["CalamineWorkbook"]:
    from python_calamine import CalamineWorkbook

    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{shown} ends in the middle: the workbook is cut short",
            mend="It was probably not written or copied to the end: do that again.",
        )
    with CalamineWorkbook.from_path(path) as workbook:
        yield workbook


def _chosen(
    workbook: "CalamineWorkbook", wanted: str | None, shown: str
) -> tuple[str, tuple[str, ...]]:
    """The name of the sheet to read, and what is to be said of the choice."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    sheets = [sheet for sheet in workbook.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    names = [sheet.name for sheet in sheets]
    if wanted is not None:
        return _named(wanted, names, shown), ()
    visible = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
    if not names:
        raise InputError(f"{shown} has no sheet with cells", mend="Name another file.")
    first = (visible or names)[0]
    if len(names) == 1:
        return first, ()
    return first, (
        f"{shown} has the sheets {_listed(names)}; {first!r} is read, another with --sheet NAME",
    )


def _named(wanted: str, names: list[str], shown: str) -> str:
    """The sheet of that name, in any case, or with that number."""
    if wanted in names:
        return wanted
    for name in names:
        if name.casefold() == wanted.casefold():  # spreadsheets allow no two that differ in case
            return name
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    raise InputError(
        f"{shown} has no sheet {wanted!r}; it has {_listed(names)}",
        mend="Name one of them with --sheet, or give its number, from 1.",
    )


def _remarks_on(shown: str, sheet: "CalamineSheet", odd: Oddities) -> tuple[str, ...]:
    remarks = []
    if odd.errors:
        place, text = next(iter(odd.errors.items()))
        cells = "cell holds an error" if len(odd.errors) == 1 else "cells hold errors"
        remarks.append(
            f"{shown}: {len(odd.errors):,} {cells} instead of a value ({name_of(place)}: {text});"
            " such text is read, and sent where the column is mapped"
        )
    if merged := sheet.merged_cell_ranges:
        begin, end = merged[0]
        ranges = "range of cells is" if len(merged) == 1 else "ranges of cells are"
        remarks.append(
            f"{shown}: {len(merged):,} {ranges} merged ({name_of(begin)}:{name_of(end)}); only the"
            " first cell of each holds its value, the others are empty"
        )
    return tuple(remarks)


def _value(cell: Any) -> Any:
    if cell == "" and isinstance(cell, str):
        return None
    if type(cell) is float and cell.is_integer() and abs(cell) <= _EXACT_IN_FLOAT:
        return int(cell)
    return cell


_TYPES: dict[type, pl.DataType] = {
    str: pl.String(),
    bool: pl.Boolean(),
    int: pl.Int64(),
    date: pl.Date(),
    datetime: pl.Datetime("us"),
    time: pl.Time(),
    timedelta: pl.Duration("us"),
}


def _dtype(kinds: set[type]) -> pl.DataType:
    if not kinds:
        return pl.String()
    if kinds == {float} or kinds == {int, float}:
        return pl.Float64()
    return _TYPES[next(iter(kinds))] if len(kinds) == 1 else pl.Object()


def _check_marks(path: Path, shown: str) -> None:
    """Tell what only has the name of a workbook by its first bytes."""
    with opened(path) as file:
        head = file.read(8)
        is_encrypted = head == _OLE and _ENCRYPTED in file.read()
    if head == _OLE:
        if is_encrypted:
            raise InputError(
                f"{shown} is protected by a password",
                mend="Save a copy of it without a password, and name that.",
            )
        raise InputError(
            f"{shown} is a workbook of the old kind (.xls), whatever its name says", mend=_SAVE
        )
    if not head.startswith(_ZIP):
        raise InputError(
            f"{shown} is not a workbook, whatever its name says",
            mend="Give it the extension of its kind (.csv), or save it again as .xlsx.",
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_SHOWN]))
    return shown + (f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else "")
