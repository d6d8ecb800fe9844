"""The runs of a workspace: what was asked, when it ends, and how."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import cast
from uuid import UUID

from enricher.simulator import draws
from enricher.simulator.grids import Grid
from enricher.simulator.messages import Json, JsonObject, json_text
from enricher.simulator.settings import Settings


class Mode(StrEnum):
    """The execution modes (BitScale API v1, 6)."""

    SYNC = "sync"
    ASYNC = "async"


class RunStatus(StrEnum):
    """The run states (BitScale API v1, 5.6)."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Fate(Enum):
    """How a run will end. A failure is documented in two forms (BitScale API v1, 5.6)."""

    COMPLETED = "200 with the outputs"
    FAILED = "200 with the status failed"
    FAILED_AS_ERROR = "500 RUN_FAILED"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Kept for good, and so kept small: there may be a million."""

    request_id: str
    grid: Grid
    mode: Mode
    inputs_json: bytes
    output_columns: tuple[str, ...] | None
    submitted_at: float
    ends_at: float
    fate: Fate

    @property
    def grid_id(self) -> str:
        return self.grid.id

    @property
    def inputs(self) -> JsonObject:
        return cast(JsonObject, json.loads(self.inputs_json))


@dataclass(frozen=True)
class Submission:
    """What a valid run request asks for; the inputs in their one canonical text."""

    mode: Mode
    inputs_json: str
    output_columns: tuple[str, ...] | None


def fate_of(settings: Settings, grid: Grid, inputs: Mapping[str, Json]) -> Fate:
    """How a run of these inputs ends, every time: one in two failures is of either form."""
    return _fate(settings, grid, json_text(dict(inputs)))


def seconds_of(settings: Settings, grid: Grid, inputs: Mapping[str, Json]) -> float:
    """How long a run of these inputs lasts, every time."""
    return _seconds(settings, grid, json_text(dict(inputs)))


def _fate(settings: Settings, grid: Grid, inputs_json: str) -> Fate:
    about = (settings.seed, grid.id, inputs_json)
    if draws.fraction("fate", *about) >= settings.fail_rate:
        return Fate.COMPLETED
    return draws.pick((Fate.FAILED, Fate.FAILED_AS_ERROR), "form of failure", *about)


def _seconds(settings: Settings, grid: Grid, inputs_json: str) -> float:
    chance = draws.fraction("duration", settings.seed, grid.id, inputs_json)
    return settings.duration.seconds(chance) * grid.duration_scale


class RunBook:
    """All runs since the start. Every run appends a row to its grid (BitScale API v1, 5.5)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runs: dict[str, Run] = {}
        self._rows: Counter[str] = Counter()
        self._column_sets: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def all(self) -> tuple[Run, ...]:
        """Every run, in the order of submission."""
        return tuple(self._runs.values())

    def find(self, request_id: str) -> Run | None:
        return self._runs.get(request_id)

    def row_count(self, grid: Grid) -> int:
        return grid.row_count + self._rows[grid.id]

    def start(self, grid: Grid, submission: Submission, now: float) -> Run:
        """Begin a run; equal inputs are run again, as the document knows no idempotency."""
        run = Run(
            request_id=self._next_id(grid, submission),
            grid=grid,
            mode=submission.mode,
            inputs_json=submission.inputs_json.encode(),
            output_columns=self._shared(submission.output_columns),
            submitted_at=now,
            ends_at=now + _seconds(self._settings, grid, submission.inputs_json),
            fate=_fate(self._settings, grid, submission.inputs_json),
        )
        self._runs[run.request_id] = run
        self._rows[grid.id] += 1
        return run

    def _next_id(self, grid: Grid, submission: Submission) -> str:
        """Of the content too: after a restart an id of before never means somebody else's run."""
        about = (self._settings.seed, len(self._runs) + 1, grid.id, submission.inputs_json)
        return str(UUID(bytes=draws.digest("request id", *about), version=4))

    def _shared(self, columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """One tuple for all runs that ask for the same columns: a tenth of the memory."""
        return None if columns is None else self._column_sets.setdefault(columns, columns)
