"""The steps of a waterfall as the checkpoint holds them: which rows go on, and what all show."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from enricher.api.steps import step_of
from enricher.api.wiring import shown_columns, stored_flow
from enricher.checkpoint import JobRecord, Reader
from enricher.errors import CheckpointError
from enricher.feed import GoesOn, Lookup, RowFlow
from enricher.job import Job, make_job
from enricher.model import Context, OutputColumn, RowStatus
from enricher.record import Outcome
from enricher.sink import Pair
from enricher.source import Table
from enricher.waterfall import Merged, Step, is_answered

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Link:
    """A step with the flow of its rows and a lookup that gives the outputs too."""

    step: Step
    flow: RowFlow
    lookup: Lookup


def left_open(links: Sequence[Link], *, may: bool = False) -> GoesOn:
    """Tells which rows all of these steps leave open; with `may` also those not yet answered."""

    def begin() -> "Callable[[pl.DataFrame], list[bool]]":
        shown = [link.flow.outcomes_of(link.lookup) for link in links]

        def goes_on(batch: "pl.DataFrame") -> list[bool]:
            open_ = [True] * batch.height
            for link, outcomes_of in zip(links, shown, strict=True):
                ask = link.step.may_go_on if may else link.step.goes_on
                outcomes = outcomes_of(batch)
                open_ = [was and ask(one) for was, one in zip(open_, outcomes, strict=True)]
            return open_

        return goes_on

    return begin


def unanswered(goes_on: GoesOn, own: Link, later: Sequence[Link]) -> GoesOn:
    """The same without rows that failed at `own`, and that a later step has answered since.

    To submit those again (`--retry-failed`) would buy what is there already.
    """
    steps = [link.step for link in later]

    def begin() -> "Callable[[pl.DataFrame], list[bool]]":
        mine = goes_on()
        here, *there = (link.flow.outcomes_of(link.lookup) for link in (own, *later))

        def still(batch: "pl.DataFrame") -> list[bool]:
            outcomes: Iterator[tuple[Outcome, ...]] = zip(
                here(batch), *(show(batch) for show in there), strict=True
            )
            has_answer = [
                failed.status is RowStatus.FAILED and is_answered(steps, rest)
                for failed, *rest in outcomes
            ]
            return [was and not has for was, has in zip(mine(batch), has_answer, strict=True)]

        return still

    return begin if later else goes_on


def folded(table: Table, links: Sequence[Link], merged: Merged) -> Iterator[Pair]:
    """Each batch with what its rows show, all steps together."""
    shown = [link.flow.outcomes_of(link.lookup) for link in links]
    for batch in table.batches():
        each: Iterator[tuple[Outcome, ...]] = zip(*(show(batch) for show in shown), strict=True)
        yield batch, [merged.folded(outcomes) for outcomes in each]


@contextmanager
def stored_links(
    reader: Reader, jobs: Sequence[Job], table: Table, lookup: Lookup
) -> Iterator[list[Link]]:
    """The steps that have begun, up to the first that has not."""
    with ExitStack() as held:
        links = []
        for job in jobs:
            record = record_of(reader, job)
            if record is None:
                break
            flow = held.enter_context(stored_flow(record, job, table))
            columns = shown_columns(reader, record, flow, lookup)
            links.append(Link(step_of(job, columns), flow, lookup))
        yield links


def record_of(reader: Reader, job: Job) -> JobRecord | None:
    """The step as it is stored; `None` before it has begun."""
    try:
        return reader.job(job.id)
    except CheckpointError as error:
        if error.code == "job_missing":
            return None
        raise


def contexts_of(reader: Reader, record: JobRecord) -> list[Context]:
    """What the job asks; of a waterfall, what each step that has begun does."""
    if not record.options.get("steps"):
        return [record.context]
    records = (record_of(reader, job) for job in make_job(record.options).chain())
    return list(dict.fromkeys(found.context for found in records if found is not None))


@dataclass(frozen=True, slots=True)
class Shown:
    """What the output of a job shows: its columns, and a pass over its rows."""

    columns: tuple[OutputColumn, ...]
    outcomes: Callable[[], Iterator[Pair]]


@contextmanager
def stored_rows(
    reader: Reader, record: JobRecord, job: Job, table: Table, lookup: Lookup
) -> Iterator[Shown]:
    """What the checkpoint holds of a job's rows; of a step, what all steps together do."""
    if not job.steps:
        with stored_flow(record, job, table) as flow:
            columns = shown_columns(reader, record, flow, lookup)
            yield Shown(columns, lambda: flow.outcomes(lookup))
        return
    with stored_links(reader, job.chain(), table, lookup) as links:
        yield _shown(links, job, table)


@contextmanager
def rows_now(
    reader: Reader, job: Job, table: Table, earlier: Sequence[Link], own: Link
) -> Iterator[Shown]:
    """The same in mid-job, whose own step is at hand; `own` says nothing of a job without steps."""
    columns = own.step.columns
    if not job.steps:
        yield Shown(columns, lambda: own.flow.outcomes(own.lookup))
        return
    mine = replace(own, flow=replace(own.flow, earlier=None))
    with stored_links(reader, job.chain()[job.step + 1 :], table, own.lookup) as later:
        yield _shown([*earlier, mine, *later], job, table)


def _shown(links: Sequence[Link], job: Job, table: Table) -> Shown:
    merged = Merged([link.step for link in links], job.status_prefix)
    return Shown(merged.columns, lambda: folded(table, links, merged))
