"""What a step of a waterfall is called, gives and wants; and how several are one invocation."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from enricher.api.hooks import Hooks
from enricher.api.outside import Moment
from enricher.api.wiring import Prepared
from enricher.api.writing import check_layouts
from enricher.checkpoint import hold
from enricher.errors import MappingError
from enricher.job import Job
from enricher.model import OutputColumn, Stop
from enricher.report.summary import StepTold
from enricher.waterfall import Merged, Step


def step_name(job: Job) -> str:
    """`2 scale`: what output and messages call a step."""
    return f"{job.step + 1} {job.provider}"


def step_of(job: Job, columns: Sequence[OutputColumn]) -> Step:
    """What a step gives, and which of it is wanted."""
    named = {column.id for column in columns if {column.id, column.name} & set(job.wanted)}
    return Step(step_name(job), frozenset(named) if job.wanted else None, tuple(columns))


def check_wanted(job: Job, columns: Sequence[OutputColumn]) -> None:
    """Raise `MappingError` if the step wants an output that is none of those it gives."""
    known = {text for column in columns for text in (column.id, column.name)}
    unknown = [name for name in job.wanted if name not in known]
    if unknown and columns:
        listing = ", ".join(repr(column.name) for column in columns)
        raise MappingError(
            f"Step {step_name(job)} wants {unknown[0]!r}, which is none of its outputs: {listing}",
            mend="Name outputs of this step under `wanted`, or leave it out: then any result is"
            " an answer.",
        )


class Claim:
    """The lock of a checkpoint, which all steps hold together until `held` ends."""

    def __init__(self, held: ExitStack) -> None:
        self._held = held
        self._is_taken = False

    def take(self, checkpoint: Path) -> None:
        """Take the lock, once.

        Raises:
            CheckpointInUse: another process has it.
        """
        if not self._is_taken:
            self._held.enter_context(hold(checkpoint))
            self._is_taken = True


@dataclass(frozen=True, slots=True)
class Position:
    """Where a step stands among the others of an invocation.

    Attributes:
        began: when the first one did.
        told: what became of those before.
        later: those after it, with what they announce.
        asked: requests of this step that were sent before it was its turn.
    """

    claim: Claim
    began: Moment
    told: tuple[StepTold, ...] = ()
    later: tuple[Step, ...] = ()
    asked: int = 0


def check_step(ready: Prepared, position: Position) -> None:
    """Make sure, before money is spent, that a step's outputs are what is said of all steps.

    Raises:
        MappingError: it wants an output that is none of those it announces.
        OutputError, SelectionError: the output cannot be written.
    """
    job = ready.job
    ready.counts.other += position.asked
    if job.steps:
        check_wanted(job, ready.briefing.outputs)
    if job.steps and not job.step:
        steps = [step_of(job, ready.briefing.outputs), *position.later]
        check_layouts(job, ready.table, Merged(steps, job.status_prefix).columns)


class Relay:
    """Hands a stop to whichever step is at work, also one that came between two of them."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = replace(hooks, ready=self._ready)
        self._door = hooks
        self._stop_step: Callable[[Stop], None] | None = None
        self._stop: Stop | None = None

    def _ready(self, stop_step: Callable[[Stop], None]) -> None:
        is_first = self._stop_step is None
        self._stop_step = stop_step
        if is_first:
            self._door.ready(self._hear)
        elif self._stop is not None:
            stop_step(self._stop)

    def _hear(self, stop: Stop) -> None:
        self._stop = self._stop or stop
        if self._stop_step is not None:
            self._stop_step(stop)
