"""What a person should know before money is spent, or about what was read."""

from collections.abc import Iterator

from enricher.job import Job
from enricher.model import Mode
from enricher.plan import Census
from enricher.providers.base import Briefing
from enricher.report.text import ragged_line
from enricher.source import Table


def remarks_on_reading(job: Job, table: Table, census: Census) -> Iterator[str]:
    """How the input was read, where that was a guess or left something out."""
    yield from table.remarks
    if census.ragged_lines:
        yield f"{census.ragged_lines} {ragged_line(job.ragged, census.ragged_lines)}"


def remarks_on_run(job: Job, briefing: Briefing, census: Census) -> Iterator[str]:
    """What `run` says of blank lines, of what is bought again, and of what may be in doubt."""
    if census.blank_lines:
        yield f"{census.blank_lines} blank lines of the input are passed over"
    if census.bought_before:
        yield (
            f"{census.bought_before} inputs have a result with fewer output columns: they are"
            " run, and paid, again"
        )
    if census.not_refreshed:
        yield (
            f"{census.not_refreshed} rows are too old, but not refreshed: their results hold"
            " more output columns than are asked for; leave out --output-column to refresh them"
        )
    if census.new_runs:
        yield from briefing.remarks
        if job.mode is Mode.SYNC:
            yield "sync mode: submissions that are open when the program dies are in doubt"
