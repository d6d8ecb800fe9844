"""From a job to everything that works it off: table, provider, gate, mapping, keys."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enricher import pace, sink, source
from enricher.checkpoint import JobRecord, Pass, Reader
from enricher.checkpoint.exports import was_exported
from enricher.errors import CheckpointError, InputError, OutputError, UsageError
from enricher.feed import RowFlow
from enricher.job import Job
from enricher.mapping import InputMapping, KeyMaker, resolve
from enricher.model import (
    Context,
    OutputColumn,
    RequestCounts,
    Spent,
    Warn,
)
from enricher.preflight import asker
from enricher.providers import bitscale
from enricher.providers.base import Briefing, Provider
from enricher.providers.keys import ApiKey
from enricher.providers.transport import NetworkBackend, Transport
from enricher.record import InDoubt, Record, Wanted
from enricher.schedule import MOST_IN_FLIGHT
from enricher.source import Table
from enricher.stops import Caps, Stops


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job after everything that costs nothing: what it reads, asks and will write."""

    job: Job
    table: Table
    briefing: Briefing
    context: Context
    mapping: InputMapping
    flow: RowFlow
    provider: Provider
    gate: pace.Gate
    counts: RequestCounts


def open_input(job: Job) -> Table:
    """Open the input and check all that a look at the disk can tell about the output.

    Raises:
        InputError: not a table, or it has the status columns already.
        OutputError: the output is the input, or cannot be written.
    """
    table = source.open_table(job.input)
    check_output(job.output, job.input)
    check_output(job.partial, job.input)
    if job.checkpoint in (job.output, job.partial):
        raise OutputError(
            f"{job.checkpoint} cannot be the output and the checkpoint.",
            mend="Name another file with -o or with --checkpoint.",
        )
    if len(table.columns) == 1 and (found := _other_delimiter(table.columns[0])):
        raise InputError(
            f"{job.input} seems to be separated by {found}: its only column would be"
            f" {table.columns[0]!r}.",
            mend="Save it separated by commas; other delimiters are not supported yet.",
        )
    taken = [name for name in sink.status_columns(job.status_prefix) if name in table.columns]
    if taken:
        raise InputError(
            f"{job.input} has a column {taken[0]!r} already: is it an output of enricher?",
            mend="Name the original list, or give the new columns another name with"
            " --status-prefix NAME.",
        )
    return table


def _other_delimiter(header: str) -> str:
    names = {";": "semicolons", "\t": "tabs", "|": "bars"}
    return next((name for delimiter, name in names.items() if delimiter in header), "")


def is_begun(checkpoint: Path) -> bool:
    """Whether there is something in the checkpoint.

    Raises:
        CheckpointError: it is not one of ours; it stays as it is, and gets no lock beside it.
    """
    try:
        Reader(checkpoint).close()
    except CheckpointError as error:
        if error.code == "checkpoint_missing":
            return False
        raise
    return True


def is_ours(reader: Reader, path: Path) -> bool:
    """Whether a job of the checkpoint, or an export of one, wrote `path`."""
    return reader.wrote(str(path)) or was_exported(reader.path, path)


def check_replaceable(job: Job, known: bool) -> None:
    """Raise `OutputError` if the output exists and is not ours; `known`: there is a checkpoint."""
    existing = [path for path in (job.output, job.partial) if path.exists()]
    if job.overwrite or not existing:
        return
    ours: set[str] = set()
    if known:
        with Reader(job.checkpoint) as reader:
            ours = {str(path) for path in existing if is_ours(reader, path)}
    for path in existing:
        if str(path) not in ours:
            raise OutputError(
                f"{path} exists, and no job of {job.checkpoint.name} wrote it.",
                mend="Name another output with -o, or replace this one with --overwrite.",
                code="output_exists",
            )


def nothing_known(_keys: Sequence[bytes]) -> Mapping[bytes, Record]:
    """The lookup of a checkpoint that is not there yet."""
    return {}


def check_output(output: Path, input_path: Path) -> None:
    """Raise `OutputError` if `output` is the input, or cannot be written."""
    if output == input_path or (output.exists() and output.samefile(input_path)):
        raise OutputError(
            f"The output {output} is the input itself.",
            mend="Name another file with -o; the input is never changed.",
        )
    sink.check_writable(output)


@dataclass(frozen=True, slots=True)
class Briefed:
    """A target after everything that can be asked for free."""

    briefing: Briefing
    provider: Provider
    gate: pace.Gate
    counts: RequestCounts


@asynccontextmanager
async def briefed(
    job: Job, environ: Mapping[str, str], warn: Warn, network: NetworkBackend | None = None
) -> AsyncIterator[Briefed]:
    """Ask everything that is free; close the connections at the end.

    Raises:
        KeyProblem, ProviderRefused, ServerGone: see `errors`.
    """
    key = ApiKey(job.api_key_env or bitscale.KEY_VARIABLE, job.api_key_file, environ)
    target = bitscale.Target(job.grid, job.source_id, job.output_columns)
    counts = RequestCounts()
    gate = _gate(job, warn)
    connections = max(MOST_IN_FLIGHT, most_in_flight(job))
    async with Transport(job.base_url, connections=connections, network=network) as transport:
        provider = bitscale.BitScale(transport, key, target)
        ask = asker(gate, job.max_outage, counts, warn, job.base_url)
        yield Briefed(await provider.brief(ask), provider, gate, counts)


@asynccontextmanager
async def prepared(
    job: Job,
    table: Table,
    environ: Mapping[str, str],
    warn: Warn,
    network: NetworkBackend | None = None,
) -> AsyncIterator[Prepared]:
    """Ask everything that is free, and map the columns; close the connections at the end.

    Raises:
        KeyProblem, ProviderRefused, ServerGone, MappingError: see `errors`.
    """
    async with briefed(job, environ, warn, network) as told:
        briefing, provider, gate, counts = told.briefing, told.provider, told.gate, told.counts
        _check_credits(job, briefing)
        mapping = resolve(
            briefing.labels, table.columns, job.maps, job.templates, briefing.optional
        )
        context = Context(job.provider, job.origin, briefing.account, job.grid, job.source_id)
        flow = flow_of(table, mapping, context, briefing.asked)
        sink.check_layout(job.output, layout_of(job, table, briefing.outputs))
        yield Prepared(job, table, briefing, context, mapping, flow, provider, gate, counts)


def _gate(job: Job, warn: Warn) -> pace.Gate:
    match job.rate:
        case "auto":
            return pace.Gate(pace.DEFAULT_RATE, follow=True, warn=warn)
        case "unlimited":
            return pace.Gate(math.inf, warn=warn)
        case rate:
            return pace.Gate(rate, warn=warn)


def wanted_by(job: Job, flow: RowFlow, this_pass: Pass) -> Wanted:
    """What this invocation asks of what is in the checkpoint."""
    refresh = job.refresh_after
    return Wanted(
        flow.wanted.asked,
        this_pass.id,
        this_pass.began,
        job.in_doubt,
        job.retry_failed,
        job.max_attempts,
        0.0 if refresh is None else this_pass.began - refresh,
    )


def wanted_again(wanted: Wanted) -> list[Any]:
    """What of it makes a list cost otherwise than before; empty for what runs usually want."""
    if not wanted.retry_failed and not wanted.refresh_before and wanted.in_doubt is InDoubt.HOLD:
        return []
    return [wanted.this_pass, wanted.retry_failed, wanted.refresh_before, wanted.in_doubt]


def _check_credits(job: Job, briefing: Briefing) -> None:
    """Raise `UsageError` if credits are capped, and the provider does not tell them."""
    if job.max_credits is not None and briefing.credits is None:
        raise UsageError(
            "--max-credits needs a provider that tells its credits; this one did not.",
            mend="Cap the submissions instead, with --max-runs.",
        )


def stops_in(ready: Prepared, this_pass: Pass, began: float) -> Stops:
    """The caps of this invocation, with what its pass has used."""
    credits = ready.briefing.credits
    if credits is None:
        return Stops(caps_of(ready.job), began)
    stops = Stops(caps_of(ready.job), began, this_pass.spent or Spent(used=credits.used))
    stops.purse.read(credits.used)
    return stops


def caps_of(job: Job) -> Caps:
    return Caps(
        max_runs=math.inf if job.max_runs is None else job.max_runs,
        max_credits=math.inf if job.max_credits is None else job.max_credits,
        max_failures=job.max_failures,
        stop_after=math.inf if job.stop_after is None else job.stop_after,
    )


def most_in_flight(job: Job) -> int:
    return MOST_IN_FLIGHT if job.max_in_flight == "auto" else job.max_in_flight


def flow_of(
    table: Table, mapping: InputMapping, context: Context, asked: tuple[str, ...] | None
) -> RowFlow:
    keys = KeyMaker(context, mapping.labels)
    return RowFlow(table, mapping, keys, Wanted(None if asked is None else frozenset(asked)))


def stored_flow(record: JobRecord, table: Table) -> RowFlow:
    """The flow of a job as the checkpoint holds it: no network is needed to find its results."""
    maps, templates = {}, {}
    for label, fed in record.mapping.items():
        if "column" in fed:
            maps[label] = fed["column"]
        elif "template" in fed:
            templates[label] = fed["template"]
        else:
            templates[label] = fed["value"].replace("{", "{{").replace("}", "}}")
    mapping = resolve(tuple(record.mapping), table.columns, maps, templates)
    return flow_of(table, mapping, record.context, record.asked)


def layout_of(job: Job, table: Table, outputs: tuple[OutputColumn, ...]) -> sink.Layout:
    return sink.Layout(
        table.columns, outputs, job.status_prefix, table.dialect, excel_safe=job.excel_safe
    )


def warn_of_formulas(written: sink.Written, layout: sink.Layout, warn: Warn) -> None:
    """Say how many cells of strangers a spreadsheet would run, unless they were made safe."""
    if written.formulas and not layout.excel_safe:
        begin = "cell begins" if written.formulas == 1 else "cells begin"
        warn(
            f"{written.formulas:,} enriched {begin} like a formula, which a spreadsheet would run;"
            " `run` or `resume` with --excel-safe puts a ' before such text"
        )
