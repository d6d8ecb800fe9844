"""Delimited text (CSV, TSV), written batch by batch."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from enricher.cell import as_csv
from enricher.column import column_as_text
from enricher.formats import Dialect, parse_name
from enricher.harmless import FORMULA_BEGINS, is_formula
from enricher.model import Json
from enricher.record import Outcome
from enricher.sink.layout import Layout, Pair, Written
from enricher.sink.outcomes import status_and_error, values_of
from enricher.sink.stream import written_to

_BOM = b"\xef\xbb\xbf"


def write_delimited(path: Path, layout: Layout, pairs: Callable[[], Iterable[Pair]]) -> Written:
    """Write the header and all rows to `path`, in the input's dialect; `.tsv` has tabs.

    Fields are quoted where they must be, and where they are empty but not null. What is enriched
    is made safe for spreadsheets if `layout` says so; the input's cells stay as they came.

    Raises:
        OutputError: the file cannot be made, or the disk did not take it.
    """
    dialect = layout.dialect or Dialect()
    if parse_name(path.name).format == ".tsv":
        dialect = replace(dialect, delimiter="\t")
    head = _BOM if dialect.bom else b""
    foreign = _ForeignText(safe=layout.excel_safe)
    with written_to(path) as write:
        write(head + _encoded(_header(layout, foreign), dialect))
        for frame, outcomes in pairs():
            write(_encoded(_rows(frame, outcomes, layout, foreign), dialect))
    return Written(foreign.formulas)


class _ForeignText:
    """Counts what a spreadsheet would run as a formula, and makes it `safe` if that is asked for.

    Only text can be harmful: numbers are numbers, and all else begins with a bracket or a letter.
    """

    def __init__(self, *, safe: bool) -> None:
        self.formulas = 0
        self._safe = safe

    def cells(self, values: Sequence[Json]) -> list[str | None]:
        """The texts of enriched cells; `None` is an empty field."""
        texts = list(map(as_csv, values))
        suspects = [place for place, text in enumerate(texts) if text and text[0] in FORMULA_BEGINS]
        for place in suspects:
            value = values[place]
            if isinstance(value, str) and is_formula(value):
                self.formulas += 1
                texts[place] = f"'{texts[place]}" if self._safe else texts[place]
        return texts

    def column(self, values: Sequence[Json]) -> pl.Series:
        """The same as a column."""
        return pl.Series(self.cells(values), dtype=pl.String)


def _header(layout: Layout, foreign: _ForeignText) -> pl.DataFrame:
    """The names; an empty one is written as nothing, like an empty cell."""
    ours = layout.names()[len(layout.columns) :]
    makers: list[Callable[[], list[str | None]]] = [partial(list, (n,)) for n in layout.columns]
    makers += [partial(foreign.cells, [name]) for name in ours]
    cells = [make()[0] for make in layout.arranged(makers)]
    return pl.DataFrame(
        [pl.Series(str(i), [cell or None], dtype=pl.String) for i, cell in enumerate(cells)]
    )


def _rows(
    frame: pl.DataFrame, outcomes: Sequence[Outcome], layout: Layout, foreign: _ForeignText
) -> pl.DataFrame:
    """The cells of a batch as text, to be written in the order of the columns."""
    statuses, errors = status_and_error(outcomes)
    makers: list[Callable[[], pl.Series]] = [
        partial(column_as_text, series.alias(name))
        for name, series in zip(layout.columns, frame.get_columns(), strict=True)
    ]
    makers += [partial(foreign.column, values) for values in values_of(outcomes, layout.outputs)]
    makers += [
        lambda: statuses,
        lambda: foreign.column(errors.to_list()),
    ]
    columns = [make() for make in layout.arranged(makers)]
    return pl.DataFrame([column.alias(str(index)) for index, column in enumerate(columns)])


def _encoded(rows: pl.DataFrame, dialect: Dialect) -> bytes:
    buffer = io.BytesIO()
    rows.write_csv(
        buffer,
        include_header=False,
        separator=dialect.delimiter,
        line_terminator=dialect.line_end,
        quote_style="necessary",
    )
    return buffer.getvalue()
