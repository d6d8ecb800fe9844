"""NDJSON (JSON Lines): one object a line, types kept.

A key may appear for the first time in the last line, and a column that is not known at the start
would be lost. So the whole file is read when it is opened: all mistakes come to light there too.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import polars as pl

from enricher.cell import well_formed
from enricher.errors import InputError
from enricher.formats import Fingerprint, Reading
from enricher.source.batches import rows_per_batch
from enricher.source.encodings import find_encoding, text_blocks
from enricher.source.lines import line_blocks
from enricher.source.stored import StoredFile

_MOST_TEXT = 1 << 24
"""Characters after which a batch is closed, however few its rows."""

_EXACT_IN_FLOAT = 1 << 53
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_KINDS = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}

Object = Mapping[str, Any]


class NdjsonTable:
    """A file with one JSON object a line; the interface is `Table`.

    `columns` is the union of all keys in the order in which they first appear; an object without
    one of them has null there. `types` says how each column is held: text, whole numbers, numbers,
    true or false; what none of these holds exactly is of type Object, its cells values of Python.

    Raises:
        InputError: a line is no JSON object (names it), or there is none at all.
    """

    dialect = None
    ragged_lines = 0

    def __init__(self, stored: StoredFile, reading: Reading) -> None:
        self._stored = stored
        self._encoding = find_encoding(stored, reading.encoding)
        self.blank_lines = 0
        kinds: dict[str, _Kinds] = {}
        for objects in self._objects(_MOST_TEXT):
            for found in objects:
                for name, value in found.items():
                    if name not in kinds:
                        kinds[name] = _Kinds()
                    kinds[name].see(value)
        if not kinds:
            raise InputError(
                f"{stored.shown} has no columns: it holds no object with a key",
                mend='Each line must be one object, such as {"name": "Acme"}.',
            )
        self.blank_lines = 0
        self.columns = tuple(kinds)
        self.types = [kind.dtype() for kind in kinds.values()]

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._stored.path,)

    @property
    def remarks(self) -> tuple[str, ...]:
        return self._encoding.remarks(self._stored.shown)

    def fingerprint(self) -> Fingerprint:
        return self._stored.fingerprint()

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        for objects in self._objects(rows_per_batch(len(self.columns))):
            yield pl.DataFrame(
                [
                    pl.Series(str(place), [one.get(name) for one in objects], dtype=dtype)
                    for place, (name, dtype) in enumerate(
                        zip(self.columns, self.types, strict=True)
                    )
                ]
            )

    def _objects(self, most: int) -> Iterator[list[Object]]:
        """All objects, up to `most` at a time, fewer where they are long."""
        blank = 0
        with self._stored.unchanged(), self._stored.opened() as file:
            blocks = text_blocks(self._stored, file, self._encoding)
            objects: list[Object] = []
            size = 0
            for number, line in _numbered(line_blocks(self._stored.shown, blocks)):
                if line.isspace():
                    blank += 1
                    continue
                objects.append(_parsed(line, self._stored.shown, number))
                size += len(line)
                if len(objects) >= most or size > _MOST_TEXT:
                    yield objects
                    objects, size = [], 0
            if objects:
                yield objects
        self.blank_lines = blank


class Typed(Protocol):
    """A table that says how each column is held."""

    types: list[pl.DataType]


def agree_on_types(tables: Sequence[Typed]) -> None:
    """Make columns that are of several types in several tables hold values of Python in all."""
    for place in range(len(tables[0].types) if tables else 0):
        found = {table.types[place] for table in tables}
        if len(found) > 1:
            for table in tables:
                table.types[place] = pl.Object()


class _Kinds:
    """Which kinds of values a column has."""

    def __init__(self) -> None:
        self._kinds: set[type] = set()
        self._largest = 0

    def see(self, value: Any) -> None:
        kind = type(value)
        self._kinds.add(kind)
        if kind is int:
            self._largest = max(self._largest, abs(value))

    def dtype(self) -> pl.DataType:
        kinds = self._kinds - {type(None)}
        if kinds <= {str}:
            return pl.String()
        if kinds == {bool}:
            return pl.Boolean()
        if kinds == {int} and self._largest < 1 << 63:
            return pl.Int64()
        if kinds <= {int, float} and self._largest <= _EXACT_IN_FLOAT:
            return pl.Float64()
        return pl.Object()


def _numbered(blocks: Iterable[list[str]]) -> Iterator[tuple[int, str]]:
    before = 0
    for lines in blocks:
        yield from enumerate(lines, start=before + 1)
        before += len(lines)


def _parsed(line: str, shown: str, number: int) -> Object:
    try:
        found = _DECODER.decode(line)
    except RecursionError:
        raise InputError(
            f"{shown}, line {number}: JSON nested too deeply", mend="Correct that line."
        ) from None
    except ValueError as error:
        raise _malformed(line, shown, number, error) from None
    if type(found) is not dict:
        kind = _KINDS.get(type(found), "a number")
        raise InputError(
            f"{shown}, line {number}: {kind} where one JSON object a line is due",
            mend="Write each row as an object in a line of its own.",
        )
    if (
        _SURROGATE.search(line)
        and well_formed(text := json.dumps(found, ensure_ascii=False)) != text
    ):
        raise InputError(
            f"{shown}, line {number}: an escape such as \\ud800 that is half of a character",
            mend="Correct that line.",
        )
    return found


def _malformed(line: str, shown: str, number: int, error: ValueError) -> InputError:
    if isinstance(error, json.JSONDecodeError):
        what = f"{error.msg} at character {error.pos + 1}"
    else:
        what = str(error)
    spans = line.strip() in ("[", "{")
    return InputError(
        f"{shown}, line {number}: not a JSON object: {what}",
        mend="Write each object in one line, without commas between them."
        if spans
        else "Correct that line; it must hold one JSON object.",
    )


def _unique(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
)
