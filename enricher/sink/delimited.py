"""CSV, written batch by batch."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import polars as pl

from enricher.cell import as_csv, well_formed
from enricher.model import Dialect, Outcome
from enricher.sink.layout import Layout, Pair
from enricher.sink.target import blamed
from enricher.sink.text import column_as_text

_BOM = b"\xef\xbb\xbf"


def write_delimited(
    path: Path, file: BinaryIO, layout: Layout, pairs: Callable[[], Iterable[Pair]]
) -> None:
    """Write the header and all rows to `file`, in the input's dialect.

    Fields are quoted where they must be, and where they are empty but not null.

    Raises:
        OutputError: the disk did not take it.
    """
    dialect = layout.dialect or Dialect()
    head = _BOM if dialect.bom else b""
    # An empty name is written as nothing, like an empty cell.
    names = pl.DataFrame([pl.Series(str(i), [n or None]) for i, n in enumerate(layout.names())])
    with blamed(path):
        file.write(head + _encoded(names.cast(pl.String), dialect))
    for frame, outcomes in pairs():
        text = _encoded(_rows(frame, outcomes, layout), dialect)
        with blamed(path):
            file.write(text)


def _rows(frame: pl.DataFrame, outcomes: Sequence[Outcome], layout: Layout) -> pl.DataFrame:
    """The cells of a batch as text, to be written in the order of the columns."""
    columns = [column_as_text(series) for series in frame.get_columns()]
    for output in layout.outputs:
        columns.append(_output_column(outcomes, output.id))
    columns.append(pl.Series([outcome.status.value for outcome in outcomes], dtype=pl.String))
    errors = [well_formed(outcome.error) or None for outcome in outcomes]
    columns.append(pl.Series(errors, dtype=pl.String))
    return pl.DataFrame([column.alias(str(index)) for index, column in enumerate(columns)])


def _output_column(outcomes: Sequence[Outcome], key: str) -> pl.Series:
    texts = [as_csv(outcome.outputs.get(key)) if outcome.outputs else None for outcome in outcomes]
    return pl.Series(texts, dtype=pl.String)


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
