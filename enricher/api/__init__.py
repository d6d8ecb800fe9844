"""The verbs of the program. The doors (`cli`, later others) call these and nothing below them.

`plan` and `run` take a `Job`, the rest a checkpoint. Each returns a value for the door to show;
problems are raised as the classes of `errors`. The way of a run through the rooms:

    orders       options, environment and job file to one `Job`; `going_on` one that was begun
    running      the lock (`turns`), then all that is free to ask (`wiring`, `inputs`, `limits`)
    invocation   what one life of a job holds: its pass, its checkpoint (`opened`), its `account`
    counting     the rows, the consent of a person, what to know before (`remarks`, `planning`)
    shift        rows to the engine (`feeder`, `engines`), its events to the checkpoint
    ending       the files (`writing`), the end of the pass, the last word

`chaining` does this for each step of a waterfall, `shards` for each shard of a manifest,
`clustered` for all shards on a cluster. `reading`, `rows`, `picturing` and `serving` look at
checkpoints only.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from enricher.api.chaining import run_steps
from enricher.api.changing import changed, fed_by
from enricher.api.discovery import Discovery, check_free, discover_for, path_within, write_new
from enricher.api.going_on import going_on
from enricher.api.hooks import Hooks
from enricher.api.inputs import input_copied, make_state_folder, table_copied
from enricher.api.orders import Order, job_of, order_by_file, order_of, telling_of
from enricher.api.planning import Plan, plan_job
from enricher.api.reading import Status, export_to, rows_saved, status_of, statuses_of
from enricher.api.rows import Page, RowTold, rows_told, stored_job
from enricher.api.running import run_job
from enricher.api.sharded import (
    ShardsStatus,
    WorkspaceTold,
    merge,
    run_on_cluster,
    shard_job,
    shards_status,
    write_manifest,
)
from enricher.api.step_plans import plan_steps
from enricher.api.turns import in_turn
from enricher.errors import UsageError
from enricher.forecast import ASK_ABOVE
from enricher.forms import parse_age, parse_in_flight, parse_limit, parse_rate
from enricher.job import Job
from enricher.jobfile import Draft, LogFormat, Telling, schema, written
from enricher.model import RowStatus, Stop, StopCode, Warn
from enricher.notice import EventName, event_of
from enricher.places import Place, is_standard
from enricher.providers import registry
from enricher.report.evidence import evidence_lines
from enricher.report.live import Line, Tone, describe, live_lines
from enricher.report.summary import ErrorTold, JobOutcome, Summary
from enricher.report.text import doubt_lines, duration, second_charge_lines, summary_lines

__all__ = [
    "ASK_ABOVE",
    "KEY_VARIABLE",
    "Discovery",
    "Draft",
    "ErrorTold",
    "EventName",
    "Hooks",
    "Job",
    "JobOutcome",
    "Line",
    "LogFormat",
    "Order",
    "Page",
    "Place",
    "Plan",
    "RowStatus",
    "RowTold",
    "ShardsStatus",
    "Status",
    "Stop",
    "StopCode",
    "Summary",
    "Telling",
    "Tone",
    "WorkspaceTold",
    "aplan",
    "aresume",
    "arun",
    "can_draw",
    "changed",
    "check_free",
    "check_metrics_file",
    "check_standard_output",
    "describe",
    "discover",
    "doubt_lines",
    "duration",
    "event_of",
    "evidence_lines",
    "export",
    "fed_by",
    "job_of",
    "job_schema",
    "live_lines",
    "merge",
    "order_by_file",
    "order_of",
    "parse_age",
    "parse_in_flight",
    "parse_limit",
    "parse_rate",
    "path_within",
    "plan",
    "report",
    "resume",
    "rows_saved",
    "rows_told",
    "run",
    "run_on_cluster",
    "second_charge_lines",
    "serve",
    "shard_job",
    "shards_status",
    "status",
    "statuses",
    "stored_job",
    "summary_lines",
    "table_copied",
    "telling_of",
    "write_job_file",
    "write_manifest",
    "write_metrics",
]


KEY_VARIABLE = registry.find(registry.DEFAULT).key_variable
"""The environment variable that holds the API key unless a job file names another."""


def plan(job: Job, *, environ: Mapping[str, str] = os.environ, warn: Warn = lambda _: None) -> Plan:
    """Say what `run` would do. Submits and writes nothing.

    Raises:
        EnricherError: as `run`, for what can be known before a submission.
    """
    return asyncio.run(aplan(job, environ=environ, warn=warn))


def run(
    job: Job, *, environ: Mapping[str, str] = os.environ, hooks: Hooks | None = None
) -> Summary:
    """Enrich a file, or go on where an earlier call was stopped.

    Raises:
        CannotGoOn: the input, mapping, key, target, output or checkpoint is not fit; nothing lost.
        TryLater: the checkpoint is in use, or the server does not answer.
    """
    return asyncio.run(arun(job, environ=environ, hooks=hooks))


def resume(
    checkpoint: Path,
    changes: Mapping[str, Any],
    *,
    job_id: str | None = None,
    environ: Mapping[str, str] = os.environ,
    hooks: Hooks | None = None,
    as_json: bool = False,
) -> Summary:
    """Go on with the job that `checkpoint` holds, with the options of its last invocation.

    Args:
        changes: options given anew; `None` keeps the stored one.
        as_json: standard output is for the summary.

    Raises:
        CannotGoOn, TryLater: as `run`.
        UsageError: the stored base URL is not the provider's own and was not named again.
    """
    return asyncio.run(
        aresume(checkpoint, changes, job_id=job_id, environ=environ, hooks=hooks, as_json=as_json)
    )


async def aplan(
    job: Job, *, environ: Mapping[str, str] = os.environ, warn: Warn = lambda _: None
) -> Plan:
    """`plan` in the event loop that runs. It reads files, and holds the loop up while it does."""
    with input_copied(job, for_good=False) as job:
        return await (plan_steps if job.steps else plan_job)(job, environ, warn)


async def arun(
    job: Job, *, environ: Mapping[str, str] = os.environ, hooks: Hooks | None = None
) -> Summary:
    """`run` in the event loop that runs; see `aplan`."""
    hooks = hooks or Hooks()
    if is_standard(job.output) or not isinstance(job.output, Path):
        make_state_folder(job)
        hooks.warn(f"the checkpoint is {job.checkpoint}")
    with input_copied(job, for_good=True) as job:
        return await _work_off(job, environ, hooks, job.id)


async def aresume(
    checkpoint: Path,
    changes: Mapping[str, Any],
    *,
    job_id: str | None = None,
    environ: Mapping[str, str] = os.environ,
    hooks: Hooks | None = None,
    as_json: bool = False,
) -> Summary:
    """`resume` in the event loop that runs; see `aplan`."""
    job, job_id = going_on(checkpoint, changes, job_id, environ)
    check_standard_output(job, as_json=as_json)
    return await _work_off(job, environ, hooks or Hooks(), job_id)


async def _work_off(job: Job, environ: Mapping[str, str], hooks: Hooks, job_id: str) -> Summary:
    one = partial(run_job, job, environ, hooks, job_id)
    work = partial(run_steps, job, environ, hooks) if job.steps else one
    return await in_turn(work, job.retry_lock, hooks.warn)


def check_standard_output(job: Job, *, as_json: bool) -> None:
    """Raise `UsageError` if standard output would hold a table and a summary."""
    if as_json and is_standard(job.output):
        raise UsageError(
            "The output goes to standard output: --json has no place there.",
            mend="Leave out --json, or write the summary to a file with --summary-file.",
        )


def status(checkpoint: Path, *, job_id: str | None = None) -> Status:
    """Where a job stands; safe while it runs.

    Raises:
        CheckpointError: not a checkpoint, or no such job.
    """
    return status_of(checkpoint.absolute(), job_id)


def statuses(checkpoint: Path) -> list[Summary]:
    """Where every job of a checkpoint stands, the one used last first; safe while one runs.

    Raises:
        CheckpointError: not a checkpoint.
    """
    return statuses_of(checkpoint.absolute())


def discover(
    job: Job, *, environ: Mapping[str, str] = os.environ, warn: Warn = lambda _: None
) -> Discovery:
    """What the target takes and what the input has; asks only what is free.

    Raises:
        EnricherError: as `run`, for what can be known before a submission; no `MappingError`.
    """
    return asyncio.run(discover_for(job, environ, warn))


def write_job_file(path: Path, draft: Draft) -> None:
    """Write a commented job file; replaces nothing.

    Raises:
        OutputError: `path` exists, or cannot be written.
    """
    write_new(path, written(draft))


def job_schema(descriptions: Mapping[str, str]) -> dict[str, Any]:
    """The JSON Schema of a job file; `descriptions` are words for people, by option."""
    return schema(descriptions)


def report(
    checkpoint: Path, output: Path | None = None, *, job_id: str | None = None
) -> tuple[Path, str]:
    """Draw a job as one HTML page; safe while it runs. Returns where it was written, and the page.

    Args:
        output: by default `<checkpoint stem>.report.html` beside it; `-` writes no file.

    Raises:
        CheckpointError: not a checkpoint, or no such job.
        OutputError: the page cannot be written, or would replace what is no report.
    """
    from enricher.api.picturing import report_to  # what draws is for those who want a drawing

    return report_to(checkpoint.absolute(), output, job_id)


def serve(
    checkpoint: Path,
    port: int = 0,
    *,
    job_id: str | None = None,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Show a job on a live page on loopback, until SIGINT or SIGTERM.

    Args:
        port: 0 is any free one.
        on_ready: is told the address once the page can be had.

    Raises:
        CheckpointError: not a checkpoint, no such job, or it is not there any more.
        CannotGoOn: the port cannot be had.
    """
    from enricher.api.serving import serve_job  # so is the web server

    serve_job(checkpoint.absolute(), port, job_id, on_ready)


def can_draw() -> bool:
    """Whether the extra `report` is installed, which draws the charts of a report."""
    from enricher.report import charts

    return charts.can_draw()


def check_metrics_file(path: Path) -> None:
    """Make sure, before money is spent, that metrics can be written to `path`.

    Raises:
        OutputError: they cannot, or a file that holds something else would be lost.
    """
    from enricher.api import metering

    metering.check_metrics_file(path)


def write_metrics(path: Path, summary: Summary) -> None:
    """Write a job's metrics to a file for a textfile collector, in one step.

    Raises:
        OutputError: the file cannot be written, or would replace what is no such file.
    """
    from enricher.api.metering import metrics_to

    metrics_to(path, summary)


def export(
    checkpoint: Path,
    output: Path | str | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
    *,
    job_id: str | None = None,
    overwrite: bool = False,
    warn: Warn = lambda _: None,
) -> tuple[Place, ...]:
    """Write the output as far as it is; safe while the job runs. Returns what was written.

    Args:
        output: by default `<output stem>.partial<ext>`.
        changes: options of the job given anew, such as `input` for one that moved; failures are
            written only where `failures` is among them.

    Raises:
        CheckpointError, InputError, MappingError, OutputError, SelectionError: see `errors`.
    """
    return export_to(
        checkpoint.absolute(),
        output,
        changes,
        job_id=job_id,
        overwrite=overwrite,
        warn=warn,
    )
