"""XLSX, written row by row: text as text, numbers as numbers, dates as dates."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from enricher.cell import as_csv, as_json, as_text, well_formed
from enricher.column import column_as_text
from enricher.errors import OutputError
from enricher.extras import extra
from enricher.places import Place
from enricher.record import Outcome
from enricher.sink.layout import Layout, Pair, Written
from enricher.sink.outcomes import status_and_error, values_of
from enricher.sink.target import blamed, replacing

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MOST_ROWS = 1_048_575
"""Below the header."""

_MOST_COLUMNS = 16_384
_MOST_CHARACTERS = 32_767
_KEPT_CHARACTERS = 32_700
_EXACT_IN_FLOAT = 1 << 53
_FIRST_DAY = date(1900, 3, 1)
"""Before it, spreadsheets disagree about the 29th of February 1900."""

_SAFE = "Nothing is lost: write the output as .csv, `enricher export` does that too."
_NO_XML = dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd")
_LOOKS = {
    date: "yyyy-mm-dd",
    datetime: "yyyy-mm-dd hh:mm:ss",
    time: "hh:mm:ss",
    timedelta: "[h]:mm:ss",
}
_AS_IT_IS = (pl.String, pl.Boolean, pl.Date, pl.Time, pl.Duration, pl.Object, pl.Null)


def check_xlsx(path: Place) -> None:
    """Make sure that the library is there.

    Raises:
        OutputError: it is not; says what to install.
    """
    with extra("excel", f"Writing {path}", OutputError):
        import xlsxwriter  # noqa: F401


def check_xlsx_columns(path: Place, layout: Layout) -> None:
    """Make sure that a sheet has room for the columns.

    Raises:
        OutputError: there are more than 16,384.
    """
    if (count := len(layout.arranged(layout.names()))) > _MOST_COLUMNS:
        raise OutputError(
            f"{path} cannot be written: a sheet holds {_MOST_COLUMNS:,} columns, not {count:,}",
            mend="Write the output as .csv.",
        )


def check_xlsx_rows(path: Place, frames: Iterable[pl.DataFrame], columns: Sequence[str]) -> None:
    """Make sure that the rows of the input fit into a sheet.

    Raises:
        OutputError: there are more than 1,048,575, or a cell has more than 32,767 characters.
    """
    rows = 0
    for frame in frames:
        for series, name in zip(frame.get_columns(), columns, strict=True):
            if series.dtype == pl.String and (series.str.len_bytes() > _MOST_CHARACTERS).any():
                for row, text in enumerate(series.to_list(), start=rows + 1):
                    _check_length(path, text, row, name)
        rows += frame.height
        _check_height(path, rows)


def write_xlsx(path: Path, layout: Layout, pairs: Callable[[], Iterable[Pair]]) -> Written:
    """Write the header and all rows to the one sheet of `path`.

    Text is never taken for a formula, a number or a link. What a spreadsheet cannot hold as a
    number or a date is text: integers beyond 2^53, infinity, dates before March 1900, times with an
    offset or of less than a millisecond; lists and objects are JSON. An enriched text that is too
    long for a cell is cut, which its end and the count in the result say.

    Raises:
        OutputError: the file cannot be made, the disk did not take it, or a sheet cannot hold it.
    """
    import xlsxwriter

    with replacing(path) as (file, _), TemporaryDirectory(prefix="enricher-") as folder:
        options = {"constant_memory": True, "tmpdir": folder}
        with blamed(path):
            workbook = xlsxwriter.Workbook(file, options)
        workbook.set_properties({"created": datetime(2000, 1, 1)})  # equal tables are equal files
        try:
            looks = {kind: workbook.add_format({"num_format": f}) for kind, f in _LOOKS.items()}
            sheet = _Sheet(path, workbook.add_worksheet(), looks, layout)
            sheet.write(sheet.names)
            for frame, outcomes in pairs():
                sheet.write_all(_rows(frame, outcomes, layout))
            with blamed(path):
                workbook.close()
        finally:
            _let_go(workbook)
    return Written(cut=sheet.cut)


def _let_go(workbook: "Workbook") -> None:
    """Close the files of its rows, which it leaves open after an error, and keep it from writing
    once more when it is collected."""
    workbook.fileclosed = True
    for sheet in workbook.worksheets():
        sheet.row_data_fh.close()


def _rows(
    frame: pl.DataFrame, outcomes: Sequence[Outcome], layout: Layout
) -> Iterator[tuple[Any, ...]]:
    columns = [_python_values(series) for series in frame.get_columns()]
    columns += values_of(outcomes, layout.outputs)
    columns += [series.to_list() for series in status_and_error(outcomes)]
    return zip(*layout.arranged(columns), strict=True)


def _python_values(series: pl.Series) -> list[Any]:
    dtype = series.dtype
    is_plain = dtype.is_numeric() or (isinstance(dtype, pl.Datetime) and not dtype.time_zone)
    if dtype == pl.Float32 or dtype.is_decimal():  # by way of text: 0.1 is 0.1
        texts = column_as_text(series).to_list()
        return [text if text is None or "inf" in text else float(text) for text in texts]
    if is_plain or dtype in _AS_IT_IS:
        return series.to_list()
    return column_as_text(series).to_list()


class _Exact(float):
    """A number in as many digits as it takes to read it back; the library writes sixteen."""

    def __format__(self, _spec: str) -> str:
        return repr(float(self))


class _Sheet:
    """Writes one row after the other."""

    def __init__(
        self, path: Path, sheet: "Worksheet", looks: dict[type, "Format"], layout: Layout
    ) -> None:
        self.cut = 0
        names = layout.names()
        self.names = layout.arranged(names)
        self._is_input = layout.arranged([n < len(layout.columns) for n in range(len(names))])
        self._path = path
        self._sheet = sheet
        self._looks = looks
        self._row = 0

    def write_all(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            _check_height(self._path, self._row)
            with blamed(self._path):
                self.write(row)

    def write(self, row: Sequence[Any]) -> None:
        for column, value in enumerate(row):
            if value is None or value == "":
                continue
            kept = _storable(value)
            if isinstance(kept, bool):
                self._sheet.write_boolean(self._row, column, kept)
            elif isinstance(kept, str):
                self._sheet.write_string(self._row, column, self._fitted(kept, column))
            elif isinstance(kept, int | float):
                self._sheet.write_number(self._row, column, _Exact(kept))
            elif kept is not None:
                self._sheet.write_datetime(self._row, column, kept, self._looks[type(kept)])
        self._row += 1

    def _fitted(self, text: str, column: int) -> str:
        text = well_formed(text).translate(_NO_XML)
        length = _length(text)
        if length <= _MOST_CHARACTERS:
            return text
        if self._is_input[column]:
            _check_length(self._path, text, self._row, self.names[column])
        self.cut += 1
        head = text.encode("utf-16-le")[: 2 * _KEPT_CHARACTERS].decode("utf-16-le", "ignore")
        return f"{head}… [cut: {length:,} characters]"


def _storable(value: Any) -> Any:
    """The value as a cell of a spreadsheet can hold it; `None` for nothing."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT_IN_FLOAT else as_csv(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else as_text(value) or None
    if isinstance(value, Decimal):
        return as_text(value)
    if isinstance(value, list | dict):
        return as_json(value)
    return value if _is_on_the_calendar(value) else as_text(value)


def _is_on_the_calendar(value: Any) -> bool:
    """Whether a spreadsheet's date or time holds it to the last digit."""
    if isinstance(value, datetime):
        return value.date() >= _FIRST_DAY and value.microsecond % 1000 == 0 and not value.tzinfo
    if isinstance(value, date):
        return value >= _FIRST_DAY
    if isinstance(value, time):
        return value.microsecond % 1000 == 0 and not value.tzinfo
    if isinstance(value, timedelta):
        return value >= timedelta() and value.microseconds % 1000 == 0
    return False


def _length(text: str) -> int:
    """In units of UTF-16, in which spreadsheets count."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _check_length(path: Place, text: str | None, row: int, name: str) -> None:
    if text is not None and (length := _length(text)) > _MOST_CHARACTERS:
        raise OutputError(
            f"{path} cannot be written: row {row:,}, column {name!r} has {length:,} characters, and"
            f" a cell of a workbook holds {_MOST_CHARACTERS:,}",
            mend=_SAFE,
        )


def _check_height(path: Place, rows: int) -> None:
    if rows > MOST_ROWS:
        raise OutputError(
            f"{path} cannot be written: a sheet holds {MOST_ROWS:,} rows, and there are more",
            mend=_SAFE,
        )
