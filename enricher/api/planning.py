"""`plan`: what a run would do; asks only what is free, writes nothing."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from enricher.api.remarks import earlier, remarks_on, remarks_on_reading, seen_of, since_last
from enricher.api.wiring import is_begun, nothing_known, open_input, prepared, wanted_by
from enricher.checkpoint import Pass, Reader
from enricher.feed import Lookup
from enricher.job import Job
from enricher.model import Credits, Mode, Warn
from enricher.plan import Census, Estimate, estimate, requests_per_run
from enricher.providers.base import Hold


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Attributes:
        samples: for each label the text of the first rows that would be sent.
        rate: requests a second.
    """

    census: Census
    estimate: Estimate
    rate: float
    credits: Credits | None
    title: str
    mapping: Mapping[str, Mapping[str, str]]
    samples: Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...]
    since_last: str = ""

    def to_json(self) -> dict[str, Any]:
        """The object of `plan --json`."""
        census = self.census
        return {
            "schema": 1,
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
                "estimate": None,
            },
            "mapping": {label: dict(fed) for label, fed in self.mapping.items()},
        }


SAMPLES = 3


def _learnt(reader: Reader, job: Job, collected: bool) -> float:
    """Requests a run, as the job's latest invocation found if it was in the same mode."""
    summary = reader.latest_summary(job.id)
    if summary is None or reader.job(job.id).options.get("mode", Mode.ASYNC) != job.mode:
        return requests_per_run(job.mode, collected=collected)
    requests = summary["requests"]
    sent = requests["submit"] + requests["poll"]
    return requests_per_run(job.mode, summary["runs"]["submitted"], sent, collected=collected)


async def plan_job(job: Job, environ: Mapping[str, str], warn: Warn) -> Plan:
    """See `api.plan`."""
    table = open_input(job)
    async with prepared(job, table, environ, warn) as ready:
        with ExitStack() as held:
            lookup: Lookup = nothing_known
            this_pass = Pass(0, time.time())
            before = None
            collected = ready.provider.holds is Hold.COLLECT
            per_run = requests_per_run(job.mode, collected=collected)
            if is_begun(job.checkpoint):
                reader = held.enter_context(Reader(job.checkpoint))
                lookup = reader.records
                this_pass = reader.open_pass(job.id) or this_pass
                per_run = _learnt(reader, job, collected)
                before = earlier(reader.census(job.id), seen_of(ready, ready.flow))
            wanted = wanted_by(job, ready.flow, this_pass)
            census = replace(ready.flow, wanted=wanted).census(lookup)
        samples = ready.flow.samples(SAMPLES)
        return Plan(
            census=census,
            estimate=estimate(census.new_runs, ready.gate.rate, per_run=per_run),
            rate=ready.gate.rate,
            credits=ready.briefing.credits,
            title=ready.briefing.title,
            mapping=ready.mapping.described(),
            samples={
                label: tuple(inputs[label] for inputs in samples) for label in ready.mapping.labels
            },
            remarks=(
                *remarks_on_reading(job, table, census),
                *ready.briefing.remarks,
                *remarks_on(census, ready),
            ),
            since_last=since_last(census, before),
        )
