"""Parquet, in one pass where the first batch tells the types of all, else in two."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from queue import Full, Queue
from typing import BinaryIO

import polars as pl
from polars.io.plugins import register_io_source

from enricher.cell import as_plain
from enricher.errors import OutputError
from enricher.model import Json
from enricher.places import Place
from enricher.record import Outcome
from enricher.sink.layout import OWN_NAMES, Layout, Pair, Written, check_distinct_names
from enricher.sink.outcomes import status_and_error, values_of
from enricher.sink.shapes import ColumnShape, as_series
from enricher.sink.target import blamed, replacing

_Queue = Queue[pl.DataFrame | bool]
"""Batches; then true when they are all, false when there will be no more of them."""

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")

_MOST_ROWS_A_GROUP = 1 << 17
_BYTES_A_GROUP = 1 << 26


class _TypesGrew(Exception):
    """A row came that the types, or the size of the groups, of the file under way do not suit."""


class _Abandoned(Exception):
    """Ends the writer when there will be no more batches."""


def check_parquet_names(path: Place, layout: Layout) -> None:
    """Make sure that Parquet can hold the names: each once, and from CSV none empty.

    Raises:
        OutputError: it cannot; names the column.
    """
    check_distinct_names(path, layout, "Parquet")
    if layout.dialect is not None and "" in layout.arranged(layout.names()):
        number = layout.columns.index("") + 1
        raise OutputError(
            f"{path} cannot be written: column {number} of the input has no name, "
            "and Parquet needs one",
            mend=OWN_NAMES,
        )


def write_parquet(path: Path, layout: Layout, pairs: Callable[[], Iterable[Pair]]) -> Written:
    """Write all rows to `path`, input types kept and output types learned.

    A pass whose types turn out too narrow goes on for the sake of the types alone, so that the next
    one knows all of them; only an outcome that appears meanwhile makes a third one.

    Raises:
        OutputError: the file cannot be made, the disk did not take it, or Parquet cannot hold it.
    """
    learned = _Learned(layout)
    while True:
        # Each time a new file: threads of a writer that was given up may still write to the old.
        with suppress(_TypesGrew), replacing(path) as (file, place):  # types can only widen
            rows = _write_once(path, file, learned, iter(pairs()))
            _check_rows(path, place, rows)
            return Written()


class _Learned:
    """The types of all columns, as far as the pairs were seen."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names = layout.names()
        self._shapes = [ColumnShape() for _ in layout.outputs]
        self._inputs: list[pl.DataType] = [pl.String() for _ in layout.columns]
        self._mixed: dict[int, ColumnShape] = {}
        self._rows = 0
        self._input_bytes = 0

    def add(self, frame: pl.DataFrame, outcomes: Sequence[Outcome]) -> list[list[Json]]:
        """Learn from a batch, and give the values of each output."""
        if not self._rows:
            self._inputs = frame.dtypes
            places = [place for place, dtype in enumerate(frame.dtypes) if dtype == pl.Object]
            self._mixed = {place: ColumnShape() for place in places}
        self._rows += frame.height
        self._input_bytes += int(frame.estimated_size())
        for place, shape in self._mixed.items():
            shape.add(map(as_plain, frame.to_series(place).to_list()))
        values = values_of(outcomes, self._layout.outputs)
        for shape, shown in zip(self._shapes, values, strict=True):
            shape.add(shown)
        return values

    def dtypes(self) -> list[pl.DataType | None]:
        """The types of the outputs; `None` is JSON text."""
        return [shape.dtype() for shape in self._shapes]

    def _all_types(self) -> list[pl.DataType | None]:
        """Those of the outputs, and of columns of the input that hold several kinds."""
        return [shape.dtype() for shape in (*self._shapes, *self._mixed.values())]

    def schema(self) -> pl.Schema:
        outputs = [dtype or pl.String() for dtype in self.dtypes()]
        inputs = [
            self._mixed[place].dtype() or pl.String() if place in self._mixed else dtype
            for place, dtype in enumerate(self._inputs)
        ]
        types = [*inputs, *outputs, pl.String(), pl.String()]
        named = list(zip(self._names, types, strict=True))
        return pl.Schema(self._layout.arranged(named))

    def rows_a_group(self) -> int:
        """131,072, fewer where that would be more than about 64 MiB."""
        size = self._input_bytes + sum(
            shape.size for shape in (*self._shapes, *self._mixed.values())
        )
        a_row = max(1, size // max(1, self._rows))
        return max(1, min(_MOST_ROWS_A_GROUP, _BYTES_A_GROUP // a_row))

    def frames(self, pairs: Iterator[Pair]) -> Iterator[pl.DataFrame]:
        """The rows as they are written.

        Raises:
            _TypesGrew: some cannot be; all were learned from.
        """
        dtypes, all_types, rows_a_group = self.dtypes(), self._all_types(), self.rows_a_group()
        for frame, outcomes in pairs:
            values = self.add(frame, outcomes)
            if self._all_types() != all_types or self.rows_a_group() * 2 < rows_a_group:
                for pair in pairs:
                    self.add(*pair)
                raise _TypesGrew
            outputs = map(as_series, values, dtypes)
            yield self._frame(frame, [*outputs, *status_and_error(outcomes)])

    def _frame(self, frame: pl.DataFrame, outputs: Sequence[pl.Series]) -> pl.DataFrame:
        columns = frame.get_columns()
        for place, shape in self._mixed.items():
            values = [as_plain(value) for value in columns[place].to_list()]
            columns[place] = as_series(values, shape.dtype())
        columns.extend(outputs)
        # By a dict: of a list, polars gives columns with an empty name another one.
        named = list(zip(self._names, columns, strict=True))
        return pl.DataFrame(dict(self._layout.arranged(named)))


def _write_once(path: Path, file: BinaryIO, learned: _Learned, pairs: Iterator[Pair]) -> int:
    """Feed the writer from this thread, and return the number of rows.

    Polars would run the generator in threads of its own, where a database connection behind
    `pairs` may not be used and where Ctrl-C does not arrive.
    """
    first = list(islice(pairs, 1))
    for pair in first:
        learned.add(*pair)
    queue: _Queue = Queue(2)
    rows, is_complete = 0, False
    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        writing = pool.submit(_sink, file, learned.schema(), learned.rows_a_group(), queue)
        try:
            for frame in learned.frames(chain(first, pairs)):
                rows += frame.height
                if not _put(frame, queue, writing):
                    break
            is_complete = True
        finally:
            _put(is_complete, queue, writing)
    with blamed(path), _blamed_on_polars(path):
        writing.result()
    return rows


def _check_rows(path: Path, place: Path, rows: int) -> None:
    """Trust what the file says of itself: a thread of polars may die without a word."""
    with blamed(path), _blamed_on_polars(path):
        found = pl.scan_parquet(place, glob=False).select(pl.len()).collect().item()
    if found != rows:
        raise OutputError(
            f"{path} cannot be written as Parquet: {found:,} of {rows:,} rows arrived in it",
            mend="Repeat the command, or write the output as .csv.",
        )


def _put(item: pl.DataFrame | bool, queue: _Queue, writing: Future[None]) -> bool:
    """Put `item` in the queue as soon as there is room; false if nobody takes it any more."""
    while not writing.done():
        try:
            queue.put(item, timeout=0.2)
            return True
        except Full:
            continue
    return False


def _sink(file: BinaryIO, schema: pl.Schema, rows_a_group: int, queue: _Queue) -> None:
    """The only place that knows `register_io_source`, which polars calls unstable."""

    def frames(
        columns: list[str] | None, _filter: pl.Expr | None, _rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in _taken(queue):
            yield frame if columns is None else frame.select(columns)

    register_io_source(frames, schema=schema).sink_parquet(file, row_group_size=rows_a_group)


def _taken(queue: _Queue) -> Iterator[pl.DataFrame]:
    while not isinstance(item := queue.get(), bool):
        yield item
    if not item:
        raise _Abandoned


@contextmanager
def _blamed_on_polars(path: Path) -> Iterator[None]:
    """Turn what polars says into an `OutputError`, or into the system's error that it wraps."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if system := _SYSTEM_ERROR.search(str(error)):
            raise OSError(int(system[1]), os.strerror(int(system[1]))) from error
        cause = (str(error).splitlines() or ["no reason given"])[0]
        raise OutputError(
            f"{path} cannot be written as Parquet: {cause}", mend="Write the output as .csv."
        ) from error
