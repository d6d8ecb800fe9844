"""`--metrics-file`: what a job that runs has to tell, for a collector that reads files."""

from pathlib import Path
from typing import TYPE_CHECKING

from enricher.cli.telling import warn
from enricher.cli.voice import voice
from enricher.errors import CheckpointInUse, EnricherError, OutputError

if TYPE_CHECKING:
    from enricher.api import Summary


class Meter:
    """Writes metrics whenever there are new ones. A disk that takes none stops no job.

    Args:
        path: where they go; `None` for nowhere.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last: Summary | None = None
        self._complained = False

    def check(self) -> None:
        """Raise `OutputError` if they cannot be written, before money is spent."""
        if self._path is not None:
            from enricher import api

            api.check_metrics_file(self._path)

    def show(self, summary: "Summary") -> None:
        self._last = summary
        if self._path is None:
            return
        from enricher import api

        try:
            api.write_metrics(self._path, summary)
        except OutputError as error:
            if not self._complained:
                self._complained = True
                warn(f"no metrics, the job goes on: {error.message}")

    def failed(self, error: EnricherError) -> None:
        """The job ended by an error: its last metrics must not go on saying that it runs."""
        if self._path is None or isinstance(error, CheckpointInUse):  # they are another process's
            return
        from dataclasses import replace

        from enricher.api import JobOutcome, Summary

        last = self._last or Summary(outcome=JobOutcome.ERROR, **voice.known)
        self.show(
            replace(last, outcome=JobOutcome.ERROR, exit_code=error.exit_code, eta_seconds=None)
        )
