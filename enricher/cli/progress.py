"""Progress on standard error: a bar on a terminal, else a line every 30 seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from enricher.cli.telling import is_terminal, people, say

if TYPE_CHECKING:
    from enricher.api import Summary

LINE_INTERVAL = 30.0


@contextmanager
def shown_progress() -> "Iterator[Callable[[Summary], None]]":
    """Takes the summary of a moment and shows it, for the length of a block."""
    if is_terminal():
        with _bar() as show:
            yield show
    else:
        yield _Lines().show


def describe(summary: "Summary") -> str:
    """`37/41 rows · 36 runs · 4 in flight · 12 s left`."""
    from enricher.api import duration

    rows, runs = summary.rows, summary.runs
    parts = [f"{rows.total - rows.pending}/{rows.total} rows", f"{runs.submitted} runs"]
    parts += [f"{rows.failed} failed"] if rows.failed else []
    parts += [f"{rows.in_doubt} in doubt"] if rows.in_doubt else []
    parts += [f"{runs.in_flight} in flight"] if runs.in_flight else []
    parts += [f"{duration(summary.eta_seconds)} left"] if summary.eta_seconds else []
    return " · ".join(parts)


class _Lines:
    def __init__(self) -> None:
        self._next = time.monotonic() + LINE_INTERVAL

    def show(self, summary: "Summary") -> None:
        if time.monotonic() >= self._next:
            self._next += LINE_INTERVAL
            say(describe(summary))


@contextmanager
def _bar() -> "Iterator[Callable[[Summary], None]]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=people()), redirect_stdout=False) as progress:
        task = progress.add_task("asking what is free …", total=None)

        def show(summary: "Summary") -> None:
            rows = summary.rows
            progress.update(
                task,
                total=max(rows.total, 1),
                completed=rows.total - rows.pending,
                description=describe(summary),
            )

        yield show
