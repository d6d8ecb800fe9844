"""Questions to the person at the terminal."""

import select
import sys

from enricher.cli.streams import is_terminal, people

_LISTEN = 0.1
"""Seconds that a wait for an answer lasts before signals are looked at."""


def can_ask() -> bool:
    """Whether somebody is there to see a question and to answer it."""
    return sys.stdin.isatty() and is_terminal()


def answered_yes(question: str) -> bool:
    """Ask a person; anything but a yes is a no."""
    return answered(f"{question} [y/N] ").casefold() in ("y", "yes")


def answered(question: str) -> str:
    """What a person types; empty at the end of the input. A signal ends the wait."""
    stream = people()
    stream.write(question)
    stream.flush()
    while not select.select([sys.stdin], [], [], _LISTEN)[0]:
        pass  # a handler runs between two waits, whenever and to whichever thread the signal came
    return sys.stdin.readline().strip()
