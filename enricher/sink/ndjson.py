"""NDJSON, written batch by batch: one object a line, types kept."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from json.encoder import encode_basestring
from pathlib import Path

import polars as pl

from enricher.cell import as_json, as_nested_json, as_plain, well_formed
from enricher.column import column_as_text
from enricher.record import Outcome
from enricher.sink.layout import Layout, Pair, Written
from enricher.sink.outcomes import status_and_error, values_of
from enricher.sink.stream import written_to

_ONE_CALL = pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64


def write_ndjson(path: Path, layout: Layout, pairs: Callable[[], Iterable[Pair]]) -> Written:
    """Write all rows to `path`, the input's columns first; every object has every key.

    Dates and times are text, decimals numbers, as in CSV; what is null or not a number is null.

    Raises:
        OutputError: the file cannot be made, or the disk did not take it.
    """
    keys = [f"{as_json(name)}:" for name in layout.arranged(layout.names())]
    with written_to(path) as write:
        for frame, outcomes in pairs():
            columns = layout.arranged(list(_columns(frame, outcomes, layout)))
            keyed = [
                [key + text for text in column] for key, column in zip(keys, columns, strict=True)
            ]
            lines = [f"{{{','.join(row)}}}\n" for row in zip(*keyed, strict=True)]
            write("".join(lines).encode())
    return Written()


def _columns(
    frame: pl.DataFrame, outcomes: Sequence[Outcome], layout: Layout
) -> Iterator[list[str]]:
    yield from map(_as_json, frame.get_columns())
    for values in values_of(outcomes, layout.outputs):
        yield list(map(as_json, values))
    yield from map(_as_json, status_and_error(outcomes))


def _as_json(series: pl.Series) -> list[str]:
    """The cells as JSON texts."""
    dtype = series.dtype
    if dtype in (*_ONE_CALL, pl.Boolean):
        return series.cast(pl.String).fill_null("null").to_list()
    if dtype.is_float():
        return [_number(value) for value in series.cast(pl.Float64).to_list()]
    if dtype == pl.Object:
        return [as_json(as_plain(value)) for value in series.to_list()]
    if dtype.is_nested() or dtype.is_decimal():
        return [as_nested_json(value) for value in series.to_list()]
    texts = column_as_text(series).to_list()
    return ["null" if text is None else encode_basestring(well_formed(text)) for text in texts]


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "null"
    return as_nested_json(value) if math.isinf(value) else repr(value)
