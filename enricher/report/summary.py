"""The summary of a job: one object for every outcome, as the public contract words it."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

SCHEMA = 1


class JobOutcome(enum.StrEnum):
    """`outcome` of the summary: whether its rows are what they will be.

    `finished`: every row has ended well, or as well as `allow_failures` asks;
    `finished_with_failures`: some rows are `failed` or `in_doubt`; `stopped`: a cap (of credits,
    runs, seconds) or a person stopped it, and the same call goes on; `interrupted`: it was killed.

    Raises:
        ValueError: there is no such outcome.

    Example:
        >>> summary = enricher.run("companies.csv", grid=GRID, max_runs=1)
        >>> summary.outcome is enricher.JobOutcome.STOPPED
        True
    """

    FINISHED = "finished"
    FINISHED_WITH_FAILURES = "finished_with_failures"
    STOPPED = "stopped"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Not finished, and no process holds the job."""
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class RowTotals:
    """Rows by status now; `reused` of this invocation."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    pending: int = 0
    in_doubt: int = 0
    reused: int = 0
    kept_old: int = 0


@dataclass(frozen=True, slots=True)
class RunTotals:
    """Runs of this invocation; `submitted` were accepted, `in_flight` have not ended."""

    submitted: int = 0
    resubmitted_in_doubt: int = 0
    resubmitted_failed: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class RequestTotals:
    """Requests of this invocation that left."""

    total: int = 0
    submit: int = 0
    poll: int = 0
    other: int = 0
    rate_limited: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True)
class CreditTotals:
    """The account's remaining credits before and after; `None` where not told."""

    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """How a job is going at this moment; for people who watch, not in the object.

    Attributes:
        runs_per_second: that ended lately, `None` while there is nothing to tell.
        rate: requests a second that are allowed; `None` for no limit.
        use: the share of it that was used lately, from 0 to 1.
        credits: what the account has left, as far as is known.
        errors: how often each code was met, the latest last.
    """

    runs_per_second: float | None = None
    rate: float | None = None
    use: float | None = None
    credits: float | None = None
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorTold:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StepTold:
    """What became of one step of a waterfall; as in the summary of a job, of this step alone."""

    job: str | None
    outcome: JobOutcome
    provider: str | None
    target: str | None
    seconds: float | None
    rows: RowTotals
    runs: RunTotals
    requests: RequestTotals
    credits: CreditTotals

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StepTold":
        """Read what a summary holds."""
        return cls(**{**data, "outcome": JobOutcome(data["outcome"]), **_totals(data)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What became of a job, in the fields of `run --json`.

    `rows` are counts of the job's rows by status, now; `runs`, `requests` and `seconds` are of
    this invocation. `credits` are what the workspace has left. `started_at` and `updated_at` are
    ISO 8601 in UTC, `eta_seconds` and `median_wait` seconds.

    Raises:
        TypeError: a field that it does not have.

    Example:
        >>> summary = enricher.run("companies.csv", grid=GRID)
        >>> summary.rows.completed, summary.runs.submitted, summary.to_json()["exit_code"]
        (39, 36, 0)
    """

    schema: int = SCHEMA
    job: str | None = None
    outcome: JobOutcome
    exit_code: int | None = None
    reason_code: str | None = None
    reason: str | None = None
    error: ErrorTold | None = None
    provider: str | None = None
    target: str | None = None
    input: str | None = None
    output: str | None = None
    checkpoint: str | None = None
    started_at: str | None = None
    updated_at: str | None = None
    seconds: float | None = None
    eta_seconds: float | None = None
    rows: RowTotals = field(default_factory=RowTotals)
    runs: RunTotals = field(default_factory=RunTotals)
    requests: RequestTotals = field(default_factory=RequestTotals)
    credits: CreditTotals = field(default_factory=CreditTotals)
    steps: tuple[StepTold, ...] = ()
    median_wait: float | None = None
    """Estimated seconds between a run's end and its retrieval; for people, not in the object."""
    since_last: str = ""
    """How the input changed since the job's last invocation; for people too."""

    live: Live | None = None
    shards: int = 0
    """Of how many shards it is the whole; for people."""

    def to_json(self) -> dict[str, Any]:
        """The object of the public contract."""
        data = dataclasses.asdict(self)
        del data["median_wait"], data["since_last"], data["live"], data["shards"]
        return data

    def to_stored(self) -> dict[str, Any]:
        """The same with `live`, for those who watch from another process."""
        return {**self.to_json(), "live": dataclasses.asdict(self.live) if self.live else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Summary":
        """Read what `to_json` or `to_stored` wrote."""
        error, live = data.get("error"), data.get("live")
        return cls(
            **{
                **data,
                "outcome": JobOutcome(data["outcome"]),
                "error": ErrorTold(**error) if error else None,
                **_totals(data),
                "live": Live(**live) if live else None,
                "steps": tuple(map(StepTold.from_json, data.get("steps", ()))),
            }
        )

    def after(self, earlier: Sequence[StepTold], rows: RowTotals | None = None) -> "Summary":
        """The summary of a waterfall, this one being that of the step that it has come to.

        Args:
            earlier: the steps before.
            rows: what the rows show, all steps together, if that is known already.
        """
        steps = (*earlier, self._as_step())
        return replace(
            self,
            rows=rows or self.rows,
            runs=added(RunTotals, [step.runs for step in steps]),
            requests=added(RequestTotals, [step.requests for step in steps]),
            seconds=round(sum(step.seconds or 0.0 for step in steps), 1),
            steps=steps,
        )

    def _as_step(self) -> StepTold:
        return StepTold(**{field.name: getattr(self, field.name) for field in fields(StepTold)})


Totals = TypeVar("Totals", RowTotals, RunTotals, RequestTotals)


def added(kind: type[Totals], each: Sequence[Totals]) -> Totals:
    """The sum of counts of one kind."""
    return kind(**{f.name: sum(getattr(one, f.name) for one in each) for f in fields(kind)})


def _totals(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rows": RowTotals(**data["rows"]),
        "runs": RunTotals(**data["runs"]),
        "requests": RequestTotals(**data["requests"]),
        "credits": CreditTotals(**data["credits"]),
    }


def utc(seconds: float) -> str:
    """A wall time in seconds since 1970 as ISO 8601 with `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
