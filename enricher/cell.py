"""One cell as text: what is sent to the provider, and what a CSV file holds.

The text of a value is part of its content key, so a change here would make users pay again for
what they have: the tests freeze every form. Strings pass through untouched; the same list as CSV,
as a workbook or as Parquet gives the same texts.
"""

import base64
import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from enricher.model import Json

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Made once: `json.dumps` would make one for each cell."""


def as_text(value: object) -> str:
    """Return the text of one input cell.

    * `None` and NaN (how pandas stores "nothing here") are empty.
    * Numbers are in the shortest plain notation that reads back equal: no exponent, no `.0`, no
      trailing zeros, no negative zero. Infinity, which has no such notation, is `inf` or `-inf`.
    * Dates are `YYYY-MM-DD`; date-times and times are ISO 8601 with the offset where there is one,
      and with 0, 3 or 6 digits of a second's fraction, as few as hold it.
    * Durations are ISO 8601 (`P1DT2H3.5S`; days are the largest unit).
    * Lists and structs are compact JSON; what JSON has no form for is its text in quotes.
    * Bytes are base64 (standard alphabet), whether or not they happen to be readable.

    Raises:
        TypeError: no table gives such a value.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Decimal):
        return _decimal_text(value)
    return _other_text(value)


def as_csv(value: Json) -> str | None:
    """Return the text of one output value in a CSV file; `None` is an empty field.

    Strings are as they are, integers exact, other numbers JSON numbers, lists and objects JSON.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    return as_json(value)


def as_json(value: Json) -> str:
    """Return `value` as compact JSON text in the script it was written in."""
    return well_formed(_COMPACT.encode(value))


def as_plain(value: object) -> Json:
    """Return a cell of a column of several kinds as a JSON value; a date or time is its text."""
    return as_text(value) if isinstance(value, date | time | timedelta) else value


def well_formed(text: str) -> str:
    r"""Return `text` without lone surrogates, each replaced by U+FFFD.

    JSON can say `"\ud800"`, which is no character and has no UTF-8 form: no file could hold it.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _digits(value: int) -> str:
    try:
        return f"{value:d}"
    except ValueError:  # beyond 4,300 digits Python refuses; decimal has no such limit
        return f"{Decimal(value):f}"


def _float_text(value: float) -> str:
    if math.isnan(value):
        return ""
    shortest = repr(value)
    if "e" in shortest:
        return _decimal_text(Decimal(shortest))
    whole = shortest.removesuffix(".0")
    return "0" if whole == "-0" else whole


def _decimal_text(value: Decimal) -> str:
    if value.is_nan():
        return ""
    if value.is_infinite():
        return "inf" if value > 0 else "-inf"
    if not value:
        return "0"
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _other_text(value: object) -> str:
    if isinstance(value, datetime | time):  # a datetime is a date too: it must come first
        return value.isoformat(timespec=_precision(value.microsecond))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, list | tuple | dict):
        return as_nested_json(value)
    raise TypeError(f"a cell of type {type(value).__name__} has no text form")


def _precision(microsecond: int) -> str:
    if microsecond == 0:
        return "seconds"
    return "milliseconds" if microsecond % 1000 == 0 else "microseconds"


def _duration_text(value: timedelta) -> str:
    size = abs(value)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{size.microseconds:06d}".rstrip("0") if size.microseconds else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if seconds or fraction:
        clock += f"{seconds}{fraction}S"
    days = f"{size.days}D" if size.days else ""
    sign = "-" if value < timedelta() else ""
    if not (days or clock):
        return "PT0S"
    return f"{sign}P{days}" + (f"T{clock}" if clock else "")


def as_nested_json(value: object) -> str:
    """Return compact JSON whose numbers and dates have the same text as they have in a cell."""
    if value is None or value != value:  # NaN is the one value that differs from itself
        return "null"
    if isinstance(value, dict):
        pairs = (f"{_quoted(str(key))}:{as_nested_json(item)}" for key, item in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(as_nested_json, value)) + "]"
    text = as_text(value)
    is_number = isinstance(value, int | float | Decimal) and not text.endswith("inf")
    return text if is_number else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
