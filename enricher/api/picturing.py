"""`report`: a picture of a job, from its checkpoint, while the job runs too."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from enricher.api.outside import REAL
from enricher.api.reading import status_of
from enricher.checkpoint import JobRecord, Stretch, Survey
from enricher.errors import OutputError
from enricher.formats import STANDARD
from enricher.model import State
from enricher.report.charts import Charts, drawn
from enricher.report.figures import Durations, Failures, Fill, Timeline
from enricher.report.page import BEGINS, report_page
from enricher.report.picture import Picture, told_mapping, told_options
from enricher.report.summary import JobOutcome, Summary, utc
from enricher.sink import check_own, replacing

MOST_RESULTS = 100_000
"""Results whose outputs are looked into; their keys are digests, so that they are a fair sample."""

MOST_INVOCATIONS = 50

_FAILED = (State.FAILED, State.STALLED)


def report_to(checkpoint: Path, output: Path | None, job_id: str | None) -> tuple[Path, str]:
    """See `api.report`."""
    path = output or checkpoint.with_name(f"{checkpoint.stem}.report.html")
    is_file = str(path) != STANDARD
    if is_file:
        path = path.absolute()
        refusal = OutputError(
            f"{path} exists and is no report: it is not replaced.",
            mend="Name another file with -o.",
            code="output_exists",
        )
        check_own(path, BEGINS, refusal)
    page = report_page(*pictured(checkpoint, job_id))
    if is_file:
        with replacing(path) as (file, _):
            file.write(page.encode())
    return path, page


def pictured(checkpoint: Path, job_id: str | None) -> tuple[Picture, Charts]:
    """The picture of a job and its charts."""
    picture = picture_of(checkpoint, job_id)
    return picture, drawn(picture.timeline, picture.durations, picture.limit)


def picture_of(checkpoint: Path, job_id: str | None) -> Picture:
    """All that the checkpoint tells of a job; reads through its items and results."""
    status = status_of(checkpoint, job_id)
    with Survey(checkpoint) as survey:
        record = survey.job(status.summary.job)
        stretches = survey.stretches(record.id)
        told = survey.summaries(record.id, MOST_INVOCATIONS)
        invocations = _as_they_ended(
            [(in_pass, Summary.from_json(summary)) for in_pass, summary in told], status.summary
        )
        shown = _shown_pass(stretches, invocations)
        timeline = Timeline(shown.began, _end(status.summary, shown, invocations))
        durations, failures = Durations(), Failures()
        _count(survey, stretches, shown, timeline, durations, failures)
        return Picture(
            made_at=utc(REAL.clock()),
            summary=status.summary,
            doubts=status.doubts,
            second_charges=status.second_charges,
            evidence=status.evidence if status.doubts else (),
            invocations=[summary for _, summary in invocations],
            timeline=timeline,
            durations=durations,
            failures=failures,
            fill=_filled(survey, record),
            rate=record.options["rate"],
            limit=_limit(record, shown, invocations),
            passes=len(stretches),
            options=told_options(record.options),
            mapping=told_mapping(record.mapping),
        )


def _as_they_ended(
    invocations: list[tuple[int, Summary]], latest: Summary
) -> list[tuple[int, Summary]]:
    """Whoever was killed could not say so: what is not the latest runs no more."""
    ended = [
        (
            in_pass,
            replace(one, outcome=JobOutcome.INTERRUPTED)
            if one.outcome is JobOutcome.RUNNING
            else one,
        )
        for in_pass, one in invocations
    ]
    return [*ended[:-1], (ended[-1][0], latest)] if ended else []


def _shown_pass(stretches: list[Stretch], invocations: list[tuple[int, Summary]]) -> Stretch:
    """The latest pass that submitted something: nights that find everything done show nothing."""
    busy = {in_pass for in_pass, summary in invocations if summary.runs.submitted}
    return next((one for one in reversed(stretches) if one.id in busy), stretches[-1])


def _end(latest: Summary, shown: Stretch, invocations: list[tuple[int, Summary]]) -> float:
    """When the timeline ends: now for a job that runs, else when the pass was last heard of."""
    if latest.outcome is JobOutcome.RUNNING and invocations[-1][0] == shown.id:
        return REAL.clock()
    heard = (
        datetime.fromisoformat(summary.updated_at).timestamp()
        for in_pass, summary in invocations
        if in_pass == shown.id and summary.updated_at
    )
    return max(shown.began, shown.finished or 0.0, *heard) + 1


def _limit(
    record: JobRecord, shown: Stretch, invocations: list[tuple[int, Summary]]
) -> float | None:
    """Requests per second that were allowed last: the server may lower what was asked for."""
    for in_pass, summary in reversed(invocations):
        if in_pass == shown.id and summary.live and summary.live.rate is not None:
            return summary.live.rate
    rate = record.options["rate"]
    return float(rate) if isinstance(rate, int | float) else None


def _count(
    survey: Survey,
    stretches: list[Stretch],
    shown: Stretch,
    timeline: Timeline,
    durations: Durations,
    failures: Failures,
) -> None:
    for attempt in survey.attempts(stretches):
        if attempt.in_pass == shown.id:
            timeline.add(attempt.submitted_at, attempt.ended_at)
        if attempt.state is State.COMPLETED and attempt.ended_at is not None:
            durations.add(attempt.ended_at - attempt.submitted_at)
        if attempt.state in _FAILED:
            inputs = json.loads(attempt.inputs) if attempt.inputs else {}
            failures.add(attempt.code, attempt.message, inputs)
    for attempt in survey.superseded(shown):
        timeline.add(attempt.submitted_at, attempt.ended_at)


def _filled(survey: Survey, record: JobRecord) -> Fill:
    fill = Fill({column.id: column.name for column in survey.output_columns(record)})
    for asked, outputs in survey.results(record.context):
        if fill.results == MOST_RESULTS:
            fill.capped = True
            break
        fill.add(asked, outputs)
    return fill
