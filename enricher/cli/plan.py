"""`enricher plan`."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enricher.cli.groups import GroupedCommand
from enricher.cli.options import JOB_OPTIONS
from enricher.cli.ordering import order_of
from enricher.cli.programs import check_summary_file, tell_programs
from enricher.cli.sharding import SHARDS
from enricher.cli.telling import tell, warn
from enricher.harmless import printable

if TYPE_CHECKING:
    from enricher.api import Plan, WorkspaceTold

LONGEST_SAMPLE = 60


@click.command(
    "plan", cls=GroupedCommand, short_help="Say what `run` would do; never submits anything."
)
@click.argument("source", metavar="INPUT")
@JOB_OPTIONS
@SHARDS
def command(source: str, shards: int | None, **given: Any) -> int:
    """Say what `run` with the same options would do; never submits anything.

    It asks the API only what is free, and shows the mapping with sample values, the number of new
    runs, and what they take in requests, time and, where it is known, credits. INPUT and all
    options are those of `enricher run`.

    \b
    enricher plan leads.csv --grid ID
    enricher plan leads.csv --grid ID -m company_name="Company Name" --json
    enricher plan leads.job.toml
    enricher plan leads.csv --grid ID --shards 16 -o manifest.json
    enricher plan leads.csv --api-key-file a.key --grid ID \\
        --api-key-file b.key --grid ID2 --shards 16 -o manifest.json
    """
    manifest = given.get("output")
    if shards and manifest is None:
        raise click.UsageError("--shards needs a place for the manifest: -o manifest.json.")
    if shards and manifest is not None:
        manifest = Path(manifest)
        given["output"] = str(manifest.with_suffix(".merged.csv"))
    order = order_of(source, given, shards)
    from enricher import api

    telling = order.telling
    check_summary_file(telling.summary_file)
    plan = api.plan(order.job, warn=warn)
    workspaces: tuple[WorkspaceTold, ...] = ()
    if shards and manifest is not None:
        workspaces = api.write_manifest(
            manifest.absolute(),
            order.job,
            shards,
            workspaces=order.workspaces,
            overwrite=order.job.overwrite,
            warn=warn,
        )
    several = {"workspaces": [one.to_json() for one in workspaces]} if workspaces else {}
    tell_programs({**plan.to_json(), **several}, telling.as_json, telling.summary_file)
    if not telling.as_json:
        tell("\n".join([*plan_lines(plan), *_workspace_lines(workspaces, shards or 0)]))
        if shards:
            tell(f"Manifest:  {manifest}, {shards} shards, numbered 0 to {shards - 1}")
    return 0


def _workspace_lines(workspaces: "tuple[WorkspaceTold, ...]", shards: int) -> list[str]:
    """Each of several, and what of the plan is about the first of them alone."""
    if not workspaces:
        return []
    lines = ["Keys:      the time is that of one key; each has a limit of its own, and its shards"]
    for number, one in enumerate(workspaces):
        own = [str(index) for index in range(number, shards, len(workspaces))]
        more = ", …" if len(own) > 2 else ""
        left = "" if one.credits is None else f", {one.credits.remaining:,.12g} credits remain"
        lines += [
            f"  shards {', '.join(own[:2])}{more}: {printable(one.account or '?')},"
            f" {printable(one.workspace.target)}{left}",
            _fitting(f"      {printable(str(one.workspace.api_key_file))}"),
        ]
    return lines


def plan_lines(plan: "Plan") -> list[str]:
    """The plan for a person; of a waterfall the plans of its steps."""
    if not plan.steps:
        return _lines(plan)
    lines: list[str] = []
    for step in plan.steps:
        lines += ["", f"Step {printable(step.step)}" + (", at most:" if lines else ":")]
        lines += _lines(step)
    return lines[1:]


def _lines(plan: "Plan") -> list[str]:
    census = plan.census
    head = f"{plan.word[0].upper()}{plan.word[1:]}:"
    lines = [f"{head:<10} {printable(plan.title)}", "Mapping:"]
    for label, fed in plan.mapping.items():
        kind, what = next(iter(fed.items()))
        samples = ", ".join(repr(_short(text)) for text in plan.samples[label])
        lines += [
            _fitting(f"  {printable(label)}  ←  {kind} {what!r}"),
            _fitting(f"      {printable(samples)}"),
        ]
    lines += [
        f"Rows:      {census.total:,}: {census.new_rows:,} to enrich, {census.reused:,} answered"
        f" already, {census.skipped:,} skipped{_why(census.left_out)}",
        f"New runs:  {census.new_runs:,} (rows with equal inputs share one)",
    ]
    if plan.since_last:
        lines.append(f"Input:     {plan.since_last}")
    lines += [f"Requests:  about {plan.estimate.requests:,}", f"Time:      {_pace(plan)}"]
    if plan.credits:
        lines.append(f"Credits:   {plan.credits.remaining:,.12g} remain; {_cost(plan)}")
    return [*lines, *(f"Note:      {printable(remark)}" for remark in plan.remarks)]


def _why(left_out: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{n} {why}' for why, n in left_out.items())})" if left_out else ""


def _pace(plan: "Plan") -> str:
    from enricher.api import duration

    if math.isinf(plan.rate):
        return "as fast as the server takes them"
    words = f"about {duration(plan.estimate.seconds)}, at {plan.rate:g} requests a second"
    if plan.duration is None and plan.census.new_runs:
        return f"{words}, and what the last run takes"
    return words


def _cost(plan: "Plan") -> str:
    needed = plan.credits_needed
    if needed is None or plan.cost is None or plan.credits is None:
        return "the cost of a run is unknown, try `run --sample 20`"
    words = f"about {needed:,.12g} needed, at {plan.cost:.4g} a run as before"
    return words if needed <= plan.credits.remaining else f"{words}: NOT ENOUGH"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SAMPLE else text[: LONGEST_SAMPLE - 1] + "…"


def _fitting(line: str) -> str:
    """A line about foreign text, no longer than a terminal is wide."""
    width = shutil.get_terminal_size((0, 0)).columns
    return line if len(line) <= width or not width else line[: width - 1] + "…"
