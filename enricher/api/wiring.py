"""From a job to everything that works it off: table, provider, gate, mapping, keys."""

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enricher import pace, sink
from enricher.api.inputs import check_not_input, open_source
from enricher.api.limits import gate_of
from enricher.api.outside import REAL, Outside
from enricher.api.writing import check_layouts, places_of
from enricher.checkpoint import JobRecord, Pass, Reader
from enricher.distinct import Occurrences
from enricher.errors import CheckpointError, InputError, OutputError, UsageError
from enricher.feed import Lookup, RowFlow
from enricher.job import Job
from enricher.mapping import InputMapping, KeyMaker, Wording, resolve
from enricher.model import (
    Context,
    OutputColumn,
    RequestCounts,
    Spent,
    Warn,
)
from enricher.places import Database
from enricher.preflight import asker
from enricher.providers import registry
from enricher.providers.base import BatchProvider, Briefing, Provider
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport
from enricher.record import InDoubt, Record, Wanted
from enricher.schedule import MOST_IN_FLIGHT
from enricher.selection import Choice, Selection, Where
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
    provider: Provider | BatchProvider
    gate: pace.Gate
    counts: RequestCounts


def open_input(job: Job) -> Table:
    """Open the input and check all that a look at the disk can tell about the output.

    Raises:
        InputError: not a table, or it has the status columns already.
        OutputError: the output is the input, or cannot be written.
    """
    table = open_source(job)
    for output in places_of(job):
        check_not_input(output, table, job)
        sink.check_writable(output)
    if not job.only_enriched:
        sink.check_rows(job.output, table)
    file = job.output.file if isinstance(job.output, Database) else None
    if job.checkpoint in (job.output, job.partial, file):
        raise OutputError(
            f"{job.checkpoint} cannot be the output and the checkpoint.",
            mend="Name another file with -o or with --checkpoint.",
        )
    taken = [name for name in sink.status_columns(job.status_prefix) if name in table.columns]
    if taken:
        raise InputError(
            f"{job.input} has a column {taken[0]!r} already: is it an output of enricher?",
            mend="Name the original list, or give the new columns another name with"
            " --status-prefix NAME.",
        )
    return table


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


def nothing_known(_keys: Sequence[bytes]) -> Mapping[bytes, Record]:
    """The lookup of a checkpoint that is not there yet."""
    return {}


@dataclass(frozen=True, slots=True)
class Briefed:
    """A target after everything that can be asked for free."""

    briefing: Briefing
    provider: Provider | BatchProvider
    gate: pace.Gate
    counts: RequestCounts


@asynccontextmanager
async def briefed(
    job: Job,
    environ: Mapping[str, str],
    warn: Warn,
    outside: Outside = REAL,
    gate: pace.Gate | None = None,
) -> AsyncIterator[Briefed]:
    """Ask everything that is free; close the connections at the end.

    Args:
        gate: the limit of who asks more than this; else the job's own.

    Raises:
        KeyProblem, ProviderRefused, ServerGone: see `errors`.
    """
    vendor = registry.find(job.provider)
    key = ApiKey(job.api_key_env or vendor.key_variable, job.api_key_file, environ)
    task = registry.Task(job.target, job.source_id, job.output_columns, environ, job.own_keys)
    counts = RequestCounts()
    connections = max(MOST_IN_FLIGHT, most_in_flight(job))
    async with AsyncExitStack() as held:
        if gate is None:
            gate = shared = gate_of(job, key, environ, warn, outside)
            held.push_async_callback(shared.aclose)
        transport = await held.enter_async_context(
            Transport(job.base_url, connections=connections, network=outside.network)
        )
        provider = vendor.open(transport, key, task)
        ask = asker(gate, job.max_outage, counts, warn, job.base_url)
        yield Briefed(await provider.brief(ask), provider, gate, counts)


@asynccontextmanager
async def prepared(
    job: Job,
    table: Table,
    environ: Mapping[str, str],
    warn: Warn,
    outside: Outside = REAL,
    gate: pace.Gate | None = None,
) -> AsyncIterator[Prepared]:
    """Ask everything that is free, and map the columns; close the connections at the end.

    Raises:
        KeyProblem, ProviderRefused, ServerGone, MappingError: see `errors`.
    """
    async with briefed(job, environ, warn, outside, gate) as told:
        briefing, provider, gate, counts = told.briefing, told.provider, told.gate, told.counts
        _check_credits(job, briefing)
        wording = _wording(job)
        mapping = resolve(
            briefing.labels, table.columns, job.maps, job.templates, briefing.optional, wording
        )
        context = Context(job.provider, job.origin, briefing.account, job.target, job.source_id)
        if not job.steps:  # else it is known only when all of them are
            check_layouts(job, table, briefing.outputs)
        with flow_of(job, table, mapping, context, briefing.asked, briefing.revision) as flow:
            yield Prepared(job, table, briefing, context, mapping, flow, provider, gate, counts)


def _wording(job: Job) -> Wording:
    if job.job_file is None:
        return Wording(word_of(job))
    section = "[steps.inputs]" if job.steps else "[inputs]"
    return Wording(word_of(job), job.job_file.name, section)


def word_of(job: Job) -> str:
    """What the users of the job's provider call what it runs."""
    return registry.find(job.provider).word


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
        flow.wanted.revision,
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


@contextmanager
def flow_of(
    job: Job,
    table: Table,
    mapping: InputMapping,
    context: Context,
    asked: tuple[str, ...] | None,
    revision: str = "",
) -> Iterator[RowFlow]:
    """The flow of the job's rows; it may hold temporary files until the end.

    Raises:
        MappingError, SelectionError: which rows are meant cannot be told.
    """
    keys = KeyMaker(context, mapping.labels)
    wanted = Wanted(None if asked is None else frozenset(asked), revision=revision)
    chosen = _selection(job, table, mapping)
    if not job.no_dedupe:
        yield RowFlow(table, mapping, keys, wanted, chosen, shard=job.shard)
        return
    with Occurrences() as occurrences:
        yield RowFlow(table, mapping, keys, wanted, chosen, occurrences, job.shard)


def _selection(job: Job, table: Table, mapping: InputMapping) -> Selection:
    choice = choice_of(job)
    if not choice.where:
        return Selection(choice, mapping.labels)
    with closing(table.batches()) as batches:
        where = Where(job.where, table.columns, next(batches, None))
    return Selection(choice, mapping.labels, where)


def choice_of(job: Job) -> Choice:
    """Which rows the user named; of a later step only those that earlier ones leave open."""
    if job.step:
        return Choice(require=job.require)
    return Choice(job.where, job.require, job.sample, job.seed or 0, job.offset, job.limit)


@contextmanager
def stored_flow(record: JobRecord, job: Job, table: Table) -> Iterator[RowFlow]:
    """The flow of a job as the checkpoint holds it: no network is needed to find its results."""
    mapping = stored_mapping(record, table)
    with flow_of(job, table, mapping, record.context, record.asked) as flow:
        yield flow


def stored_mapping(record: JobRecord, table: Table) -> InputMapping:
    """The mapping of a job, on a table that may be another now."""
    maps, templates = {}, {}
    for label, fed in record.mapping.items():
        if "column" in fed:
            maps[label] = fed["column"]
        elif "template" in fed:
            templates[label] = fed["template"]
        else:
            templates[label] = fed["value"].replace("{", "{{").replace("}", "}}")
    return resolve(tuple(record.mapping), table.columns, maps, templates)


def shown_columns(
    reader: Reader, record: JobRecord, flow: RowFlow, lookup: Lookup
) -> tuple[OutputColumn, ...]:
    """The output's columns: the target's own order, or where it announces none that of the rows."""
    columns = reader.output_columns(record)
    if record.output_columns:
        return columns
    return flow.by_first_appearance(columns, lookup)
