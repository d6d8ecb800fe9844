"""The narrowest type that holds every value of an output column.

A `Shape` is shown one value after the other and remembers only what kinds there were, so that its
size does not grow with the rows. A column that no type holds becomes text, each value as JSON.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
from polars.datatypes import DataTypeClass

from enricher.cell import as_json, well_formed
from enricher.model import Json

_EXACT_IN_FLOAT = 1 << 53
_DECIMAL_LIMIT = 10**38

_MOST_FIELDS = 500
"""Fields in all of one column's objects: beyond, the keys are data, not names."""

_DEEPEST = 16


class ColumnShape:
    """What was seen of one output column."""

    def __init__(self) -> None:
        self.size = 0
        """About how many bytes all values have in memory."""
        self._has_room = True
        self._fields = 0
        self._root = _Shape()

    def add(self, values: Iterable[Json]) -> None:
        """Take note of `values`."""
        present = [value for value in values if value is not None]
        kinds = set(map(type, present))
        if kinds == {str}:  # the two most frequent kinds, at once
            self._root.kinds |= kinds
            self.size += sum(map(len, present))
        elif kinds == {int}:
            self._root.kinds |= kinds
            self._root.note(min(present), max(present))
        else:
            for value in present:
                self._see(self._root, value, 0)

    def dtype(self) -> pl.DataType | None:
        """The narrowest type, text if nothing was seen; `None` for JSON text."""
        return self._root.dtype() if self._has_room else None

    def _see(self, shape: "_Shape", value: Json, depth: int) -> None:
        kind = type(value)
        shape.kinds.add(kind)
        self.size += 8
        if kind is str:
            self.size += len(value)
        elif kind is int:
            shape.note(value, value)
        elif kind is list:
            self._see_parts(((shape.item(), part) for part in value), depth)
        elif kind is dict:
            self._see_parts(((self._field(shape, key), part) for key, part in value.items()), depth)

    def _see_parts(self, parts: Iterable[tuple["_Shape", Json]], depth: int) -> None:
        self._has_room = self._has_room and depth < _DEEPEST
        for shape, part in parts:
            self.size += 8
            if part is not None and self._has_room:
                self._see(shape, part, depth + 1)

    def _field(self, shape: "_Shape", key: str) -> "_Shape":
        found = shape.fields.get(key)
        if found is None:
            self._fields += 1
            # A name with a lone surrogate cannot be written, and cleaned it may not be unique.
            self._has_room = (
                self._has_room and self._fields <= _MOST_FIELDS and well_formed(key) == key
            )
            found = _Shape()
            if self._has_room:
                shape.fields[key] = found
        return found


class _Shape:
    """What was seen in one place: of the column, of a list's items or of an object's field."""

    __slots__ = ("_item", "fields", "high", "kinds", "low")

    def __init__(self) -> None:
        self.kinds: set[type] = set()
        self.low = 0
        self.high = 0
        self.fields: dict[str, _Shape] = {}
        self._item: _Shape | None = None

    def note(self, low: int, high: int) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)

    def item(self) -> "_Shape":
        if self._item is None:
            self._item = _Shape()
        return self._item

    def dtype(self) -> pl.DataType | None:
        kinds = self.kinds
        if kinds <= {str}:
            return pl.String()
        if kinds == {bool}:
            return pl.Boolean()
        if kinds == {int}:
            return _integer_type(self.low, self.high)
        if kinds <= {int, float}:
            is_exact = max(-self.low, self.high) <= _EXACT_IN_FLOAT
            return pl.Float64() if is_exact else None
        if kinds == {list}:
            inner = self.item().dtype()
            return None if inner is None else pl.List(inner)
        if kinds == {dict}:
            return self._struct()
        return None

    def _struct(self) -> pl.DataType | None:
        fields = {name: shape.dtype() for name, shape in self.fields.items()}
        known = {name: dtype for name, dtype in fields.items() if dtype is not None}
        if not known or len(known) < len(fields):  # an object without fields is no struct either
            return None
        return pl.Struct(known)


def _integer_type(low: int, high: int) -> pl.DataType | None:
    if low >= -(1 << 63) and high < 1 << 63:
        return pl.Int64()
    if low >= 0 and high < 1 << 64:
        return pl.UInt64()
    if max(-low, high) < _DECIMAL_LIMIT:
        return pl.Decimal(38, 0)
    return None


def as_series(values: Sequence[Json], dtype: pl.DataType | None) -> pl.Series:
    """Return `values`, all of which were shown to the shape that gave `dtype`, as a column."""
    if dtype is None:
        texts = [None if value is None else as_json(value) for value in values]
        return pl.Series(texts, dtype=pl.String)
    if dtype.is_integer() or isinstance(dtype, pl.Boolean):  # nothing to fit
        return pl.Series(values, dtype=dtype)
    fit = _fit(dtype)
    fitted = [None if value is None else fit(value) for value in values]
    return pl.Series(fitted, dtype=dtype)


def _fit(dtype: DataTypeClass | pl.DataType) -> Callable[[Any], Any]:
    """What makes a value as polars wants it: numbers of the due kind, every field of a struct."""
    match dtype:
        case pl.String():
            return well_formed
        case pl.Float64():
            return float
        case pl.Decimal():
            return Decimal
        case pl.List():
            return _fit_list(_fit(dtype.inner))
        case pl.Struct():
            return _fit_struct({field.name: _fit(field.dtype) for field in dtype.fields})
        case _:
            return lambda value: value


def _fit_list(fit: Callable[[Any], Any]) -> Callable[[Sequence[Any]], list[Any]]:
    return lambda items: [None if item is None else fit(item) for item in items]


def _fit_struct(fits: Mapping[str, Callable[[Any], Any]]) -> Callable[[Mapping[str, Any]], Any]:
    def fitted(given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: None if (value := given.get(name)) is None else fit(value)
            for name, fit in fits.items()
        }

    return fitted
