"""`plan` of a waterfall: what each step would do at most."""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from enricher.api.feeder import Feeder
from enricher.api.folding import Link, left_open, record_of, stored_links, unanswered
from enricher.api.planning import Plan, census_of, plan_of
from enricher.api.steps import check_wanted, step_name, step_of
from enricher.api.wiring import Prepared, is_begun, nothing_known, open_input, prepared
from enricher.checkpoint import Pass, Reader
from enricher.job import Job
from enricher.model import Warn


async def plan_steps(job: Job, environ: Mapping[str, str], warn: Warn) -> Plan:
    """The plan of the first step, which holds those of all; see `api.plan`.

    How a row will end at a step is not known before: one that is not answered yet may go on.
    """
    async with AsyncExitStack() as held:
        feeder = held.enter_context(Feeder())  # others may wait in this event loop
        begun = is_begun(job.checkpoint)
        reader = held.enter_context(Reader(job.checkpoint)) if begun else None
        links: list[Link] = []
        plans = []
        for step in job.chain():
            table = open_input(step)
            ready = await held.enter_async_context(prepared(step, table, environ, warn))
            check_wanted(step, ready.briefing.outputs)
            flow = ready.flow
            rows = left_open(links, may=True)
            if reader is not None and step.retry_failed:
                after = job.chain()[step.step + 1 :]
                lookup = partial(reader.records, outputs=True)
                later = held.enter_context(stored_links(reader, after, table, lookup))
                rows = unanswered(rows, Link(step_of(step, ()), flow, lookup), later)
            ready = replace(ready, flow=replace(flow, earlier=rows))
            plan: Plan = await feeder.run(_plan_of, ready, reader, feeder)
            plans.append(plan)
            links.append(_link(step, replace(ready, flow=flow), reader))
        return replace(plans[0], steps=tuple(plans))


def _plan_of(ready: Prepared, reader: Reader | None, feeder: Feeder) -> Plan:
    lookup = feeder.checked(reader.records if reader else nothing_known)
    this_pass = (reader.open_pass(ready.job.id) if reader else None) or Pass(0, time.time())
    plan = plan_of(ready, census_of(ready, lookup, this_pass), reader)
    return replace(plan, step=step_name(ready.job))


def _link(job: Job, ready: Prepared, reader: Reader | None) -> Link:
    record = record_of(reader, job) if reader else None
    columns = ready.briefing.outputs
    if reader is None or record is None:
        return Link(step_of(job, columns), ready.flow, nothing_known)
    lookup = partial(reader.records, outputs=True)
    return Link(step_of(job, reader.output_columns(record)), ready.flow, lookup)
