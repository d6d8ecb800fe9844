"""A column of typed cells as text, equal to `cell.as_text` of each cell."""

import polars as pl

from enricher.cell import as_text
from enricher.errors import InputError

_TIME_FORMATS: dict[type[pl.DataType], str] = {
    pl.Date: "%Y-%m-%d",
    pl.Datetime: "%Y-%m-%dT%H:%M:%S%.f",
    pl.Time: "%H:%M:%S%.f",
}


def column_as_text(series: pl.Series) -> pl.Series:
    """Return the cells as text; null stays null, and NaN becomes it.

    Polars writes dates and times itself: Python's hold neither nanoseconds nor the year 10000.

    Raises:
        InputError: a date or time so far off that it has no text.
    """
    dtype = series.dtype
    if dtype == pl.String:
        return series
    if dtype.is_integer() or dtype in (pl.Boolean, pl.Categorical, pl.Enum, pl.Null):
        return series.cast(pl.String)
    if dtype == pl.Float32:  # by way of text: 0.1 is 0.1, not 0.10000000149011612
        series = series.cast(pl.String).cast(pl.Float64)
    try:
        if dtype.is_temporal():
            return _temporal(series)
        texts = [as_text(value) or None for value in series.to_list()]
    except (ValueError, OverflowError, pl.exceptions.PanicException) as error:
        raise InputError(
            f"The column {series.name!r} holds a date or time so far off that it has no text form.",
            mend="Mend it, do not map it, and write the output as .parquet, which keeps it.",
        ) from error
    return pl.Series(texts, dtype=pl.String)


def _temporal(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype == pl.Duration:
        return series.dt.to_string("iso")
    offset = "%:z" if isinstance(dtype, pl.Datetime) and dtype.time_zone else ""
    return series.dt.to_string(_TIME_FORMATS[dtype.base_type()] + offset)
