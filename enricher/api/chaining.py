"""A waterfall: the steps of a job, one after another, each an ordinary job over the same rows."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from enricher.api.hooks import Hooks
from enricher.api.orders import OF_ONE_STEP
from enricher.api.outside import REAL, Outside
from enricher.api.running import run_job
from enricher.api.steps import Claim, Position, Relay, check_wanted, step_of
from enricher.api.wiring import is_begun, open_input, prepared
from enricher.errors import UsageError
from enricher.job import OF_A_STEP, Job, flag_of, make_job, waterfall_of
from enricher.report.summary import Summary
from enricher.waterfall import Step

_GOES_ON = (0, 3)
"""Exit codes of a step that is finished."""


async def run_steps(
    job: Job, environ: Mapping[str, str], hooks: Hooks, outside: Outside = REAL
) -> Summary:
    """Work off the steps of `job` in order, for as long as they finish; see `api.run`.

    Everything that can be asked for free is asked of the later ones before the first one spends.
    Each is asked once more when it is its turn: what an account has left is read then.
    """
    first, *rest = job.chain()
    relay = Relay(hooks)
    began = outside.now()
    with ExitStack() as held:
        claim = Claim(held)
        if is_begun(job.checkpoint):
            claim.take(job.checkpoint)
        later, asked = await _asked_for_free(rest, environ, hooks, outside)
        position = Position(claim, began, later=later)
        summary = await run_job(first, environ, relay.hooks, first.id, outside, position)
        for step, requests in zip(rest, asked, strict=True):
            if summary.exit_code not in _GOES_ON:
                break
            position = Position(claim, began, summary.steps, asked=requests)
            summary = await run_job(step, environ, relay.hooks, step.id, outside, position)
    return summary


async def _asked_for_free(
    jobs: Sequence[Job], environ: Mapping[str, str], hooks: Hooks, outside: Outside
) -> tuple[tuple[Step, ...], list[int]]:
    """What later steps announce, and how many requests it took to ask each."""
    steps, asked = [], []
    for job in jobs:
        table = open_input(job)
        async with prepared(job, table, environ, hooks.warn, outside) as ready:
            check_wanted(job, ready.briefing.outputs)
            steps.append(step_of(job, ready.briefing.outputs))
            asked.append(ready.counts.other)
    return tuple(steps), asked


def resumed(
    stored: Mapping[str, Any], given: Mapping[str, Any], each_time: Collection[str] = ()
) -> Job:
    """The first step, with the options of the latest invocation of any and those given anew.

    Args:
        each_time: options that are not kept; a step's own cap on submissions is.

    Raises:
        UsageError: an option is given that can be right for one step only.
    """
    mine = OF_ONE_STEP - {"base_url"}  # which only names a stored one again
    if unfit := [flag_of(name) for name, value in given.items() if value and name in mine]:
        raise UsageError(
            f"{', '.join(unfit)}: is an option of one step, and this job has several.",
            mend="Change it in the job file, and run that.",
        )
    forgotten = set(each_time) - {"max_runs"}
    changes = {name: value for name, value in given.items() if name != "base_url"}
    steps = [
        {**{n: v for n, v in own.items() if n not in forgotten}, **_of_a_step(changes)}
        for own in stored["steps"]
    ]
    kept = {name: value for name, value in stored.items() if name not in forgotten}
    job = make_job({**kept, **changes, "steps": steps, "step": 0})
    return waterfall_of(job.chain())


def _of_a_step(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if name in OF_A_STEP}
