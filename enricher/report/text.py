"""The same for people: short lines for a terminal."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enricher.formats import Ragged
from enricher.harmless import printable
from enricher.model import StopCode
from enricher.places import is_standard, marked, parse_place
from enricher.report.summary import JobOutcome, StepTold, Summary


@dataclass(frozen=True, slots=True)
class Doubt:
    """A submission whose answer was lost; `submitted_at` ISO 8601 in UTC."""

    inputs: Mapping[str, str]
    submitted_at: str
    reason: str


_HEADLINES: Mapping[JobOutcome, str] = {
    JobOutcome.FINISHED: "Finished.",
    JobOutcome.FINISHED_WITH_FAILURES: "Finished, but not every row has a result.",
    JobOutcome.STOPPED: "Stopped; everything acknowledged is kept.",
    JobOutcome.RUNNING: "Running.",
    JobOutcome.INTERRUPTED: "Interrupted; everything acknowledged is kept.",
    JobOutcome.ERROR: "Could not start or go on; nothing is lost.",
}


def summary_lines(summary: Summary, *, looked_up: bool = False) -> list[str]:
    """A summary for people; the last line is what to type next, if there is something.

    Args:
        looked_up: it is read by somebody who did not see the command that it is about.
    """
    rows, requests = summary.rows, summary.requests
    lines = [_HEADLINES[summary.outcome]]
    if summary.reason:
        lines.append(f"  reason      {printable(summary.reason)}")
    states = ("completed", "failed", "skipped", "in_doubt", "pending")
    told = [f"{getattr(rows, s):,} {s.replace('_', ' ')}" for s in states if getattr(rows, s)]
    lines.append(f"  rows        {rows.total:,}: {', '.join(told) or 'none'}")
    lines += [_step_line(number, step) for number, step in enumerate(summary.steps, 1)]
    if summary.since_last:
        lines.append(f"  input       {printable(summary.since_last)}")
    lines.append(f"  runs        {_runs(summary, looked_up)}")
    submitted = summary.runs.submitted
    per_run = f", {requests.total / submitted:.2f} a run" if submitted else ""
    lines.append(
        f"  requests    {requests.total:,}{per_run}, {requests.rate_limited:,} refused for the rate"
    )
    credits = summary.credits
    if credits.before is not None and credits.after is not None:
        lines.append(f"  credits     {credits.before:,.12g} before, {credits.after:,.12g} now")
    if summary.seconds is not None:
        lines.append(f"  time        {duration(summary.seconds)}{_wait(summary)}")
    kept = "manifest  " if summary.shards else "checkpoint"
    lines += [_output_line(summary), f"  {kept}  {printable(summary.checkpoint or '')}"]
    if hint := _next_command(summary):
        lines.append(hint)
    return lines


def _runs(summary: Summary, looked_up: bool) -> str:
    """Of one command, while rows are those of the job: who looks it up must be told so."""
    runs, reused = summary.runs, summary.rows.reused
    by = " by the last command" if looked_up and summary.outcome is not JobOutcome.RUNNING else ""
    told = [f"{runs.submitted:,} submitted{by}"]
    told += [f"{runs.in_flight:,} in flight"] if runs.in_flight else []
    rows = "1 row" if reused == 1 else f"{reused:,} rows"
    told += [f"{rows} answered without one"] if reused else []
    return ", ".join(told)


def _step_line(number: int, step: StepTold) -> str:
    rows, name = step.rows, printable(step.provider or "")
    states = ("completed", "failed", "in_doubt", "pending")
    told = [f"{getattr(rows, s):,} {s.replace('_', ' ')}" for s in states if getattr(rows, s)]
    submitted = f"{step.runs.submitted:,} runs submitted"
    return f"  step {number:<6} {name}: {', '.join([*told, submitted])}"


def headline(summary: Summary) -> str:
    """What became of the job, in one sentence."""
    return _HEADLINES[summary.outcome]


def next_steps(summary: Summary) -> list[tuple[str, str]]:
    """What to type next: in words, and the command."""
    if summary.outcome is JobOutcome.RUNNING:
        checkpoint = shlex.quote(summary.checkpoint or "")
        return [("Write the output as far as it is", f"enricher export {checkpoint}")]
    steps = [line.partition(":  ") for line in _next_command(summary).splitlines()]
    return [(words, command) for words, _, command in steps]


def ragged_line(ragged: Ragged, count: int) -> str:
    """What became of so many rows with too many or too few fields."""
    rows = "row" if count == 1 else "rows"
    if ragged is Ragged.SKIP:
        return f"{rows} with too many or too few fields left out of the output too (--ragged skip)"
    return f"{rows} with too few fields filled up with empty ones (--ragged pad)"


def _wait(summary: Summary) -> str:
    if summary.median_wait is None:
        return ""
    return f"; results lay ready for about {duration(summary.median_wait)} (median)"


def _output_line(summary: Summary) -> str:
    if not summary.output:
        return "  output      none of its own: `enricher merge` writes that of all shards"
    if summary.outcome is not JobOutcome.STOPPED:
        return f"  output      {printable(summary.output)}"
    if summary.reason_code == StopCode.INPUT_CHANGED:
        return "  output      none yet: the input changed; `enricher export` writes what there is"
    place = parse_place(summary.output)
    partial = marked(place, "partial")
    if partial is None:
        where = "standard output" if is_standard(place) else "a database"
        return f"  output      none yet: {where} gets finished tables only"
    return f"  so far      {printable(str(partial))}"


def _next_command(summary: Summary) -> str:
    if summary.shards:
        return _next_of_shards(summary)
    checkpoint = shlex.quote(summary.checkpoint or "")
    if summary.reason_code == StopCode.MAX_CREDITS:
        return f"Go on with a higher cap:  enricher resume {checkpoint} --max-credits N"
    if summary.outcome in (JobOutcome.STOPPED, JobOutcome.INTERRUPTED):
        return f"Go on with:  enricher resume {checkpoint}"
    lines = []
    if summary.rows.failed:
        lines.append(f"Send the failed again with:  enricher resume {checkpoint} --retry-failed")
    if summary.rows.in_doubt:
        lines += [
            f"See the doubts with:  enricher status {checkpoint}",
            f"Send them again with:  enricher resume {checkpoint} --in-doubt retry",
        ]
    return "\n".join(lines)


def _next_of_shards(summary: Summary) -> str:
    if summary.outcome in (JobOutcome.STOPPED, JobOutcome.INTERRUPTED):
        return "Go on with:  the same command"
    lines = []
    if summary.rows.failed:
        lines.append("Send the failed again with:  the same command and --retry-failed")
    if summary.rows.in_doubt:
        lines.append("Send the doubts again with:  the same command and --in-doubt retry")
    return "\n".join(lines)


def doubt_lines(doubts: Sequence[Doubt], rows: int = 0) -> list[str]:
    """The submissions in doubt, for a person who decides about them; so many `rows` share them."""
    if not doubts:
        return []
    shared = f" ({rows:,} rows in all)" if rows > len(doubts) else ""
    head = (
        f"In doubt: {_counted(len(doubts))} whose answer was lost{shared}. Each may have been paid."
    )
    return [head, *_listed(doubts)]


def second_charge_lines(doubts: Sequence[Doubt]) -> list[str]:
    """The submissions that may have been paid, and were sent again all the same."""
    if not doubts:
        return []
    one = len(doubts) == 1
    what = "was in doubt and was sent again" if one else "were in doubt and were sent again"
    head = f"Possibly paid twice: {_counted(len(doubts))} that {what}."
    return [head, *_listed(doubts)]


def _counted(submissions: int) -> str:
    return f"{submissions:,} submission{'' if submissions == 1 else 's'}"


def _listed(doubts: Sequence[Doubt]) -> list[str]:
    """All of them: whoever decides about money must see each."""
    lines = []
    for doubt in doubts:
        inputs = ", ".join(f"{label}={value}" for label, value in doubt.inputs.items())
        lines.append(f"  {doubt.submitted_at}  {printable(inputs)}  ({printable(doubt.reason)})")
    return lines


def duration(seconds: float) -> str:
    """`45 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    for size, name, smaller, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {small_name}"
    return f"{whole // 60} min {whole % 60} s"
