"""Which columns the output has, in which order, and how they are named."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TypeVar

import polars as pl

from enricher.errors import OutputError, SelectionError
from enricher.formats import Dialect
from enricher.model import OutputColumn
from enricher.places import Place
from enricher.record import Outcome


@dataclass(frozen=True, slots=True)
class Written:
    """What there is to say of a table that was written.

    `formulas` counts the enriched cells of a CSV file that a spreadsheet would run as a formula, or
    would if they had not been made safe; names of columns are cells too. `cut` counts the
    enriched cells that were too long for a workbook.
    """

    formulas: int = 0
    cut: int = 0


Pair = tuple[pl.DataFrame, Sequence[Outcome]]
"""A batch of the input, its columns named by position, and one outcome for each of its rows."""

STATUS_PREFIX = "enrichment"

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """The columns of the output.

    `columns` are the input's names as they stand in its file, `outputs` what the target gives, in
    its order. `dialect` is the input's, and `None` for an input with types of its own.
    `excel_safe`: in CSV, enriched text that a spreadsheet would run gets a `'` before it. `chosen`
    are the names of the columns to write, in order; empty for all.
    """

    columns: tuple[str, ...]
    outputs: tuple[OutputColumn, ...]
    status_prefix: str = STATUS_PREFIX
    dialect: Dialect | None = None
    excel_safe: bool = False
    chosen: tuple[str, ...] = ()

    def arranged(self, columns: Sequence[T]) -> list[T]:
        """Of something for each of all columns what is to be written, in its order."""
        if not self.chosen:
            return list(columns)
        return [columns[position] for position in self._positions]

    @cached_property
    def _positions(self) -> list[int]:
        names = self.names()
        return [n for name in self.chosen for n, found in enumerate(names) if found == name]

    def names(self) -> tuple[str, ...]:
        """All names, in order, written or not."""
        outputs = output_names(self.columns, self.outputs, self.status_prefix)
        return (*self.columns, *outputs, *status_columns(self.status_prefix))

    def check(self) -> None:
        """Make sure that no input column has the name of a status column.

        Raises:
            OutputError: one has.
            SelectionError: a chosen column is not there, or chosen twice.
        """
        status = status_columns(self.status_prefix)
        if taken := [name for name in status if name in self.columns]:
            raise OutputError(
                f"the input already has a column {taken[0]}; it may be an output of enricher",
                mend="Choose other names for the status columns: --status-prefix NAME.",
            )
        names = self.names()
        for name in self.chosen:
            if name not in names or self.chosen.count(name) > 1:
                problem = "is named twice" if name in names else "is no column of the output"
                listing = ", ".join(repr(name) for name in dict.fromkeys(names))
                raise SelectionError(
                    f"--columns {name!r} {problem}. There are: {listing}",
                    mend="Name each once, or leave the option out for all.",
                )


OWN_NAMES = "Write the output as .csv, or give every column of the input a name of its own."


def check_distinct_names(path: Place, layout: Layout, format_: str) -> None:
    """Make sure that no two columns of the input have one name, for a format that needs that.

    Raises:
        OutputError: two have; names them.
    """
    names = layout.arranged(layout.names())
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise OutputError(
            f"{path} cannot be written: the input has two columns named {twice[0]!r}, "
            f"and {format_} allows a name once",
            mend=OWN_NAMES,
        )


def status_columns(prefix: str = STATUS_PREFIX) -> tuple[str, str]:
    """The names of the status and the error column."""
    return f"{prefix}_status", f"{prefix}_error"


def output_names(
    input_columns: Iterable[str],
    outputs: Iterable[OutputColumn],
    status_prefix: str = STATUS_PREFIX,
) -> tuple[str, ...]:
    """Name the output columns so that none has the name of another column.

    A second output of the same display name gets ` (2)`, a third ` (3)` …; after that, a name
    that an input or a status column has gets ` (enriched)`, or ` (enriched 2)` … if that is
    taken as well.
    """
    foreign = {*input_columns, *status_columns(status_prefix)}
    distinct: set[str] = set()
    given: set[str] = set()
    names = []
    for output in outputs:
        name = _first_free(_numbered(output.name), distinct)
        distinct.add(name)
        if name in foreign or name in given:
            name = _first_free(_marked(name), foreign | given)
        given.add(name)
        names.append(name)
    return tuple(names)


def _first_free(candidates: Iterator[str], taken: set[str]) -> str:
    return next(name for name in candidates if name not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} ({number})" for number in count(2))


def _marked(name: str) -> Iterator[str]:
    yield f"{name} (enriched)"
    yield from (f"{name} (enriched {number})" for number in count(2))
