"""Progress on standard error: a picture on a terminal, else a line every 30 seconds."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from enricher.cli.streams import is_terminal, people
from enricher.cli.telling import say
from enricher.cli.voice import voice
from enricher.notice import EventName

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from enricher.api import Line, Summary

LINE_INTERVAL = 30.0
"""Seconds between two lines where there is no terminal."""


class Progress(Protocol):
    """Shows the summary of a moment."""

    def show(self, summary: "Summary") -> None: ...

    def paused(self) -> AbstractContextManager[None]:
        """Leave the screen to somebody else for the length of a block."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """What shows progress here, for the length of a block."""
    if not voice.progress:
        yield Silence()
    elif is_terminal() and not voice.as_json and os.environ.get("TERM") != "dumb":
        with Picture() as picture:
            yield picture
    else:
        yield Lines(time.monotonic)


class Silence:
    """No progress is wanted."""

    def show(self, summary: "Summary") -> None:
        pass

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()


class Lines:
    """A plain line every 30 seconds.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = clock() + LINE_INTERVAL

    def show(self, summary: "Summary") -> None:
        if self._clock() >= self._next:
            self._next += LINE_INTERVAL
            tell_progress(summary)

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()


def tell_progress(summary: "Summary") -> None:
    """One line, with all its figures for a program that reads the log."""
    import dataclasses

    from enricher.api import describe

    told = summary.to_json()
    facts: dict[str, Any] = {
        name: told[name] for name in ("job", "rows", "runs", "requests", "eta_seconds")
    }
    if summary.live:
        facts["live"] = dataclasses.asdict(summary.live)
    say(describe(summary), EventName.PROGRESS, **facts)


class Picture:
    """A few lines that are drawn anew every second, and leave nothing behind."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=people())
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False
        )

    def __enter__(self) -> "Picture":
        from rich.text import Text

        self._live.start()
        self._live.update(Text("asking what is free …", "dim"), refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, summary: "Summary") -> None:
        self._live.update(picture_of(summary, self._console), refresh=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._live.stop()
        try:
            yield
        finally:
            self._live.start(refresh=True)


def picture_of(summary: "Summary", console: "Console") -> "RenderableType":
    """The lines of a moment, as wide as the terminal is."""
    from rich.console import Group

    from enricher.api import live_lines

    lines = live_lines(summary, console.width - 1)  # some terminals wrap at the last column
    return Group(*map(_coloured, lines))


def _coloured(line: "Line") -> "Text":
    from rich.text import Text

    from enricher.api import Tone

    styles = {
        Tone.PLAIN: "",
        Tone.GOOD: "green",
        Tone.BAD: "red",
        Tone.DOUBT: "yellow",
        Tone.QUIET: "dim",
    }
    return Text.assemble(*((part.text, styles[part.tone]) for part in line), no_wrap=True)
