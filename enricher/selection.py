"""Which rows are submitted for: `--where`, `--require`, `--sample`, `--offset` and `--limit`.

Rows that pass the first two are counted; of them a sample is drawn, then some are passed over, then
the first are taken. Nothing here changes a content key.
"""

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import count
from typing import Any

import polars as pl

from enricher.errors import MappingError, SelectionError
from enricher.model import Inputs
from enricher.record import LeftOut

_QUERY = "SELECT * FROM self WHERE "
_PLACE = re.compile(r" at Line: (\d+), Column: (\d+)$")
_QUOTED = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/""", re.DOTALL | re.VERBOSE
)
_MANY_ROWS = re.compile(
    r"\b(over|select)\b|\b(avg|mean|sum|min|max|count|first|last|median|mode|std\w*|var\w*|corr\w*|"
    r"covar\w*|quantile\w*|array_agg|string_agg|listagg|row_number|rank|dense_rank|lag|lead|"
    r"first_value|last_value|nth_value|ntile|unnest|columns)\s*\(",
    re.IGNORECASE,
)
_RANK_SIZE = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user said of the rows to submit for; `None` and empty is all."""

    where: str = ""
    require: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0
    offset: int = 0
    limit: int | None = None

    def described(self) -> list[Any]:
        """As JSON; empty for all rows."""
        where, require, *rows = astuple(self)
        return [] if self == Choice() else [where, list(require), *rows]


class Selection:
    """Says of every row whether it is submitted for, in as many passes as there are.

    Args:
        choice: what the user said.
        labels: the inputs of the target.
        where: the compiled `choice.where`, if there is one.

    Raises:
        MappingError: a required label is no input of the target; lists those that are.
    """

    def __init__(
        self, choice: Choice, labels: Collection[str] = (), where: "Where | None" = None
    ) -> None:
        if unknown := [label for label in choice.require if label not in labels]:
            raise MappingError(
                f"--require {unknown[0]!r} is none of the inputs: {', '.join(map(repr, labels))}.",
                mend="Name one of these.",
            )
        self.choice = choice
        self._filters = Filters(choice.require, where)
        self._sampled: set[int] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether passes can begin: a sample must be drawn first."""
        return self.choice.sample is None or self._sampled is not None

    def draw(self, batches: Iterable[tuple[pl.DataFrame, Sequence[Inputs | None]]]) -> None:
        """Draw the sample from a complete reading; it is remembered.

        Every row that could be chosen has a rank that depends on the seed and its number alone, and
        the lowest are taken: the same rows each time, a larger sample holds a smaller one, and of a
        list that has grown at its end most stay.
        """
        ranks = self._ranked(batches)
        lowest = heapq.nsmallest(self.choice.sample or 0, ranks)
        for _ in ranks:  # to the end of the reading, also if nothing is drawn
            pass
        if self.choice.sample is not None:
            self._sampled = {number for _, number in lowest}

    def begin(self) -> "Choosing":
        """One pass over all rows, from the first."""
        return Choosing(self.choice, self._filters, self._sampled)

    def _ranked(
        self, batches: Iterable[tuple[pl.DataFrame, Sequence[Inputs | None]]]
    ) -> Iterator[tuple[bytes, int]]:
        before = 0
        seed = hashlib.blake2b(f"{self.choice.seed}:".encode(), digest_size=_RANK_SIZE)
        for batch, inputs in batches:
            reasons = self._filters.of(batch, inputs, before)
            before += batch.height
            for number, reason in enumerate(reasons, before - batch.height + 1):
                if reason is None:
                    digest = seed.copy()
                    digest.update(b"%d" % number)
                    yield digest.digest(), number


class Choosing:
    """One pass: it counts the rows that go by."""

    def __init__(self, choice: Choice, filters: "Filters", sampled: set[int] | None) -> None:
        self._choice = choice
        self._filters = filters
        self._sampled = sampled
        self._before = 0
        self._passed = 0
        self._most = choice.offset + choice.limit if choice.limit is not None else None

    def of(self, batch: pl.DataFrame, inputs: Sequence[Inputs | None]) -> list[LeftOut | None]:
        """For each row of the next batch why it is left out, `None` if it is submitted for.

        Raises:
            SelectionError: `--where` cannot be told of a row.
        """
        reasons = self._filters.of(batch, inputs, self._before)
        self._before += batch.height
        if self._sampled is None and not self._choice.offset and self._most is None:
            return reasons
        first = self._before - batch.height + 1
        return [self._counted(number, reason) for number, reason in enumerate(reasons, first)]

    def _counted(self, number: int, reason: LeftOut | None) -> LeftOut | None:
        if reason is not None:
            return reason
        if self._sampled is not None and number not in self._sampled:
            return LeftOut.SAMPLE
        self._passed += 1
        if self._passed <= self._choice.offset:
            return LeftOut.OFFSET
        if self._most is not None and self._passed > self._most:
            return LeftOut.LIMIT
        return None


@dataclass(frozen=True, slots=True)
class Filters:
    """What looks at one row at a time: the labels that must not be blank, and `--where`."""

    require: Sequence[str]
    where: "Where | None"

    def of(
        self, batch: pl.DataFrame, inputs: Sequence[Inputs | None], before: int
    ) -> list[LeftOut | None]:
        """Of each row why it does not pass; `before` is the number of rows before the batch."""
        reasons: list[LeftOut | None] = [LeftOut.BLANK if row is None else None for row in inputs]
        for label in self.require:
            for n, row in enumerate(inputs):
                if row is not None and not row[label].strip():
                    reasons[n] = LeftOut.REQUIRE
        if self.where is not None:
            for n, passes in enumerate(self.where.passes(batch, before)):
                if not passes and reasons[n] is None:
                    reasons[n] = LeftOut.WHERE
        return reasons


class Where:
    """An SQL expression over the columns of the input, true for the rows that are wanted.

    Args:
        text: as the user wrote it.
        columns: the header of the input.
        first: its first rows, which tell the types; text if there are none.

    An empty text is NULL, quoted or not.

    Raises:
        SelectionError: it is no such expression; shows it, the columns and the place.
    """

    def __init__(self, text: str, columns: Sequence[str], first: pl.DataFrame | None) -> None:
        self._text = text
        self._names = column_names(columns)
        self._check_words()
        empty = pl.DataFrame(schema=dict.fromkeys(self._names, pl.String))
        if first is not None:
            empty = self._named(first.clear())
        self._check_grammar(empty)
        try:
            self._expression = pl.sql_expr(text)
            dtype = empty.select(self._expression.alias("where")).dtypes[0]
        except pl.exceptions.PolarsError as error:
            raise self._wrong(_cause(error), self._place_of(error)) from None
        if dtype != pl.Boolean:
            raise self._wrong(f"it gives {dtype}, not true or false")
        used = {name for name in self._expression.meta.root_names() if name in self._names}
        self._used = [n for n, name in enumerate(self._names) if name in used] or [0]

    def passes(self, batch: pl.DataFrame, before: int = 0) -> list[bool]:
        """Whether it is true, for each row; `before` is the number of rows before the batch.

        Raises:
            SelectionError: it cannot be told; of which row, and why.
        """
        frame = self._named(batch, self._used)
        try:
            found = self._told(frame)
        except pl.exceptions.PolarsError as error:
            bad = self._first_bad(frame)
            cells = self._cells(frame, bad)
            mend = "TRY_CAST gives NULL where CAST is not possible."
            if re.search(r"\d,\d", cells):
                mend += " A decimal comma is read as in CAST(REPLACE(n, ',', '.') AS FLOAT)."
            is_cast = str(error).startswith("conversion from")
            cause = "CAST cannot read that" if is_cast else _cause(error)
            raise self._wrong(f"row {before + bad + 1}{cells}: {cause}", mend=mend) from None
        return found.fill_null(value=False).to_list()

    def _told(self, frame: pl.DataFrame) -> pl.Series:
        rows = pl.int_range(pl.len()).alias("0")  # or a constant would be told once
        return frame.select(rows, self._expression.alias("where"))["where"]

    def _first_bad(self, frame: pl.DataFrame) -> int:
        """The position of the first row for which it fails, found by halves."""
        good, bad = 0, frame.height
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                self._told(frame[good:middle])
                good = middle
            except pl.exceptions.PolarsError:
                bad = middle
        return good

    def _cells(self, frame: pl.DataFrame, row: int) -> str:
        used = [n for n in self._expression.meta.root_names() if n in frame.columns]
        cells = ", ".join(f"{n} is {frame[n][row]!r}" for n in dict.fromkeys(used))
        return f", where {cells}" if cells else ""

    def _named(self, batch: pl.DataFrame, used: Sequence[int] | None = None) -> pl.DataFrame:
        """The columns at the positions `used`, or all, under their names."""
        positions = range(len(self._names)) if used is None else used
        frame = batch.select(pl.col(str(n)).alias(self._names[n]) for n in positions)
        return frame.with_columns(
            pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)).name.keep()
        )

    def _check_words(self) -> None:
        if many := _MANY_ROWS.search(_QUOTED.sub(lambda m: " " * len(m[0]), self._text)):
            word = many[0].rstrip("( \t\n")
            raise self._wrong(
                f"{word.upper()} looks at many rows, and each row is judged by itself", many.start()
            )

    def _check_grammar(self, empty: pl.DataFrame) -> None:
        """Whole as a condition, not only its beginning; this parser tells the place."""
        try:
            empty.sql(_QUERY + self._text)
        except pl.exceptions.SQLInterfaceError as error:
            message = _cause(error).removeprefix("sql parser error: ")
            place = _PLACE.search(message)
            if place is None:
                raise self._wrong(message, len(self._text) if "EOF" in message else None) from None
            lines = self._text.split("\n")[: int(place[1]) - 1]
            column = int(place[2]) - 1 - (0 if lines else len(_QUERY))
            at = sum(len(line) + 1 for line in lines) + column
            raise self._wrong(message[: place.start()], at) from None
        except pl.exceptions.PolarsError:
            return  # what is wrong with columns and types, the expression alone tells better

    def _place_of(self, error: Exception) -> int | None:
        """Where the column stands that polars does not find."""
        name = re.search(r'unable to find column "(.*?)"', str(error))
        at = self._text.find(name[1]) if name else -1
        return at if at >= 0 else None

    def _wrong(self, cause: str, at: int | None = None, mend: str = "") -> SelectionError:
        lines = [f"--where cannot be used: {cause}", f"  {self._text}"]
        if at is not None and "\n" not in self._text:
            lines.append("  " + " " * at + "^")
        lines.append("The columns are: " + ", ".join(_quoted(name) for name in self._names))
        hint = "Put names in double quotes and texts in single ones, as in"
        example = f"{_quoted(self._names[0])} = 'x'"
        number = "compare numbers of a CSV file as in CAST(n AS INT) > 50"
        return SelectionError("\n".join(lines), mend=mend or f"{hint} {example}; {number}.")


def column_names(columns: Sequence[str]) -> tuple[str, ...]:
    """A name of its own for each column: `Note (1)` and `Note (2)` where `Note` stands twice.

    A column without a name is `column 3`.
    """
    times = Counter(columns)
    taken = {name for name, number in times.items() if number == 1 and name}
    names = []
    for position, column in enumerate(columns, 1):
        if times[column] == 1 and column:
            names.append(column)
            continue
        stem = column or "column"
        start = count(1) if column else count(position)
        form = "{} ({})" if column else "{} {}"
        name = next(n for i in start if (n := form.format(stem, i)) not in taken)
        taken.add(name)
        names.append(name)
    return tuple(names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cause(error: Exception) -> str:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return first.partition("; valid columns:")[0]
