"""`enricher plan`."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from enricher.cli.groups import PATH, GroupedCommand
from enricher.cli.options import JOB_OPTIONS, JSON, job_options
from enricher.cli.telling import one_line, tell, warn
from enricher.harmless import printable

if TYPE_CHECKING:
    from enricher.api import Plan

LONGEST_SAMPLE = 60


@click.command(
    "plan", cls=GroupedCommand, short_help="Say what `run` would do; never submits anything."
)
@click.argument("input", type=PATH)
@JOB_OPTIONS
@JSON
def command(as_json: bool, **given: Any) -> int:
    """Say what `run` with the same options would do; never submits anything.

    \b
    enricher plan leads.csv --grid ID
    enricher plan leads.csv --grid ID -m company_name="Company Name" --json
    """
    options = job_options(given)
    from enricher import api

    plan = api.plan(api.job_of(options), warn=warn)
    tell(one_line(plan.to_json()) if as_json else "\n".join(_lines(plan)))
    return 0


def _lines(plan: "Plan") -> list[str]:
    census = plan.census
    lines = [f"Grid:      {printable(plan.title)}", "Mapping:"]
    for label, fed in plan.mapping.items():
        kind, what = next(iter(fed.items()))
        samples = ", ".join(repr(_short(text)) for text in plan.samples[label])
        lines.append(f"  {printable(label)}  ←  {kind} {what!r}   {printable(samples)}")
    lines += [
        f"Rows:      {census.total}: {census.new_rows} to enrich, {census.reused} answered already,"
        f" {census.skipped} skipped{_why(census.left_out)}",
        f"New runs:  {census.new_runs} (rows with equal inputs share one)",
    ]
    if plan.since_last:
        lines.append(f"Input:     {plan.since_last}")
    lines.append(f"Requests:  about {plan.estimate.requests}, {_pace(plan)}")
    if plan.credits:
        lines.append(f"Credits:   {plan.credits.remaining:g} remain; the cost of a run is unknown")
    return [*lines, *(f"Note:      {printable(remark)}" for remark in plan.remarks)]


def _why(left_out: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{n} {why}' for why, n in left_out.items())})" if left_out else ""


def _pace(plan: "Plan") -> str:
    from enricher.api import duration

    if math.isinf(plan.rate):
        return "as fast as the server takes them"
    return f"{duration(plan.estimate.seconds)} at {plan.rate:g} a second"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SAMPLE else text[: LONGEST_SAMPLE - 1] + "…"
