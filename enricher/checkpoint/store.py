"""The writer: one transaction a group of events, each move guarded by the table of states."""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from enricher.checkpoint import batches
from enricher.checkpoint.files import connect_writer, copy
from enricher.checkpoint.passes import CONTINUED, LAST_INVOCATION, JobSpec, Pass
from enricher.errors import CheckpointError, IllegalTransition
from enricher.model import (
    BatchEnded,
    BatchFormed,
    Completed,
    Doubted,
    Event,
    Failed,
    GotId,
    Intended,
    Spent,
    Stalled,
    State,
    Withdrew,
    sources_of,
)

ORPHANED = "the process ended before the answer to this submission was on disk"


class Store:
    """All writing to one checkpoint. The caller holds its lock.

    Args:
        db: an open checkpoint.
        clock: wall time in seconds since 1970, stamped on what is written.
    """

    def __init__(self, db: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = db
        self._sql = db.conn
        self._clock = clock
        self._context = 0
        self._pass = 0
        self.this_pass = Pass(0, math.inf, None)
        self._column_set = 0
        self._known_names: set[str] = set()

    @classmethod
    def open(cls, path: Any, clock: Callable[[], float] = time.time) -> "Store":
        """Open or make the checkpoint at `path`; what an earlier life left open is in doubt.

        Raises:
            CheckpointError: it is not a checkpoint, of a newer version, or cannot be written.
        """
        with ExitStack() as until_open:
            store = cls(until_open.enter_context(closing(connect_writer(path))), clock)
            with store._transaction():
                store._find_orphans()
            until_open.pop_all()
        return store

    @classmethod
    def reopen(cls, path: Path, clock: Callable[[], float]) -> "Store":
        """Open a copy as the life that wrote it left it, to write what that life still wrote.

        Nothing waits for the disk: the copy can be made anew.

        Raises:
            CheckpointError: it is not a checkpoint, or of a newer version.
        """
        store = cls(connect_writer(path), clock)
        store._sql.execute("PRAGMA synchronous = OFF")
        store._context, store._pass, store._column_set = store._one(LAST_INVOCATION) or (0, 0, 0)
        return store

    def copy_to(self, path: Path) -> None:
        """Write a copy of the checkpoint; see `files.copy`."""
        copy(self._sql, path)

    def close(self) -> None:
        self._db.close()

    def _find_orphans(self) -> None:
        """What was being submitted when the last life ended.

        A request of an item's own may have left: it is in doubt. A batch may be repeated, and is.
        An item that waited for a batch has not left.
        """
        self._end(State.IN_DOUBT, "state = ? AND NOT batched", (State.SUBMITTING,), "", ORPHANED)
        for key in batches.waiting(self._sql):
            self._write(Withdrew(key))

    # --- jobs, passes, invocations -----------------------------------------------------------

    def begin(self, job: JobSpec) -> int:
        """Register the job, continue or begin its pass, and begin an invocation; return its id."""
        with self._transaction():
            now = self._clock()
            self._register(job, now)
            self.this_pass = self._continued_pass(job, now)
            self._pass = self.this_pass.id
            self._known_names = {column.id for column in job.output_columns}
            return self._insert(
                "INSERT INTO invocations (job, pass, started_at, summary) VALUES (?, ?, ?, '{}')",
                (job.id, self._pass, now),
            )

    def _register(self, job: JobSpec, now: float) -> None:
        self._context = self._id_of("contexts", asdict(job.context))
        columns = "null" if job.asked is None else json.dumps(sorted(job.asked))
        self._column_set = self._id_of(
            "column_sets", {"columns": columns, "revision": job.revision}
        )
        row = {
            "context": self._context,
            "column_set": self._column_set,
            "used_at": now,
            "options": json.dumps(job.options),
            "mapping": json.dumps(job.mapping),
            "output_columns": json.dumps([asdict(column) for column in job.output_columns]),
        }
        if self._one("SELECT 1 FROM jobs WHERE id = ?", job.id):
            self._db.table("jobs").update(job.id, row)
        else:
            self._db.table("jobs").insert({"id": job.id, "created_at": now, **row})

    def _continued_pass(self, job: JobSpec, now: float) -> Pass:
        row = self._one(CONTINUED, job.id)
        if row:
            return Pass.of(*row)
        id_ = self._insert(
            "INSERT INTO passes (job, started_at, rows_before) VALUES (?, ?, ?)",
            (job.id, now, job.rows_before),
        )
        return Pass(id_, now, job.rows_before)

    def save_spent(self, spent: Spent) -> None:
        """Keep what the pass has used, for the invocation that continues it."""
        told = json.dumps(asdict(spent))
        self._save("UPDATE passes SET spent = ? WHERE id = ?", told, self._pass)

    def finish_pass(self, earlier: Sequence[str] = ()) -> None:
        """The job is finished, and so are the `earlier` steps: a new pass begins with the next."""
        with self._transaction():
            now = self._clock()
            self._sql.execute("UPDATE passes SET finished_at = ? WHERE id = ?", (now, self._pass))
            for job in earlier:
                self._sql.execute(
                    "UPDATE passes SET finished_at = ? WHERE job = ? AND finished_at IS NULL",
                    (now, job),
                )

    def save_census(self, job: str, census: Mapping[str, Any]) -> None:
        """Keep what a complete reading of the input found, with the input's fingerprint."""
        self._save("UPDATE jobs SET census = ? WHERE id = ?", json.dumps(census), job)

    def save_summary(self, invocation: int, summary: Mapping[str, Any]) -> None:
        """Keep the summary of an invocation as it is now."""
        told = json.dumps(summary)
        self._save("UPDATE invocations SET summary = ? WHERE id = ?", told, invocation)

    def save_max_batch(self, most: int) -> None:
        """Keep how many items a batch of this target may hold."""
        self._save("UPDATE contexts SET max_batch = ? WHERE id = ?", most, self._context)

    def save_evidence(self, evidence: Mapping[str, Any]) -> None:
        """Keep what helps a person to decide about the doubts of the pass."""
        told = json.dumps(evidence)
        self._save("UPDATE passes SET evidence = ? WHERE id = ?", told, self._pass)

    def claim_output(self, path: str) -> None:
        """Remember that a job of this checkpoint writes `path`, so that it may be replaced."""
        self._save("INSERT OR IGNORE INTO outputs_written VALUES (?)", path)

    # --- items -------------------------------------------------------------------------------

    def apply(self, events: Sequence[Event]) -> list[bool]:
        """Write `events` in one durable transaction; false for an intent of an item already known.

        Raises:
            CheckpointError: the disk did not take it. Nothing of the group counts here; a new
                start may find all of it or nothing.
            IllegalTransition: an item was not in a state from which the event may come.
        """
        with self._transaction():
            return [self._write(event) for event in events]

    @singledispatchmethod
    def _write(self, event: Event) -> bool:
        raise TypeError(type(event))

    @_write.register
    def _(self, event: Intended) -> bool:
        item = event.item
        inputs = json.dumps(item.inputs, ensure_ascii=False, separators=(",", ":"))
        if item.supersedes:
            return self._supersede(item.key, item.supersedes, event.batched)
        return self._changed(
            "INSERT INTO items (key, context, pass, column_set, state, attempt, submitted_at,"
            " inputs, batched) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                item.key,
                self._context,
                self._pass,
                self._column_set,
                State.SUBMITTING,
                self._clock(),
                inputs,
                event.batched,
            ),
        )

    def _supersede(self, key: bytes, attempt: int, batched: bool) -> bool:
        """Move the old attempt to the history and open the next, if `attempt` is the newest."""
        olds = _states(sources_of(State.SUBMITTING))
        moved = self._changed(
            f"INSERT INTO attempt_history SELECT key, attempt, pass, column_set, state,"
            f" submitted_at, ended_at, run_id, code, message FROM items"
            f" WHERE key = ? AND attempt = ? AND state IN {olds}",
            (key, attempt),
        )
        return moved and self._changed(
            "UPDATE items SET attempt = attempt + 1, state = ?, context = ?, pass = ?,"
            " column_set = ?, submitted_at = ?, ended_at = NULL, run_id = NULL, code = NULL,"
            " message = NULL, batched = ? WHERE key = ?",
            (
                State.SUBMITTING,
                self._context,
                self._pass,
                self._column_set,
                self._clock(),
                batched,
                key,
            ),
        )

    @_write.register
    def _(self, event: Withdrew) -> bool:
        if self._changed(
            "DELETE FROM items WHERE key = ? AND state = ? AND attempt = 1",
            (event.key, State.SUBMITTING),
        ):
            return True
        fields = "pass, column_set, state, submitted_at, ended_at, run_id, code, message"
        self._must(
            f"UPDATE items SET attempt = attempt - 1, ({fields}) = (SELECT {fields}"
            f" FROM attempt_history h WHERE h.key = items.key AND h.attempt = items.attempt - 1)"
            f" WHERE key = ? AND state = ?",
            (event.key, State.SUBMITTING),
            event,
        )
        return self._changed(
            "DELETE FROM attempt_history WHERE key = ?"
            " AND attempt = (SELECT attempt FROM items WHERE key = ?)",
            (event.key, event.key),
        )

    @_write.register
    def _(self, event: GotId) -> bool:
        return self._must(
            f"UPDATE items SET state = ?, run_id = ? WHERE key = ?"
            f" AND state IN {_states(sources_of(State.RUNNING))}",
            (State.RUNNING, event.run_id, event.key),
            event,
        )

    @_write.register
    def _(self, event: Completed) -> bool:
        self._remember_names(event.names)
        old = self._one("SELECT result FROM items WHERE key = ?", event.key)
        result = self._insert(
            "INSERT INTO results (column_set, attempt, outputs, provisional)"
            " SELECT column_set, attempt, ?, ? FROM items WHERE key = ?",
            (
                json.dumps(event.outputs, ensure_ascii=False, separators=(",", ":")),
                event.provisional,
                event.key,
            ),
        )
        self._must(
            f"UPDATE items SET state = ?, result = ?, ended_at = ?, code = NULL, message = NULL"
            f" WHERE key = ? AND state IN {_states(sources_of(State.COMPLETED))}",
            (State.COMPLETED, result, self._clock(), event.key),
            event,
        )
        if old and old[0] is not None:
            self._sql.execute("DELETE FROM results WHERE id = ?", (old[0],))
        return True

    @_write.register
    def _(self, event: Failed) -> bool:
        return self._end_one(State.FAILED, event, event.code, event.message)

    @_write.register
    def _(self, event: Stalled) -> bool:
        return self._end_one(State.STALLED, event, event.code, event.message)

    @_write.register
    def _(self, event: Doubted) -> bool:
        return self._end_one(State.IN_DOUBT, event, "", event.reason)

    @_write.register
    def _(self, event: BatchFormed) -> bool:
        batches.insert(self._sql, event.batch, self._context, self._clock())
        return True

    @_write.register
    def _(self, event: BatchEnded) -> bool:
        for each in event.events:
            self._write(each)
        return self._must("DELETE FROM batches WHERE id = ?", (event.batch_id,), event)

    def _end_one(
        self, state: State, event: Failed | Stalled | Doubted, code: str, message: str
    ) -> bool:
        where = f"key = ? AND state IN {_states(sources_of(state))}"
        if self._end(state, where, (event.key,), code, message) != 1:
            raise IllegalTransition(f"{event} found no attempt that may make this move")
        return True

    def _end(
        self, state: State, where: str, arguments: tuple[Any, ...], code: str, message: str
    ) -> int:
        return self._sql.execute(
            f"UPDATE items SET state = ?, ended_at = ?, code = ?, message = ? WHERE {where}",
            (state, self._clock(), code, message, *arguments),
        ).rowcount

    def _remember_names(self, names: Mapping[str, str]) -> None:
        for id_, name in names.items():
            if id_ not in self._known_names:
                self._sql.execute(
                    "INSERT OR IGNORE INTO output_names VALUES (?, ?, ?)",
                    (self._context, id_, name),
                )
                self._known_names.add(id_)

    # --- SQL ---------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sql.execute("COMMIT")
            finally:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                    self._known_names.clear()  # some may have been learnt in it
        except sqlite3.Error as error:
            raise CheckpointError(
                f"The checkpoint could not be written: {error}.",
                mend="Free space on its disk or make it writable, then run the same command"
                " again: everything acknowledged before is kept.",
                code="checkpoint_write",
            ) from error

    def _save(self, sql: str, *arguments: Any) -> None:
        with self._transaction():
            self._sql.execute(sql, arguments)

    def _must(self, sql: str, arguments: tuple[Any, ...], event: Event) -> bool:
        if not self._changed(sql, arguments):
            raise IllegalTransition(f"{event} found no attempt that may make this move")
        return True

    def _changed(self, sql: str, arguments: tuple[Any, ...]) -> bool:
        return self._sql.execute(sql, arguments).rowcount == 1

    def _insert(self, sql: str, arguments: tuple[Any, ...]) -> int:
        return int(self._sql.execute(sql, arguments).lastrowid or 0)

    def _one(self, sql: str, *arguments: Any) -> Any:
        return self._sql.execute(sql, arguments).fetchone()

    def _id_of(self, table: str, row: Mapping[str, Any]) -> int:
        where = " AND ".join(f"{column} = ?" for column in row)
        found = self._one(f"SELECT id FROM {table} WHERE {where}", *row.values())
        if found:
            return int(found[0])
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        return self._insert(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def _states(states: Sequence[State]) -> str:
    return "(" + ", ".join(str(int(state)) for state in states) + ")"
