"""How the program speaks to people: text or one JSON object a line, and how much of it."""

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from enricher.api import Telling


class Voice:
    """One a process. Text until told otherwise.

    Attributes:
        as_json: lines are JSON objects (`--log-format json`).
        quiet: only errors, and what a person must act on.
        verbose: a time before each line, and every failure as it happens.
        programs: the JSON summary is wanted on standard output; `summary_file` in a file.
        metrics_file: where metrics go, if they are wanted.
        known: what is known of the job, for the summary of an error.
    """

    def __init__(self) -> None:
        self.as_json = False
        self.quiet = False
        self.verbose = False
        self.progress = True
        self.yes = False
        self.programs = False
        self.summary_file: Path | None = None
        self.metrics_file: Path | None = None
        self.known: dict[str, Any] = {}

    def heed_arguments(self, arguments: Sequence[str]) -> None:
        """Obey a command line that may not even parse."""
        pairs = list(zip(arguments, [*arguments[1:], ""], strict=False))
        self.as_json = "--log-format=json" in arguments or ("--log-format", "json") in pairs
        self.quiet = "--quiet" in arguments or "-q" in arguments
        self.programs = "--json" in arguments

    def heed(self, telling: "Telling") -> None:
        """Obey what options and the job file say."""
        self.as_json = telling.log_format == "json"
        self.quiet, self.verbose = telling.quiet, telling.verbose
        self.progress = not (telling.quiet or telling.no_progress)
        self.yes = telling.yes
        self.programs = telling.as_json
        self.summary_file = telling.summary_file
        self.metrics_file = telling.metrics_file

    def stamped(self, text: str) -> str:
        """A line of text, with the time of day if that is wanted."""
        return f"{time.strftime('%H:%M:%S')} {text}" if self.verbose else text

    @property
    def may_ask(self) -> bool:
        """Whether there is a person who can be asked, and has not answered already."""
        return not self.yes and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def colour(self) -> bool:
        """See no-color.org; a dumb terminal has none."""
        return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


voice = Voice()
