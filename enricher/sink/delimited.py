"""CSV, written batch by batch."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import polars as pl

from enricher.cell import as_csv
from enricher.column import column_as_text
from enricher.model import (
    Dialect,
)
from enricher.record import Outcome
from enricher.sink.layout import Layout, Pair
from enricher.sink.outcomes import status_and_error, values_of
from enricher.sink.target import blamed, replacing

_BOM = b"\xef\xbb\xbf"


def write_delimited(path: Path, layout: Layout, pairs: Callable[[], Iterable[Pair]]) -> None:
    """Write the header and all rows to `path`, in the input's dialect.

    Fields are quoted where they must be, and where they are empty but not null.

    Raises:
        OutputError: the file cannot be made, or the disk did not take it.
    """
    dialect = layout.dialect or Dialect()
    head = _BOM if dialect.bom else b""
    # An empty name is written as nothing, like an empty cell.
    names = pl.DataFrame([pl.Series(str(i), [n or None]) for i, n in enumerate(layout.names())])
    with replacing(path) as (file, _):
        with blamed(path):
            file.write(head + _encoded(names.cast(pl.String), dialect))
        for frame, outcomes in pairs():
            text = _encoded(_rows(frame, outcomes, layout), dialect)
            with blamed(path):
                file.write(text)


def _rows(frame: pl.DataFrame, outcomes: Sequence[Outcome], layout: Layout) -> pl.DataFrame:
    """The cells of a batch as text, to be written in the order of the columns."""
    columns = [
        column_as_text(series.alias(name))
        for name, series in zip(layout.columns, frame.get_columns(), strict=True)
    ]
    for output in layout.outputs:
        texts = list(map(as_csv, values_of(outcomes, output.id)))
        columns.append(pl.Series(texts, dtype=pl.String))
    columns.extend(status_and_error(outcomes))
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
