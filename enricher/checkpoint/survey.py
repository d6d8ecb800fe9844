"""What a checkpoint tells of a job as a whole, while another process writes it too.

Items and results are read through in the order of their keys, a few thousand a transaction: a
picture of millions costs no memory and keeps no transaction open. Keys are digests, so that the
first so many are as good a sample as any.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from enricher.checkpoint.reader import Reader
from enricher.model import Context, Json, State

ATTEMPTS_A_QUERY = 2000
RESULTS_A_QUERY = 100
_LONGEST_EXAMPLE = 2000
"""Characters of inputs that are still shown as an example."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submission: times in seconds since 1970; `message` and `inputs` (JSON) if it failed."""

    in_pass: int
    state: State
    submitted_at: float
    ended_at: float | None
    code: str = ""
    message: str = ""
    inputs: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A pass, in seconds since 1970."""

    id: int
    began: float
    finished: float | None


class Survey(Reader):
    """A reader that goes over everything.

    Raises:
        CheckpointError: as `Reader`.
    """

    def __enter__(self) -> "Survey":
        return self

    def stretches(self, job: str) -> list[Stretch]:
        """The passes of a job, oldest first."""
        rows = self._all(
            "SELECT id, started_at, finished_at FROM passes WHERE job = ? ORDER BY id", (job,)
        )
        return [Stretch(*row) for row in rows]

    def summaries(self, job: str, most: int) -> list[tuple[int, dict[str, Any]]]:
        """Passes and summaries of the last `most` invocations that saved one, oldest first."""
        rows = self._all(
            "SELECT pass, summary FROM invocations WHERE job = ? AND summary != '{}'"
            " ORDER BY id DESC LIMIT ?",
            (job, most),
        )
        return [(in_pass, json.loads(summary)) for in_pass, summary in reversed(rows)]

    def attempts(self, stretches: list[Stretch]) -> Iterator[Attempt]:
        """The newest attempt of every item that these passes submitted."""
        passes = {stretch.id for stretch in stretches}
        failed = f"i.state IN ({int(State.STALLED)}, {int(State.FAILED)})"
        query = (
            "SELECT i.key, i.pass, i.state, i.submitted_at, i.ended_at, coalesce(i.code, ''),"
            f" CASE WHEN {failed} THEN coalesce(substr(i.message, 1, 500), '') ELSE '' END,"
            f" CASE WHEN {failed} AND length(i.inputs) <= {_LONGEST_EXAMPLE} THEN i.inputs"
            " ELSE '' END"
            f" FROM items i WHERE i.key > ? ORDER BY i.key LIMIT {ATTEMPTS_A_QUERY}"
        )
        after = b""
        while rows := self._all(query, (after,)):
            after = rows[-1][0]
            for row in rows:
                if row[1] in passes:
                    yield Attempt(row[1], State(row[2]), *row[3:])

    def superseded(self, this: Stretch) -> Iterator[Attempt]:
        """The attempts of a pass that were followed by another."""
        after: tuple[bytes, int] = (b"", 0)
        while rows := self._all(
            "SELECT key, attempt, pass, state, submitted_at, ended_at FROM attempt_history"
            f" WHERE (key, attempt) > (?, ?) ORDER BY key, attempt LIMIT {ATTEMPTS_A_QUERY}",
            after,
        ):
            after = rows[-1][:2]
            for row in rows:
                if row[2] == this.id:
                    yield Attempt(row[2], State(row[3]), *row[4:])

    def results(self, context: Context) -> Iterator[tuple[frozenset[str] | None, dict[str, Json]]]:
        """Every result of `context`: the outputs that were asked for (`None`: all), and values."""
        found = self._all(
            "SELECT id FROM contexts WHERE provider = ? AND origin = ? AND account = ?"
            " AND target = ? AND source = ?",
            (context.provider, context.origin, context.account, context.target, context.source),
        )
        sets = self._all("SELECT id, columns FROM column_sets")
        asked = {id_: _asked(columns) for id_, columns in sets}
        after = b""
        while rows := self._all(
            "SELECT i.key, i.context, r.column_set, r.outputs FROM items i"
            f" LEFT JOIN results r ON r.id = i.result WHERE i.key > ? ORDER BY i.key"
            f" LIMIT {RESULTS_A_QUERY}",
            (after,),
        ):
            after = rows[-1][0]
            for _, its, column_set, outputs in rows:
                if outputs is not None and (its,) in found:
                    if column_set not in asked:  # a job that has begun meanwhile
                        continue
                    yield asked[column_set], json.loads(outputs)


def _asked(columns: str) -> frozenset[str] | None:
    named = json.loads(columns)
    return None if named is None else frozenset(named)
