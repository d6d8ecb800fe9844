"""What a reading of the input found that a person should know, and what changed since the last."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from enricher import sink
from enricher.api.neighbours import known_elsewhere
from enricher.api.wiring import Prepared, choice_of, wanted_again, word_of
from enricher.checkpoint import Reader
from enricher.feed import RowFlow
from enricher.forecast import Census
from enricher.job import Job
from enricher.model import Mode, State
from enricher.providers.base import Hold
from enricher.record import LeftOut
from enricher.report.text import ragged_line
from enricher.source import Table


def seen_of(ready: Prepared, flow: RowFlow) -> dict[str, Any]:
    """What a census depends on, besides the checkpoint; equal if nothing changed."""
    return {
        "fingerprint": asdict(ready.table.fingerprint()),
        "reading": asdict(ready.job.reading),
        "wanted": wanted_again(flow.wanted),
        "rows": rows_meant(ready.job),
        "revision": flow.wanted.revision,
    }


def rows_meant(job: Job) -> list[Any]:
    """Which rows are submitted for, and whether equal ones are; empty for what is usual."""
    chosen = choice_of(job).described()
    return [*chosen, "no_dedupe"] if job.no_dedupe else chosen


def earlier(stored: Mapping[str, Any] | None, seen: Mapping[str, Any]) -> Census | None:
    """The census of the last time, if the file was another then."""
    if stored is None or stored["seen"]["fingerprint"] == seen["fingerprint"]:
        return None
    return Census(**stored["census"])


def since_last(census: Census, before: Census | None) -> str:
    """What became of the input since the last time; empty if nothing, or if there was none."""
    if before is None:
        return ""
    if census.content == before.content and census.total == before.total:
        return "the file was written anew; what its rows send is the same, in whatever order"
    more = census.total - before.total
    rows = f"{abs(more)} rows {'more' if more > 0 else 'fewer'} than" if more else "as many rows as"
    inputs = "1 input" if census.new_runs == 1 else f"{census.new_runs} inputs"
    return f"{rows} the last time ({before.total}), {inputs} to run"


def remarks_on_reading(job: Job, table: Table, census: Census) -> Iterator[str]:
    """How the input was read, where that was a guess or left something out."""
    yield from table.remarks
    if census.ragged_lines:
        yield f"{census.ragged_lines} {ragged_line(job.ragged, census.ragged_lines)}"


def remarks_on(census: Census, ready: Prepared) -> Iterator[str]:
    """What a person should know before money is spent, one line each."""
    job = ready.job
    if census.blank_lines:
        lines = "line of the input is" if census.blank_lines == 1 else "lines of the input are"
        yield f"{census.blank_lines:,} blank {lines} passed over"
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
    if census.used_up:
        yield (
            f"{census.used_up} rows are not sent again: they were submitted as often as"
            f" --max-attempts {job.max_attempts} allows; a larger number sends them"
        )
    if census.outdated and job.refresh_after is None:
        yield (
            f"{census.outdated} rows have a result from before the {word_of(job)}'s columns"
            " changed; --refresh-after 0s runs them again"
        )
    if census.left_out.get(LeftOut.WHERE) and not census.new_rows + census.reused:
        yield "no row passes --where; an empty cell is NULL (IS NULL), not an empty text"
    if job.mode is not Mode.ASYNC and ready.provider.holds in (Hold.NONE, Hold.ALWAYS):
        yield f"--mode {job.mode} changes nothing: {job.provider} has no request to hold open"
    if sink.is_of_failures(ready.table.columns) and not census.reused:
        yield (
            "this list holds failures of an earlier job, and none of them is known in this"
            " checkpoint: what is in doubt may be paid twice; name the checkpoint of that job with"
            " --checkpoint to be asked about it"
        )


def remarks_on_purchase(census: Census, ready: Prepared) -> Iterator[str]:
    """What may be bought in vain, as a fresh reading of the input shows it."""
    for label, rows in census.blank.items():
        yield (
            f"{label!r} is blank in {rows:,} of the rows to enrich, which are bought all the same;"
            f" --require {shlex.quote(label)} skips them"
        )
    if census.new_runs and not census.reused and ready.job.refresh_after is None:
        yield from known_elsewhere(ready.job, ready.flow)


def remarks_on_target(ready: Prepared, reader: Reader | None) -> Iterator[str]:
    """What the provider says of its target: before a job begins, and while there is a doubt.

    Args:
        reader: of the job's checkpoint, if there is one.
    """
    is_told = reader is not None and reader.census(ready.job.id) is not None
    if reader is None or not is_told or reader.unfinished(ready.context, State.IN_DOUBT):
        yield from ready.briefing.remarks


def remarks_on_money(ready: Prepared) -> Iterator[str]:
    """What a run that submits something should say of what may come to be in doubt."""
    if ready.job.mode is Mode.SYNC and ready.provider.holds is Hold.SUBMIT:
        yield "sync mode: submissions that are open when the program dies are in doubt"
