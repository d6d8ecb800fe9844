"""`plan`: what a run would do; asks only what is free, writes nothing."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from enricher.api.engines import usual_requests
from enricher.api.feeder import Feeder
from enricher.api.remarks import (
    earlier,
    remarks_on,
    remarks_on_purchase,
    remarks_on_reading,
    remarks_on_target,
    seen_of,
    since_last,
)
from enricher.api.wiring import (
    Prepared,
    is_begun,
    nothing_known,
    open_input,
    prepared,
    wanted_by,
    word_of,
)
from enricher.checkpoint import Pass, Reader
from enricher.errors import CannotGoOn
from enricher.feed import Lookup
from enricher.forecast import ASK_ABOVE, Census, Estimate, estimate
from enricher.job import Job
from enricher.model import Credits, Mode, Warn
from enricher.pace import Gate
from enricher.providers.base import BatchProvider


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `estimate` has the requests and the seconds.

    Raises:
        TypeError: a field that it does not have.

    Example:
        >>> plan = enricher.plan("companies.csv", grid=GRID, limit=10)
        >>> plan.census.new_runs, plan.to_json()["rows"]["skipped"], plan.rate  # requests a second
        (10, 30, 500.0)

    Attributes:
        census: how many rows there are, are new, are answered already or skipped, and how many
            `new_runs` they need.
        credits: what the workspace has left, and has used.
        samples: for each label the text of the first rows that would be sent.
        rate: requests a second.
        duration: seconds that a run takes, as runs of this target took; `None` while unknown. The
            estimate's seconds hold it once: a list cannot end before its last run.
        word: what the users of the provider call what is run, `title` the name of this one.
        cost: credits of a run, as earlier runs of this target cost; `None` while unknown.
        steps: of a waterfall the plans of all steps, the first one's being this one; a later step
            has at most so many rows to enrich. `step` is what one is called.
    """

    census: Census
    estimate: Estimate
    rate: float
    credits: Credits | None
    cost: float | None
    word: str
    title: str
    mapping: Mapping[str, Mapping[str, str]]
    samples: Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...]
    duration: float | None = None
    since_last: str = ""
    step: str = ""
    steps: tuple["Plan", ...] = ()

    @property
    def credits_needed(self) -> float | None:
        """Credits that the new runs will cost, by the cost of earlier ones."""
        return None if self.cost is None else round(self.cost * self.census.new_runs, 2)

    def to_json(self) -> dict[str, Any]:
        """The object of `plan --json`; of a waterfall the sum of its steps, and each of them."""
        if not self.steps:
            return {"schema": 1, **self._told()}
        told = [plan._told() for plan in self.steps]
        summed = {name: sum(one[name] for one in told) for name in _ADD_UP}
        steps = [{"step": plan.step, **one} for plan, one in zip(self.steps, told, strict=True)]
        return {"schema": 1, **told[0], **summed, "steps": steps}

    def _told(self) -> dict[str, Any]:
        census = self.census
        return {
            "rows": {
                "total": census.total,
                "new": census.new_rows,
                "reused": census.reused,
                "skipped": census.skipped,
            },
            "new_runs": census.new_runs,
            "requests": self.estimate.requests,
            "seconds": self.estimate.seconds,
            "credits": {
                "before": self.credits.remaining if self.credits else None,
                "estimate": self.credits_needed,
            },
            "mapping": {label: dict(fed) for label, fed in self.mapping.items()},
        }


SAMPLES = 3
_ADD_UP = ("new_runs", "requests", "seconds")


def _learnt(reader: Reader, job: Job, usual: Callable[..., float]) -> float:
    """Requests a run, as the job's latest invocation found if it was in the same mode."""
    summary = reader.latest_summary(job.id)
    if summary is None or reader.job(job.id).options.get("mode", Mode.ASYNC) != job.mode:
        return usual()
    told = summary["steps"][-1] if summary["steps"] else summary
    requests = told["requests"]
    sent = requests["submit"] + requests["poll"]
    return usual(told["runs"]["submitted"], sent)


async def plan_job(
    job: Job, environ: Mapping[str, str], warn: Warn, gate: Gate | None = None
) -> Plan:
    """See `api.plan`."""
    table = open_input(job)
    async with prepared(job, table, environ, warn, gate=gate) as ready:
        with ExitStack() as held:
            reader = None
            lookup: Lookup = nothing_known
            this_pass = Pass(0, time.time())
            if is_begun(job.checkpoint):
                reader = held.enter_context(Reader(job.checkpoint))
                lookup, this_pass = reader.records, reader.open_pass(job.id) or this_pass
            feeder = held.enter_context(Feeder())  # others may wait in this event loop
            census = await feeder.run(census_of, ready, feeder.checked(lookup), this_pass)
            return plan_of(ready, census, reader)


def census_of(ready: Prepared, lookup: Lookup, this_pass: Pass) -> Census:
    """Read the input once, and count what this pass would do."""
    wanted = wanted_by(ready.job, ready.flow, this_pass)
    return replace(ready.flow, wanted=wanted).census(lookup)


def plan_of(ready: Prepared, census: Census, reader: Reader | None = None) -> Plan:
    """The plan for what was counted; `reader` tells what earlier runs needed."""
    job = ready.job
    usual = usual_requests(ready)
    per_run = usual()
    before, duration = None, None
    if isinstance(ready.provider, BatchProvider):
        duration = 0.0  # its requests are answered when their runs have ended
    elif reader:
        duration = reader.duration_of_a_run(ready.context)
    if reader:
        per_run = _learnt(reader, job, usual)
        before = earlier(reader.census(job.id), seen_of(ready, ready.flow))
    samples = ready.flow.samples(SAMPLES)
    return Plan(
        census=census,
        estimate=estimate(census.new_runs, ready.gate.rate, per_run=per_run, last=duration or 0.0),
        rate=ready.gate.rate,
        credits=ready.briefing.credits,
        cost=reader.cost_of_a_run(ready.context) if reader else None,
        word=word_of(job),
        title=ready.briefing.title,
        mapping=ready.mapping.described(),
        samples={
            label: tuple(inputs[label] for inputs in samples) for label in ready.mapping.labels
        },
        remarks=(
            *(() if job.step else remarks_on_reading(job, ready.table, census)),
            *remarks_on_target(ready, reader),
            *remarks_on(census, ready),
            *remarks_on_purchase(census, ready),
        ),
        duration=duration,
        since_last=since_last(census, before),
    )


def check_consent(
    ready: Prepared,
    census: Census,
    consent: Callable[[Plan], bool] | None,
    reader: Reader | None = None,
) -> None:
    """Ask a person before many runs are paid; nothing is asked where there is no person.

    Raises:
        CannotGoOn: the answer was no.
    """
    most = math.inf if ready.job.max_runs is None else ready.job.max_runs
    if consent is None or min(census.new_runs, most) <= ASK_ABOVE:
        return
    if not consent(plan_of(ready, census, reader)):
        more = "more " if ready.job.step else ""
        raise CannotGoOn(f"Nothing {more}was submitted: the answer was no.", code="declined")
