"""The standard streams of the program, to which nobody may listen any more."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from enricher.errors import OutputError


class Listener:
    """A standard stream that nobody may listen to any more.

    A reader that has left or a terminal that was closed stops no job and changes no exit code:
    from then on what is written goes nowhere. Only what was asked for (standard output) must not
    be lost to a full disk.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._heard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._heard():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is in the buffer must go somewhere, or the interpreter fails when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self._stream is sys.stdout and error.errno not in (errno.EPIPE, errno.EIO):
                raise OutputError(
                    f"Standard output cannot be written: {error.strerror}.",
                    mend="Send it to another place.",
                ) from None


def asked_for() -> TextIO:
    """Standard output, where what was asked for goes."""
    return cast(TextIO, Listener(sys.stdout))


def people() -> TextIO:
    """Standard error, where everything that people are told besides goes."""
    return cast(TextIO, Listener(sys.stderr))


def is_terminal() -> bool:
    return sys.stderr.isatty()
