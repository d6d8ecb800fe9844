"""What a job was told to be on disk, and from which position of the trace on."""

import hashlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from enricher.checkpoint.store import ORPHANED
from enricher.model import (
    Completed,
    Doubted,
    Event,
    Failed,
    GotId,
    Intended,
    Json,
    Stalled,
    State,
    Withdrew,
)
from tests.powerloss.disk import Trace

CHECKPOINT = "job.checkpoint.db"

# --- one item ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What a checkpoint holds of an item; the run's id only while it may still be asked for."""

    state: State
    attempt: int = 1
    run_id: str = ""
    told: tuple[str, str] = ("", "")
    outputs: Json = None

    def after_a_start(self) -> "Known":
        """A submission that was open when the process died is in doubt."""
        if self.state is not State.SUBMITTING:
            return self
        return replace(self, state=State.IN_DOUBT, told=("", ORPHANED))


def known_after(events: Sequence[Event]) -> Known | None:
    """An item after these events of it, by another way than that of the checkpoint."""
    attempts: list[Known] = []
    outputs = None
    for event in events:
        number = len(attempts)
        match event:
            case Intended():
                attempts.append(Known(State.SUBMITTING, number + 1))
            case Withdrew():
                attempts.pop()
            case GotId(run_id=run_id):
                attempts[-1] = Known(State.RUNNING, number, run_id)
            case Stalled(code=code, message=message):
                run_id = attempts[-1].run_id
                attempts[-1] = Known(State.STALLED, number, run_id, (code, message))
            case Doubted(reason=reason):
                attempts[-1] = Known(State.IN_DOUBT, number, told=("", reason))
            case Failed(code=code, message=message):
                attempts[-1] = Known(State.FAILED, number, told=(code, message))
            case Completed():
                attempts[-1] = Known(State.COMPLETED, number)
                outputs = event.outputs
    return replace(attempts[-1], outputs=outputs) if attempts else None


# --- the whole -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    """Something as it was from a moment on that lay between two positions."""

    begun: int
    done: float
    """Infinite if nobody was told."""
    content: str | bytes | None


@dataclass
class Promises:
    """Everything that was acknowledged in a trace.

    `events` are all that the journal took effect of, by item; `acknowledged` the positions at
    which it said so; `versions` the contents of the checkpoint (a digest) and of the outputs.
    """

    trace: Trace
    events: dict[bytes, list[Event]] = field(default_factory=dict)
    acknowledged: list[tuple[int, bytes]] = field(default_factory=list)
    versions: dict[str, list[Version]] = field(default_factory=dict)

    @cached_property
    def histories(self) -> dict[bytes, list[Known | None]]:
        """Each item after none of its events, after one, after two …; asked when all is over."""
        return {
            key: [known_after(events[:n]) for n in range(len(events) + 1)]
            for key, events in self.events.items()
        }

    def acknowledge(self, event: Event) -> None:
        """The journal says that `event` is on disk."""
        key = event.item.key if isinstance(event, Intended) else event.key
        self.events.setdefault(key, []).append(event)
        self.acknowledged.append((self.trace.position, key))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What the block writes is in the checkpoint when it ends, and not before it begins."""
        begun = self.trace.position
        yield
        digest = digest_of(self.trace.folder / CHECKPOINT)
        self._add(CHECKPOINT, Version(begun, self.trace.position, digest))

    @contextmanager
    def output(self, path: Path) -> Iterator[None]:
        """The block writes `path`."""
        begun = self.trace.position
        yield
        self._add(path.name, Version(begun, self.trace.position, path.read_bytes()))

    def removed(self, path: Path) -> None:
        """`path` was removed, and nobody was promised that it stays so."""
        self._add(path.name, Version(self.trace.position - 1, math.inf, None))

    def _add(self, name: str, version: Version) -> None:
        self.versions.setdefault(name, [Version(0, 0, None)]).append(version)

    def sure(self, position: int) -> int:
        """How many versions were told of before `position`."""
        versions = (version for some in self.versions.values() for version in some)
        return sum(0 < version.done <= position for version in versions)

    def allowed(self, name: str, position: int) -> list[str | bytes | None]:
        """What may be found when the power was cut at `position`."""
        versions = self.versions.get(name, [Version(0, 0, None)])
        latest = max(n for n, version in enumerate(versions) if version.done <= position)
        return [v.content for v in versions[latest:] if v.begun <= position]

    def counted(self, position: int) -> dict[bytes, int]:
        """How many events of each item were acknowledged before `position`."""
        counts: dict[bytes, int] = {}
        for told, key in self.acknowledged:
            if told <= position:
                counts[key] = counts.get(key, 0) + 1
        return counts


_TABLES = (
    "contexts",
    "column_sets",
    "output_names",
    "jobs",
    "passes",
    "invocations",
    "outputs_written",
    "items",
    "results",
    "attempt_history",
)


def digest_of(path: Path) -> str | None:
    """All that a checkpoint holds; the same before and after a start, which moves to doubt what
    has no answer. `None` while it has not all its tables."""
    found = hashlib.blake2b(digest_size=16)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            for table in _TABLES:
                rows = connection.execute(_query(table)).fetchall()
                found.update(repr((table, rows)).encode())
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "unable to open" in str(error):
            return None
        raise
    return found.hexdigest()


def _query(table: str) -> str:
    if table != "items":
        return f"SELECT * FROM {table}"
    unanswered = f"state = {State.SUBMITTING:d} OR message = '{ORPHANED}'"
    ended = ("state", "ended_at", "code", "message")
    shown = ", ".join(f"CASE WHEN {unanswered} THEN '' ELSE {column} END" for column in ended)
    return (
        "SELECT key, context, pass, column_set, attempt, submitted_at, run_id, result, inputs,"
        f" {shown} FROM items"
    )
