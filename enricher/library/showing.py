"""Progress for who asks for it: a line that renews itself in a notebook, else plain lines."""

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

from enricher.api import EventName
from enricher.library.events import Event, Hear

LINE_INTERVAL = 10.0
"""Seconds between two plain lines."""


def hearer(on_event: Hear | None, progress: bool) -> Hear:
    """Who hears the events of a job."""
    hearers = [hear for hear in (on_event, shown() if progress else None) if hear]

    def hear(event: Event) -> None:
        for each in hearers:
            each(event)

    return hear


def shown() -> Hear:
    """What shows progress here. Notes are shown too: they are few, and should be known."""
    write = _notebook_line() if _in_notebook() else _lines(time.monotonic)

    def show(event: Event) -> None:
        if event.name not in (EventName.RUN_FAILED, EventName.RUN_IN_DOUBT):
            write(event)

    return show


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs us; nothing is imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def _notebook_line() -> Hear:
    """One line below the cell, renewed; a note has a line of its own."""
    display: Callable[..., Any] = importlib.import_module("IPython.display").display
    handle: list[Any] = []

    def write(event: Event) -> None:
        line = {"text/plain": event.text}
        if event.summary is None:
            display(line, raw=True)
        elif handle:
            handle[0].update(line, raw=True)
        else:
            handle.append(display(line, raw=True, display_id=True))

    return write


def _lines(clock: Callable[[], float]) -> Hear:
    last = -LINE_INTERVAL

    def write(event: Event) -> None:
        nonlocal last
        if event.name == EventName.PROGRESS and clock() - last < LINE_INTERVAL:
            return
        last = clock()
        sys.stderr.write(f"{event.text}\n")

    return write
