"""What must hold after every life, and of the whole story at its end."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enricher.model import State
from tests.simulation.disaster import KEYS
from tests.simulation.faults import Effect
from tests.simulation.server import canonical
from tests.simulation.story import Life, Story
from tests.simulation.witness import DURABLE_AFTER, Submission

INPUT_COLUMNS = 3
_JUST_NOW = 0.3
"""Seconds: what was still under way when a second signal came is committed until the end, and a
commit takes up to 90 ms here."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the checkpoint holds of one item."""

    state: State
    run_id: str
    outputs: str


@dataclass
class Judge:
    """Looks at what each life left behind.

    Args:
        expected: the output of a job that nothing happened to.
    """

    story: Story
    expected: bytes
    may_doubt: set[str] = field(default_factory=set)
    _completed: dict[str, str] = field(default_factory=dict)
    _submitting: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._witness = self.story.witness

    # --- after a life ------------------------------------------------------------------------

    def after(self, life: Life) -> None:
        """Look at the disk as the life left it."""
        kept = kept_in(self.story.job.checkpoint)
        died_at = self.story.loop.time()
        mine = [s for s in self._witness.submissions if s.life == life.number]
        self._no_key_is_shown(life)
        self._nothing_bought_is_forgotten(kept)
        self._no_result_is_lost(kept)
        submitting = {inputs for inputs, one in kept.items() if one.state is State.SUBMITTING}
        if life.how == "killed":
            self._ids_were_durable(submitting, mine, died_at)
            self.may_doubt |= submitting
        elif forgotten := submitting - self._submitting:
            self._blame(f"left as if they were being submitted: {sorted(forgotten)}")
        self._submitting = submitting
        self._doubts_have_a_cause(life, kept, mine, died_at)
        if life.summary is not None and life.summary.exit_code != 1:
            self._the_table_is_whole(life)

    def _no_key_is_shown(self, life: Life) -> None:
        texts = {**life.disk, "warnings": "\n".join([*life.warnings, life.how]).encode()}
        for name, data in texts.items():
            if any(key.encode() in data for key in KEYS):
                self._blame(f"a key stands in {name}")

    def _nothing_bought_is_forgotten(self, kept: Mapping[str, Kept]) -> None:
        for inputs, runs in self.story.server.bought.items():
            if inputs not in kept:
                self._blame(f"bought {len(runs)} times, and nothing on disk knows: {inputs}")

    def _no_result_is_lost(self, kept: Mapping[str, Kept]) -> None:
        for inputs, outputs in self._completed.items():
            if inputs not in kept or kept[inputs].outputs != outputs:
                self._blame(f"a result was there, and is gone: {inputs}")
        self._completed.update((i, one.outputs) for i, one in kept.items() if one.outputs)

    def _ids_were_durable(
        self, submitting: set[str], mine: list[Submission], died_at: float
    ) -> None:
        for one in mine:
            known = one.got_id and one.answered_at < died_at - DURABLE_AFTER
            if known and one.inputs in submitting and one.effect is Effect.NONE:
                self._blame(f"its id came long before the end, and is not on disk: {one.inputs}")

    def _doubts_have_a_cause(
        self, life: Life, kept: Mapping[str, Kept], mine: list[Submission], died_at: float
    ) -> None:
        was_stopped = not life.is_finished
        for one in mine:
            unanswered = one.answered_at > died_at - _JUST_NOW
            if one.effect is Effect.DOUBT or (was_stopped and unanswered):
                self.may_doubt.add(one.inputs)
        for inputs, one_kept in kept.items():
            if one_kept.state is State.IN_DOUBT and inputs not in self.may_doubt:
                self._blame(f"in doubt without a cause: {inputs}")

    def _the_table_is_whole(self, life: Life) -> None:
        """Every row once, in order; and the summary tells of the same rows."""
        job = self.story.job
        path = job.output if life.is_finished else job.partial
        data = life.disk.get(path.name)
        if data is None:
            self._blame(f"no {path.name} after {life.how}")
            return
        rows = cells(data)[1:]
        if [tuple(row[:INPUT_COLUMNS]) for row in rows] != list(self.story.disaster.rows):
            self._blame("the rows of the output are not those of the input")
            return
        counted = life.summary.rows if life.summary else None
        for status in ("completed", "failed", "skipped", "pending", "in_doubt"):
            number = sum(row[-2] == status for row in rows)
            if getattr(counted, status) != number:
                self._blame(f"{number} rows are {status}; told: {getattr(counted, status)}")

    # --- at the end --------------------------------------------------------------------------

    def at_the_end(self) -> None:
        """Judge the output of the finished job."""
        last = self.story.lives[-1]
        if not last.is_finished:
            self._blame(f"not finished after {len(self.story.lives)} lives: {last.how}")
            return
        self._nothing_is_paid_twice()
        self._nothing_is_left_behind()
        data = last.disk.get(self.story.job.output.name, b"")
        found, right = records(data), records(self.expected)
        if len(found) != len(right) or found[0] != right[0]:
            self._blame("the header or the number of rows is not that of an uninterrupted job")
            return
        for row, (ours, theirs) in enumerate(zip(found[1:], right[1:], strict=True)):
            if ours != theirs:
                self._explain(row, cells(ours)[0], cells(theirs)[0])

    def _nothing_is_paid_twice(self) -> None:
        superseded = superseded_in(self.story.job.checkpoint)
        for inputs, runs in self.story.server.bought.items():
            if len(runs) - 1 > superseded.get(inputs, 0):
                self._blame(f"bought {len(runs)} times, in silence: {inputs}")

    def _nothing_is_left_behind(self) -> None:
        ended = (State.COMPLETED, State.FAILED, State.IN_DOUBT)
        for inputs, one in kept_in(self.story.job.checkpoint).items():
            if one.state not in ended:
                self._blame(f"still {one.state.name} when all is over: {inputs}")

    def _explain(self, row: int, ours: list[str], theirs: list[str]) -> None:
        """A row that is not as in the uninterrupted job: is there a reason?"""
        number, name, site = self.story.disaster.rows[row]
        inputs = canonical({"company_name": name, "website": site})
        status, error = ours[-2:]
        where = f"row {row + 1} ({number})"
        if status not in ("failed", "in_doubt"):
            self._blame(f"{where} is {status}: {ours}, not {theirs}")
            return
        if any(ours[INPUT_COLUMNS:-2]):
            self._blame(f"{where} is {status} and has outputs: {ours}")
        code = error.partition(":")[0]
        allowed = set(self._witness.may_fail.get(inputs, ()))
        if theirs[-2] == "failed":
            allowed.add(theirs[-1].partition(":")[0])
        if status == "in_doubt":
            allowed = {"IN_DOUBT"} if inputs in self.may_doubt else set()
        if code not in allowed:
            self._blame(f"{where} is {status} without a cause: {error}; right: {theirs[-2:]}")

    def _blame(self, what: str) -> None:
        self._witness.blame(what)


# --- reading -------------------------------------------------------------------------------------


def kept_in(checkpoint: Path) -> dict[str, Kept]:
    """Items by their inputs. Two of the same inputs would be bought twice."""
    kept: dict[str, Kept] = {}
    rows = _query(
        checkpoint,
        "SELECT i.inputs, i.state, i.run_id, r.outputs FROM items i"
        " LEFT JOIN results r ON r.id = i.result",
    )
    for inputs, state, run_id, outputs in rows:
        name = canonical(json.loads(inputs))
        if name in kept:
            raise AssertionError(f"two items of the same inputs: {name}")
        kept[name] = Kept(State(state), run_id or "", outputs or "")
    return kept


def superseded_in(checkpoint: Path) -> dict[str, int]:
    """Earlier attempts by inputs: those that were resubmitted openly."""
    rows = _query(
        checkpoint,
        "SELECT i.inputs, count(*) FROM attempt_history h JOIN items i USING (key) GROUP BY key",
    )
    return {canonical(json.loads(inputs)): number for inputs, number in rows}


def _query(checkpoint: Path, sql: str) -> list[tuple[Any, ...]]:
    if not checkpoint.exists() or not checkpoint.stat().st_size:
        return []
    with closing(sqlite3.connect(f"{checkpoint.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # killed before there were any
                return []
            raise


def cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def records(data: bytes) -> list[bytes]:
    """The bytes of each record; a line end in quotes ends none."""
    return list(_records(data))


def _records(data: bytes) -> Iterator[bytes]:
    begun = b""
    for line in data.splitlines(keepends=True):
        begun += line
        if begun.count(b'"') % 2 == 0:
            yield begun
            begun = b""
    if begun:
        yield begun
