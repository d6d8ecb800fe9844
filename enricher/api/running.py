"""`run` and `resume`: one invocation of a job, from the lock to the output."""

from collections.abc import Mapping
from contextlib import ExitStack

from enricher.api.counting import counted
from enricher.api.ending import ended
from enricher.api.feeder import Feeder
from enricher.api.hooks import Hooks
from enricher.api.invocation import Invocation, begun, with_steps
from enricher.api.outside import REAL, Outside
from enricher.api.planning import check_consent
from enricher.api.shift import Shift
from enricher.api.steps import Claim, Position, check_step
from enricher.api.wiring import Prepared, is_begun, nothing_known, open_input, prepared
from enricher.api.writing import check_replaceable, places_of
from enricher.checkpoint import Reader, Store
from enricher.errors import CheckpointError, EnricherError
from enricher.forecast import Census
from enricher.job import Job
from enricher.report.summary import Summary


async def run_job(
    job: Job,
    environ: Mapping[str, str],
    hooks: Hooks,
    job_id: str,
    outside: Outside = REAL,
    position: Position | None = None,
) -> Summary:
    """Enrich `job.input`, or go on with it; see `api.run`.

    A new checkpoint and its lock are made when nothing but the provider can be in the way any more:
    a mistake leaves no files behind. A step of a waterfall has a `position` among the others.
    """
    started = outside.now()
    table = open_input(job)
    with ExitStack() as held:
        position = position or Position(Claim(held), started)
        known = is_begun(job.checkpoint)
        if known:
            position.claim.take(job.checkpoint)
        _check_replaceable(job, known)
        async with prepared(job, table, environ, hooks.warn, outside) as ready:
            check_step(ready, position)
            if known:
                _check_workspace(ready)
            feeder = held.enter_context(Feeder())
            census = None
            if not known:
                census = await feeder.run(ready.flow.census, feeder.checked(nothing_known))
                check_consent(ready, census, hooks.consent)
                position.claim.take(job.checkpoint)
            with begun(job_id, ready, hooks, outside, feeder, started, position) as invocation:
                return await _story(invocation, census)


async def _story(invocation: Invocation, census: Census | None) -> Summary:
    """Count, work, end. `census` is what a reading of the input found just now."""
    checkpoint, account = invocation.checkpoint, invocation.account
    try:
        await checkpoint.write(Store.save_spent, invocation.stops.purse.spent)
        await checkpoint.save(account.now())  # a large input takes its time to count
        invocation = await with_steps(invocation)
        census = await counted(invocation, census)
        shift = Shift(invocation)
        stop = await shift.work(census)
        return await ended(invocation, stop, lambda: shift.is_signalled)
    except EnricherError as error:
        error.known = account.known()
        raise


def _check_replaceable(job: Job, known: bool) -> None:
    places = places_of(job)
    if not known:
        check_replaceable(job, None, places)
        return
    with Reader(job.checkpoint) as reader:
        check_replaceable(job, reader, places)


def _check_workspace(ready: Prepared) -> None:
    """A shard goes on in the workspace that began it: in another one all is bought once more.

    Raises:
        CheckpointError: the key is of another workspace.
    """
    job = ready.job
    if job.shard is None:
        return
    with Reader(job.checkpoint) as reader:
        began = {reader.job(id_).context.account for id_ in reader.jobs()}
    if began and ready.context.account not in began:
        raise CheckpointError(
            f"{str(job.shard).capitalize()} was begun in the workspace {', '.join(sorted(began))};"
            f" this key is of {ready.context.account or 'none that is told'}.",
            mend="Give the key that it was begun with; to begin it anew, and pay for it again, name"
            " another --state-dir.",
            code="workspace_changed",
        )
