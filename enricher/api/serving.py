"""`serve`: the picture of a job that runs, on a page of its own."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from enricher.api.picturing import picture_of
from enricher.api.reading import job_known, summary_of
from enricher.report import metrics, page
from enricher.report.charts import Charts, drawn
from enricher.report.picture import Picture
from enricher.web import Assets, Shown, serve

SHARE = 0.05
"""Of the time that may be spent on going through a checkpoint that changes."""

LEAST_PAUSE = 3.0
"""Seconds between two such readings."""


class Viewer:
    """Looks at a checkpoint: at its summary each time, at everything when there is time for it.

    A reading of millions of items takes seconds. It is repeated only after twenty times as long.
    """

    def __init__(self, checkpoint: Path, job_id: str | None) -> None:
        self._checkpoint = checkpoint
        self._id = job_known(checkpoint, job_id)
        self._picture = picture_of(checkpoint, self._id)
        self._charts = self._drawn()  # the first drawing loads much, and tells nothing of the next
        self._next = 0.0

    def look(self) -> Shown:
        """Raises `CheckpointError`: the checkpoint is not there any more."""
        summary = summary_of(self._checkpoint, self._id)
        seen = self._picture.summary
        changed = (summary.updated_at, summary.outcome) != (seen.updated_at, seen.outcome)
        if changed and time.monotonic() >= self._next:
            self._read()
        elif changed:
            return self._shown(replace(self._picture, summary=summary))
        return self._shown(self._picture)

    def _read(self) -> None:
        began = time.monotonic()
        self._picture = picture_of(self._checkpoint, self._id)
        self._charts = self._drawn()
        took = time.monotonic() - began
        self._next = began + took + max(LEAST_PAUSE, took / SHARE)

    def _drawn(self) -> Charts:
        return drawn(self._picture.timeline, self._picture.durations, self._picture.limit)

    def _shown(self, picture: Picture) -> Shown:
        return Shown(
            page.live_page(picture, self._charts),
            page.live_part(picture, self._charts),
            metrics.metrics_text(picture.summary),
        )


def serve_job(
    checkpoint: Path, port: int, job_id: str | None, on_ready: Callable[[str], None]
) -> None:
    """See `api.serve`."""
    viewer = Viewer(checkpoint, job_id)
    assets = Assets(page.style_sheet(), page.live_script(), metrics.CONTENT_TYPE)
    serve(viewer.look, assets, port, on_ready)
