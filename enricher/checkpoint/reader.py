"""Reading a checkpoint, while another process writes it too.

Every call is one short transaction: a reader that stays open lets the write-ahead log grow
without end.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from enricher.checkpoint.batches import split_keys
from enricher.checkpoint.exports import was_exported
from enricher.checkpoint.files import connect_reader, unreadable
from enricher.checkpoint.passes import CONTINUED, Pass
from enricher.errors import CheckpointError
from enricher.model import (
    Batch,
    Context,
    Item,
    OutputColumn,
    State,
)
from enricher.places import Place
from enricher.record import Record

_STATES = {int(state): state for state in State}
_decode = json.JSONDecoder().raw_decode

_KEYS_A_QUERY = 500
"""Below the 999 parameters that old builds of SQLite allow."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the checkpoint holds it. `options`, `mapping` and `census` are JSON objects."""

    id: str
    context: Context
    asked: tuple[str, ...] | None
    options: Mapping[str, Any]
    mapping: Mapping[str, Any]
    output_columns: tuple[OutputColumn, ...]
    census: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An attempt that has not ended; `submitted_at` in seconds since 1970."""

    key: bytes
    state: State
    run_id: str
    submitted_at: float
    inputs: Mapping[str, str]
    reason: str


_RUNS_ASKED = 1000
"""Keys are digests, so that the first so many are as good a sample as any."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A batch that is not answered; `formed_at` in seconds since 1970."""

    batch: Batch
    formed_at: float


class Reader:
    """All reading of one checkpoint.

    Raises:
        CheckpointError: the file is missing, not ours or unreadable (from every method).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sql = connect_reader(path)
        self._in_snapshot = threading.Lock()

    def close(self) -> None:
        self._sql.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- jobs --------------------------------------------------------------------------------

    def job(self, id_: str | None = None) -> JobRecord:
        """The job `id_`, or the one used last.

        Raises:
            CheckpointError: there is no such job.
        """
        where, arguments = ("WHERE j.id = ?", (id_,)) if id_ else ("", ())
        rows = self._all(
            "SELECT j.id, c.provider, c.origin, c.account, c.target, c.source, s.columns,"
            " j.options, j.mapping, j.output_columns, j.census"
            " FROM jobs j JOIN contexts c ON c.id = j.context"
            f" JOIN column_sets s ON s.id = j.column_set {where}"
            " ORDER BY (SELECT max(v.id) FROM invocations v WHERE v.job = j.id) DESC LIMIT 1",
            arguments,
        )
        if not rows:
            known = ", ".join(row[0] for row in self._all("SELECT id FROM jobs ORDER BY id"))
            raise CheckpointError(
                f"{self.path} holds no job{f' {id_}' if id_ else ''}.",
                mend=f"It holds: {known}." if known else "Begin one with `enricher run`.",
                code="job_missing",
            )
        row = rows[0]
        return JobRecord(
            id=row[0],
            context=Context(*row[1:6]),
            asked=_asked(row[6]),
            options=json.loads(row[7]),
            mapping=json.loads(row[8]),
            output_columns=tuple(OutputColumn(**column) for column in json.loads(row[9])),
            census=json.loads(row[10]) if row[10] else None,
        )

    def jobs(self) -> list[str]:
        """The ids of all jobs, the one used last first."""
        rows = self._all(
            "SELECT j.id FROM jobs j ORDER BY"
            " (SELECT max(v.id) FROM invocations v WHERE v.job = j.id) DESC, j.id"
        )
        return [row[0] for row in rows]

    def census(self, job: str) -> Mapping[str, Any] | None:
        """What the last complete reading of the job's input found, if there was one."""
        rows = self._all("SELECT census FROM jobs WHERE id = ? AND census IS NOT NULL", (job,))
        return json.loads(rows[0][0]) if rows else None

    def latest_summary(self, job: str) -> Mapping[str, Any] | None:
        """The summary of the job's latest invocation that saved one."""
        rows = self._all(
            "SELECT summary FROM invocations WHERE job = ? AND summary != '{}'"
            " ORDER BY id DESC LIMIT 1",
            (job,),
        )
        return json.loads(rows[0][0]) if rows else None

    def evidence(self, job: str) -> list[Mapping[str, Any]]:
        """What passes of the job found out about their doubts, oldest first."""
        rows = self._all(
            "SELECT evidence FROM passes WHERE job = ? AND evidence IS NOT NULL ORDER BY id", (job,)
        )
        return [json.loads(row[0]) for row in rows]

    def cost_of_a_run(self, context: Context) -> float | None:
        """Credits that a run of this target cost so far, by the passes that read the balance."""
        rows = self._all(
            "SELECT p.id, p.spent FROM passes p JOIN jobs j ON j.id = p.job"
            f" JOIN contexts c ON c.id = j.context WHERE {_OF_TARGET} AND p.spent IS NOT NULL",
            (context.provider, context.origin, context.account, context.target),
        )
        spent = {id_: json.loads(text)["credits"] for id_, text in rows}
        runs = {id_: self.attempts_of(id_)[0] for id_, credits in spent.items() if credits > 0}
        told = sum(runs.values())
        return sum(spent[id_] for id_ in runs) / told if told else None

    def duration_of_a_run(self, context: Context) -> float | None:
        """Seconds that runs of this target took so far, roughly; `None` while none has ended.

        A run is found to have ended some time after it has, so the quicker ones tell the most.
        """
        rows = self._all(
            "SELECT max(0.0, i.ended_at - i.submitted_at) FROM items i"
            f" JOIN contexts c ON c.id = i.context WHERE {_OF_TARGET} AND i.state = ?"
            f" LIMIT {_RUNS_ASKED}",
            (
                *(context.provider, context.origin, context.account, context.target),
                State.COMPLETED,
            ),
        )
        took = sorted(row[0] for row in rows)
        return took[len(took) // 4] if took else None

    def attempts_of(self, pass_id: int) -> tuple[int, int]:
        """How many attempts of a pass became runs, and how many are or were in doubt."""
        some = "SELECT state, run_id, code, pass FROM"
        rows = self._all(
            f"SELECT state, run_id IS NOT NULL OR code IN ('', 'RUN_FAILED'), count(*)"
            f" FROM ({some} items UNION ALL {some} attempt_history) WHERE pass = ? GROUP BY 1, 2",
            (pass_id,),
        )
        doubts = sum(n for state, _, n in rows if state == State.IN_DOUBT)
        ran = {State.RUNNING, State.STALLED, State.COMPLETED}
        runs = sum(
            n for state, is_run, n in rows if state in ran or (is_run and state == State.FAILED)
        )
        return runs, doubts

    def second_charges(self, context: Context) -> list[Unfinished]:
        """Attempts that may have been paid and were followed by another, oldest first."""
        rows = self._all(
            "SELECT h.key, h.state, coalesce(h.run_id, ''), h.submitted_at, i.inputs,"
            " coalesce(h.message, '') FROM attempt_history h JOIN items i ON i.key = h.key"
            f" JOIN contexts c ON c.id = i.context WHERE {_OF_CONTEXT}"
            f" AND (h.state IN ({int(State.IN_DOUBT)}, {int(State.STALLED)})"
            " OR h.code = 'IN_DOUBT') ORDER BY h.submitted_at, h.key",
            _of(context),
        )
        return [_unfinished(row) for row in rows]

    def all_options(self) -> list[dict[str, Any]]:
        """The options of every job, as its last invocation had them."""
        return [json.loads(row[0]) for row in self._all("SELECT options FROM jobs", ())]

    def wrote(self, output: Place) -> bool:
        """Whether a job of this checkpoint, or an export of one, wrote `output`."""
        rows = self._all("SELECT 1 FROM outputs_written WHERE path = ?", (str(output),))
        return bool(rows) or was_exported(self.path, output)

    def open_pass(self, job: str) -> Pass | None:
        """The pass that an invocation of the job would continue."""
        rows = self._all(CONTINUED, (job,))
        return Pass.of(*rows[0]) if rows else None

    def pass_has_answers(self, job: str) -> bool:
        """Whether the job's unfinished pass has submissions that were answered or may have been."""
        return bool(
            self._all(
                "SELECT 1 FROM items WHERE pass = (SELECT id FROM passes WHERE job = ?"
                " AND finished_at IS NULL) LIMIT 1",
                (job,),
            )
        )

    def output_columns(self, job: JobRecord) -> tuple[OutputColumn, ...]:
        """What the job's output shows: the announced columns, then others that came back."""
        if job.asked is not None:
            return job.output_columns
        rows = self._all(
            "SELECT n.id, n.name FROM output_names n JOIN contexts c ON c.id = n.context"
            f" WHERE {_OF_CONTEXT} ORDER BY n.id",
            _of(job.context),
        )
        announced = {column.id for column in job.output_columns}
        more = (OutputColumn(*row) for row in rows if row[0] not in announced)
        return (*job.output_columns, *more)

    # --- items -------------------------------------------------------------------------------

    def records(self, keys: Sequence[bytes], *, outputs: bool = False) -> dict[bytes, Record]:
        """The records of those `keys` that are known, all as of one moment; `outputs` if wanted."""
        found: dict[bytes, Record] = {}
        distinct = list(dict.fromkeys(keys))
        with self._snapshot():
            for start in range(0, len(distinct), _KEYS_A_QUERY):
                some = distinct[start : start + _KEYS_A_QUERY]
                found.update(self._some_records(some, outputs))
        return found

    def _some_records(self, keys: Sequence[bytes], outputs: bool) -> Iterator[tuple[bytes, Record]]:
        marks = ",".join("?" * len(keys))
        rows = self._all(
            "SELECT i.key, i.state, i.attempt, s.columns, i.code, i.message, rs.columns,"
            " coalesce(h.ended_at, i.ended_at), i.ended_at, i.pass,"
            f" CASE p.code WHEN 'IN_DOUBT' THEN {int(State.IN_DOUBT)} ELSE p.state END,"
            f" coalesce(rs.revision, ''), coalesce(r.provisional, 0),"
            f" {'r.outputs' if outputs else 'NULL'}"
            " FROM items i JOIN column_sets s ON s.id = i.column_set"
            " LEFT JOIN results r ON r.id = i.result"
            " LEFT JOIN column_sets rs ON rs.id = r.column_set"
            " LEFT JOIN attempt_history h ON h.key = i.key AND h.attempt = r.attempt"
            " LEFT JOIN attempt_history p ON p.key = i.key AND p.attempt = i.attempt - 1"
            f" WHERE i.key IN ({marks})",
            tuple(keys),
        )
        for key, state, attempt, asked, code, message, outputs_asked, *more in rows:
            outputs_at, ended_at, tried_in, before, revision, provisional, stored = more
            yield (
                key,
                Record(
                    state=_STATES[state],
                    attempt=attempt,
                    asked=_asked_set(asked),
                    code=code or "",
                    message=message or "",
                    has_outputs=outputs_asked is not None,
                    outputs_asked=_asked_set(outputs_asked) if outputs_asked else None,
                    outputs=_decoded(stored) if stored else None,
                    outputs_at=outputs_at or 0.0,
                    ended_at=ended_at or 0.0,
                    tried_in=tried_in,
                    before=_STATES[before] if before else None,
                    revision=revision,
                    provisional=bool(provisional),
                ),
            )

    def batches(self, context: Context) -> list[Recorded]:
        """The batches of `context` that are not answered, oldest first."""
        rows = self._all(
            "SELECT b.id, b.keys, b.body, b.formed_at FROM batches b"
            f" JOIN contexts c ON c.id = b.context WHERE {_OF_CONTEXT} ORDER BY b.formed_at, b.id",
            _of(context),
        )
        return [
            Recorded(Batch(id_, tuple(map(self._item, split_keys(keys))), body), formed_at)
            for id_, keys, body, formed_at in rows
        ]

    def _item(self, key: bytes) -> Item:
        ((attempt, inputs),) = self._all("SELECT attempt, inputs FROM items WHERE key = ?", (key,))
        return Item(key, json.loads(inputs), supersedes=attempt - 1)

    def max_batch(self, context: Context) -> int | None:
        """How many items a batch may hold, if the provider has told it."""
        rows = self._all(f"SELECT max_batch FROM contexts c WHERE {_OF_CONTEXT}", _of(context))
        return rows[0][0] if rows else None

    def unfinished(self, context: Context, *states: State) -> list[Unfinished]:
        """The attempts of `context` in one of `states`, oldest first."""
        rows = self._all(
            "SELECT i.key, i.state, coalesce(i.run_id, ''), i.submitted_at, i.inputs,"
            " coalesce(i.message, '') FROM items i JOIN contexts c ON c.id = i.context"
            f" WHERE i.state IN ({','.join(str(int(s)) for s in states)}) AND i.state < 5"
            f" AND {_OF_CONTEXT} ORDER BY i.submitted_at, i.key",
            _of(context),
        )
        return [_unfinished(row) for row in rows]

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """What is read meanwhile is of one moment; one thread at a time, the others wait."""
        with self._in_snapshot:
            self._all("BEGIN")
            try:
                yield
            finally:
                self._all("COMMIT")

    def _all(self, sql: str, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._sql.execute(sql, arguments).fetchall()
        except sqlite3.Error as error:
            raise unreadable(self.path, error) from error


_OF_TARGET = "c.provider = ? AND c.origin = ? AND c.account = ? AND c.target = ?"
_OF_CONTEXT = f"{_OF_TARGET} AND c.source = ?"


def _of(context: Context) -> tuple[str, ...]:
    return context.provider, context.origin, context.account, context.target, context.source


def _unfinished(row: Sequence[Any]) -> Unfinished:
    return Unfinished(row[0], State(row[1]), row[2], row[3], json.loads(row[4]), row[5])


def _decoded(text: str) -> Any:
    """JSON that we wrote, without white space around it."""
    return _decode(text)[0]


def _asked(text: str) -> tuple[str, ...] | None:
    asked = json.loads(text)
    return None if asked is None else tuple(asked)


@lru_cache(maxsize=256)
def _asked_set(text: str) -> frozenset[str] | None:
    """A checkpoint holds few sets of columns, and millions of rows that name one."""
    asked = _asked(text)
    return None if asked is None else frozenset(asked)
