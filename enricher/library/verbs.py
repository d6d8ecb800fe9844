"""The verbs: those of the command line, for programs.

Nothing prints, ends the process or touches a signal unless asked to.
"""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar, Unpack

from enricher import api
from enricher.api import Place, Plan, Status, Summary
from enricher.errors import CannotGoOn
from enricher.library.events import Event, Hear
from enricher.library.job import job_of
from enricher.library.options import Changes, Options, PathText, plain
from enricher.library.running import Work, attended, streamed
from enricher.library.showing import hearer

T = TypeVar("T")


def run(
    source: api.Job | PathText,
    *,
    on_event: Hear | None = None,
    progress: bool = False,
    stop_signals: bool = False,
    **options: Unpack[Options],
) -> Summary:
    """Enrich a file, or go on where an earlier call was stopped. Blocks; works in a notebook too.

    Ctrl-C stops it and saves; then `KeyboardInterrupt` is raised.

    Args:
        source: a `Job`, a data file, a pattern for several, or a job file (`.toml`).
        on_event: gets each `Event`, in this thread. What it raises stops the job, which saves.
        progress: show it: in a notebook below the cell, else on standard error.
        stop_signals: in the main thread, let SIGINT and SIGTERM stop it as they stop the command:
            the summary of a stopped job is returned.
        options: see `Options`.

    Returns:
        What became of the job: also of one that a cap has stopped (`outcome`, `reason_code`).
        Times in seconds, credits in the workspace's own unit.

    Raises:
        UsageError: lists every option that is wrong.
        CannotGoOn: the input, mapping, key, grid, output or checkpoint is not fit; nothing lost.
        TryLater: the checkpoint is in use, or the server does not answer.

    Example:
        >>> summary = enricher.run("companies.csv", grid=GRID, output="out.csv")
        >>> summary.rows.completed, summary.exit_code
        (39, 0)
    """
    hear = hearer(on_event, progress)
    return _good(attended(_run(source, options), hear, stop_signals=stop_signals))


async def arun(
    source: api.Job | PathText,
    *,
    on_event: Hear | None = None,
    progress: bool = False,
    **options: Unpack[Options],
) -> Summary:
    """`run`, to be awaited. The job has a thread of its own: it holds nothing else up.

    To cancel the task is to stop the job: it waits up to 10 s for the answers to what was sent,
    saves, and then `CancelledError` is raised. Cancelled twice it waits for no answers.

    Returns:
        As `run`; times in seconds.

    Raises:
        UsageError, CannotGoOn, TryLater: as `run`.

    Example:
        >>> summary = asyncio.run(enricher.arun("companies.csv", grid=GRID))
        >>> summary.runs.submitted
        36
    """
    return _good(await _awaited(_run(source, options), hearer(on_event, progress)))


async def stream(
    source: api.Job | PathText, **options: Unpack[Options]
) -> AsyncGenerator[Event, None]:
    """`run` as an iterator of events; the last one is `ended` and has the summary, with times
    in seconds.

    Who leaves early stops the job, which saves. `break` alone leaves that to the garbage collector:
    close it with `contextlib.aclosing`.

    Raises:
        UsageError, CannotGoOn, TryLater: as `run`.

    Example:
        >>> async def names():
        ...     return [event.name async for event in enricher.stream("companies.csv", grid=GRID)]
        >>> asyncio.run(names())[-1] == enricher.EventName.ENDED
        True
    """
    kept: list[Summary] = []
    async with aclosing(streamed(_run(source, options), kept)) as events:
        async for event in events:
            yield event
    _good(kept[0])


def plan(
    source: api.Job | PathText, *, on_event: Hear | None = None, **options: Unpack[Options]
) -> Plan:
    """Say what `run` with the same arguments would do. Asks only what is free, submits nothing.

    Returns:
        The new runs, requests, seconds and credits; `to_json()` is the object of `plan --json`.

    Raises:
        UsageError, CannotGoOn, TryLater: as `run`, for what can be known before a submission.

    Example:
        >>> inputs = {"company_name": "Company Name", "website": {"template": "{Website}"}}
        >>> plan = enricher.plan("companies.csv", grid=GRID, inputs=inputs)
        >>> plan.census.total, plan.census.new_runs
        (40, 36)
    """
    return attended(_plan(source, options), hearer(on_event, False))


async def aplan(
    source: api.Job | PathText, *, on_event: Hear | None = None, **options: Unpack[Options]
) -> Plan:
    """`plan`, to be awaited.

    Returns:
        As `plan`; seconds and credits are estimates.

    Raises:
        UsageError, CannotGoOn, TryLater: as `plan`.

    Example:
        >>> asyncio.run(enricher.aplan("companies.csv", grid=GRID)).estimate.requests
        79
    """
    return await _awaited(_plan(source, options), hearer(on_event, False))


def resume(
    checkpoint: PathText,
    *,
    job: str | None = None,
    on_event: Hear | None = None,
    progress: bool = False,
    stop_signals: bool = False,
    **changes: Unpack[Changes],
) -> Summary:
    """Go on with the job that a checkpoint holds, from any directory, with its own options.

    Args:
        job: the id of one of its jobs; else the one used last.
        changes: options given anew. Those that change what is asked of the provider cannot be.
            `max_runs`, `stop_after`, `in_doubt`, `retry_failed` and `refresh_after` are not kept.
        on_event, progress, stop_signals: as for `run`.

    Returns:
        As `run`; times in seconds.

    Raises:
        UsageError: a base URL that is not the provider's own was not named again.
        CannotGoOn, TryLater: as `run`.

    Example:
        >>> first = enricher.run("companies.csv", grid=GRID, output="out.csv", max_runs=10)
        >>> first.outcome.value, first.rows.pending
        ('stopped', 26)
        >>> enricher.resume("out.csv.checkpoint.db", base_url=BASE_URL).rows.completed
        39
    """
    hear = hearer(on_event, progress)
    return _good(attended(_resume(checkpoint, job, changes), hear, stop_signals=stop_signals))


async def aresume(
    checkpoint: PathText,
    *,
    job: str | None = None,
    on_event: Hear | None = None,
    progress: bool = False,
    **changes: Unpack[Changes],
) -> Summary:
    """`resume`, to be awaited; cancelled as `arun` is.

    Returns:
        As `run`; times in seconds.

    Raises:
        UsageError, CannotGoOn, TryLater: as `resume`.

    Example:
        >>> first = enricher.run("companies.csv", grid=GRID, output="out.csv", max_runs=35)
        >>> going_on = enricher.aresume("out.csv.checkpoint.db", base_url=BASE_URL)
        >>> asyncio.run(going_on).runs.submitted
        1
    """
    work = _resume(checkpoint, job, changes)
    return _good(await _awaited(work, hearer(on_event, progress)))


def status(checkpoint: PathText, *, job: str | None = None) -> Status:
    """Where a job stands: its summary, and what is in doubt. Safe while it runs.

    Args:
        job: the id of one of its jobs; else the one used last.

    Returns:
        `summary` (times in seconds), `doubts`, `second_charges` and `evidence`.

    Raises:
        CheckpointError: not a checkpoint, or no such job.

    Example:
        >>> _ = enricher.run("companies.csv", grid=GRID, output="out.csv")
        >>> enricher.status("out.csv.checkpoint.db").summary.outcome.value
        'finished'
    """
    return api.status(Path(checkpoint), job_id=job)


def jobs(checkpoint: PathText) -> list[Summary]:
    """Where every job of a checkpoint stands, the one used last first; times in seconds.

    Raises:
        CheckpointError: not a checkpoint.

    Example:
        >>> _ = enricher.run("companies.csv", grid=GRID, output="out.csv")
        >>> [summary.target == GRID for summary in enricher.jobs("out.csv.checkpoint.db")]
        [True]
    """
    return api.statuses(Path(checkpoint))


def export(
    checkpoint: PathText,
    output: PathText | None = None,
    *,
    job: str | None = None,
    overwrite: bool = False,
    on_event: Hear | None = None,
    read_from: PathText | None = None,
    columns: Sequence[str] | None = None,
    only_enriched: bool = False,
    explode: bool = False,
    excel_safe: bool = False,
    failures: PathText | None = None,
) -> tuple[Place, ...]:
    """Write the output as far as it is; safe while the job runs. Costs no credits.

    Args:
        output: its format by its extension; by default `<output stem>.partial<ext>`.
        job: the id of one of its jobs; else the one used last.
        overwrite: replace a file that neither the job nor an export wrote.
        on_event: gets the notes of the writing, such as a warning of formulas.
        read_from: stands in for an input that moved.
        columns, only_enriched, explode, excel_safe, failures: as options of `run`.

    Returns:
        What was written: paths, or addresses of a store or a database.

    Raises:
        CheckpointError, InputError, MappingError, OutputError, SelectionError: see `errors`.

    Example:
        >>> _ = enricher.run("companies.csv", grid=GRID, output="out.csv")
        >>> [path.name for path in enricher.export("out.csv.checkpoint.db", "out.parquet")]
        ['out.parquet']
    """
    hear = hearer(on_event, False)
    changes = {
        "read_from": read_from,
        "columns": columns,
        "only_enriched": only_enriched,
        "explode": explode,
        "excel_safe": excel_safe,
        "failures": failures,
    }
    return api.export(
        Path(checkpoint),
        None if output is None else os.fspath(output),
        changes,
        job_id=job,
        overwrite=overwrite,
        warn=lambda line: hear(Event(api.event_of(line), str(line))),
    )


def _run(source: api.Job | PathText, options: Options) -> Work[Summary]:
    job = job_of(source, options)
    return lambda hooks: api.arun(job, hooks=hooks)


def _plan(source: api.Job | PathText, options: Options) -> Work[Plan]:
    job = job_of(source, options)
    return lambda hooks: api.aplan(job, warn=hooks.warn)


def _resume(checkpoint: PathText, job: str | None, changes: Changes) -> Work[Summary]:
    path, given = Path(checkpoint).absolute(), plain(changes)
    return lambda hooks: api.aresume(path, given, job_id=job, hooks=hooks)


async def _awaited(work: Work[T], hear: Hear) -> T:
    kept: list[T] = []
    async with aclosing(streamed(work, kept)) as events:
        async for event in events:
            hear(event)
    return kept[0]


def _good(summary: Summary) -> Summary:
    """A job that could not even begin is an error, as it is for the command line."""
    if summary.outcome is api.JobOutcome.ERROR and summary.error is not None:
        raise CannotGoOn(summary.error.message, code=summary.error.code)
    return summary
