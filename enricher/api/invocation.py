"""What one invocation of a job holds, from the begun pass to the closed checkpoint."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from enricher.api.account import Account
from enricher.api.feeder import Feeder
from enricher.api.folding import Link, left_open, stored_links, unanswered
from enricher.api.hooks import Hooks
from enricher.api.opened import OpenCheckpoint
from enricher.api.outside import Moment, Outside
from enricher.api.steps import Position, check_wanted, step_of
from enricher.api.wiring import Prepared, stops_in, wanted_by
from enricher.checkpoint import JobSpec, Reader
from enricher.feed import Lookup, RowFlow
from enricher.job import Job
from enricher.stops import Stops


@dataclass(frozen=True, slots=True)
class Invocation:
    """One life of a job; what is begun.

    Attributes:
        flow: the input, with what is wanted of its rows in this pass.
        stops: the caps, with what the pass has used.
        account: what can be told of it at any moment.
        links: what must stay open until the end.
        earlier: of a waterfall, the steps before this one.
    """

    id: str
    ready: Prepared
    hooks: Hooks
    outside: Outside
    feeder: Feeder
    checkpoint: OpenCheckpoint
    account: Account
    flow: RowFlow
    stops: Stops
    links: ExitStack
    earlier: tuple[Link, ...] = ()

    @property
    def job(self) -> Job:
        return self.ready.job

    @property
    def reader(self) -> Reader:
        """For the event loop."""
        return self.checkpoint.reader

    @property
    def is_followed(self) -> bool:
        """Whether another step of a waterfall goes on with what this one leaves open."""
        return self.job.step + 1 < len(self.job.steps)

    def has_answers(self) -> bool:
        """Whether the pass has ever got a usable answer to a submission."""
        return self.reader.pass_has_answers(self.id)

    def lookup(self, *, outputs: bool = False) -> Lookup:
        """For the thread that reads the input."""
        return self.feeder.checked(partial(self.checkpoint.feeder_reader.records, outputs=outputs))


@contextmanager
def begun(
    job_id: str,
    ready: Prepared,
    hooks: Hooks,
    outside: Outside,
    feeder: Feeder,
    started: Moment,
    position: Position,
) -> Iterator[Invocation]:
    """Begin an invocation, or a step of one; the checkpoint is closed at the end.

    Raises:
        CheckpointError: it cannot be written.
    """
    with OpenCheckpoint(ready.job.checkpoint, outside) as checkpoint, ExitStack() as links, feeder:
        this_pass = checkpoint.begin(_spec(job_id, ready))
        flow = replace(ready.flow, wanted=wanted_by(ready.job, ready.flow, this_pass))
        stops = stops_in(ready, this_pass, position.began.steady)
        account = Account(ready, job_id, started, outside, position.told)
        yield Invocation(
            job_id, ready, hooks, outside, feeder, checkpoint, account, flow, stops, links
        )


def _spec(job_id: str, ready: Prepared) -> JobSpec:
    briefing = ready.briefing
    return JobSpec(
        job_id,
        ready.context,
        briefing.asked,
        options=ready.job.model_dump(mode="json"),
        mapping=ready.mapping.described(),
        output_columns=briefing.outputs,
        revision=briefing.revision,
        rows_before=briefing.rows,
    )


async def with_steps(invocation: Invocation) -> Invocation:
    """The same, which knows the rows that other steps of its waterfall have left to it.

    Raises:
        MappingError: an earlier step wants an output that it does not give.
    """
    if not invocation.job.steps:
        return invocation
    return await invocation.feeder.run(_looked_around, invocation)


def _looked_around(invocation: Invocation) -> Invocation:
    """Find the rows that the steps before leave open, and that none after has answered."""
    job, table, flow = invocation.job, invocation.ready.table, invocation.flow
    reader, lookup = invocation.checkpoint.feeder_reader, invocation.lookup(outputs=True)
    chain = job.chain()
    links = stored_links(reader, chain[: job.step], table, lookup)
    earlier = invocation.links.enter_context(links)
    for before, link in zip(chain, earlier, strict=False):
        check_wanted(before, link.step.columns)
    after = chain[job.step + 1 :] if job.retry_failed else ()
    later = invocation.links.enter_context(stored_links(reader, after, table, lookup))
    rows = unanswered(left_open(earlier), Link(step_of(job, ()), flow, lookup), later)
    return replace(invocation, flow=replace(flow, earlier=rows), earlier=tuple(earlier))
