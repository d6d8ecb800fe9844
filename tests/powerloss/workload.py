"""A small job with everything that happens to one, over the real checkpoint and the real sink.

Three invocations: the first is stopped and leaves a partial output, the second finishes the pass,
the third is a new pass that buys some things again. Time is virtual, and chance is seeded.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from enricher import sink
from enricher.checkpoint import Committer, Store, hold, inline
from enricher.checkpoint.files import connect_reader, connect_writer
from enricher.checkpoint.store import ORPHANED
from enricher.model import (
    Completed,
    Doubted,
    Event,
    Failed,
    GotId,
    Intended,
    Item,
    OutputColumn,
    RowStatus,
    Stalled,
    State,
    Withdrew,
)
from enricher.record import Outcome
from tests.powerloss.disk import Trace
from tests.powerloss.promises import CHECKPOINT, Known, Promises, known_after
from tests.powerloss.python_files import python_heard
from tests.powerloss.sqlite_files import sqlite_heard
from tests.support import virtual
from tests.support.checkpoints import begin

OUTPUT = "out.csv"
PARTIAL = "out.partial.csv"
COLUMN = (OutputColumn("answer", "Answer"),)

ITEMS = 36
AT_ONCE = 6
"""Items that are worked on at the same time."""

Opening = Callable[[Path, Callable[[], float]], Store]


def as_it_is(path: Path, clock: Callable[[], float]) -> Store:
    """The checkpoint of the product."""
    return Store.open(path, clock)


def opening_with(*pragmas: str) -> Opening:
    """The checkpoint of the product, with other settings."""

    def opened(path: Path, clock: Callable[[], float]) -> Store:
        Store.open(path, clock).close()
        db = connect_writer(path)
        for pragma in pragmas:
            db.execute(f"PRAGMA {pragma}")
        return Store(db, clock)

    return opened


short_log = opening_with("wal_autocheckpoint = 30", "journal_size_limit = 65536")
"""Checkpoints of the log and truncations of it, which a job of 16 MiB would have, come often."""

careless = opening_with("synchronous = NORMAL")
"""A mistake, for tests that must find it: a commit does not wait for the disk."""


def recorded(
    folder: Path,
    seed: int,
    opening: Opening = as_it_is,
    *,
    file_sync: bool = True,
    name_sync: bool = True,
) -> Promises:
    """Let the job happen in the empty `folder`, and return what was promised meanwhile.

    `file_sync` and `name_sync`: see `python_heard`.
    """
    trace = Trace(folder)
    promises = Promises(trace)
    with sqlite_heard(trace), python_heard(trace, file_sync=file_sync, name_sync=name_sync):
        _Job(folder, promises, random.Random(seed), opening).work()
    return promises


class _Job:
    def __init__(
        self, folder: Path, promises: Promises, draw: random.Random, opening: Opening
    ) -> None:
        self._folder = folder
        self._promises = promises
        self._draw = draw
        self._opening = opening
        self._clock = itertools.count(1_000_000.5)
        self._store: Store

    @property
    def _checkpoint(self) -> Path:
        return self._folder / CHECKPOINT

    def work(self) -> None:
        keys = [f"item-{number}".encode() for number in range(ITEMS)]
        with hold(self._checkpoint):
            with self._invocation():
                virtual.run(self._work(keys[: ITEMS // 2]))
                self._write(PARTIAL)
            with self._invocation():
                virtual.run(self._work([*self._open(), *keys[ITEMS // 2 :]]))
                self._finish()
            with self._invocation(), self._somebody_reads():
                virtual.run(self._work([*self._open(), *self._draw.sample(keys, ITEMS // 3)]))
                self._finish()

    @contextmanager
    def _invocation(self) -> Iterator[None]:
        with self._promises.transaction():
            self._store = self._opening(self._checkpoint, self._clock.__next__)
        for key, events in self._promises.events.items():
            known = known_after(events)
            if known is not None and known.state is State.SUBMITTING:
                self._promises.acknowledge(Doubted(key, ORPHANED))
        with closing(self._store):
            with self._promises.transaction():
                self._number = begin(self._store, columns=COLUMN)
            self._save(self._store.save_census, "job", {"total": ITEMS})
            yield

    def _save(self, save: Callable[..., None], *what: Any) -> None:
        with self._promises.transaction():
            save(*what)

    @contextmanager
    def _somebody_reads(self) -> Iterator[None]:
        """A program that looks at the checkpoint for long keeps the log from beginning anew."""
        with closing(connect_reader(self._checkpoint)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM items").fetchone()
            yield

    # --- items -----------------------------------------------------------------------------------

    async def _work(self, keys: Sequence[bytes]) -> None:
        self._journal = Committer(self._apply, inline(self._delay), self._promises.acknowledge)
        waiting = iter(dict.fromkeys(keys))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._one_after_another(waiting))
        await self._journal.close()

    def _apply(self, events: Sequence[Event]) -> list[bool]:
        with self._promises.transaction():
            return self._store.apply(events)

    def _delay(self) -> float:
        return self._draw.uniform(0.002, 0.09)

    async def _one_after_another(self, waiting: Iterator[bytes]) -> None:
        for number, key in enumerate(waiting):
            await self._live(key)
            if number % 3 == 0:
                self._save(self._store.save_summary, self._number, {"n": number, "rows": ITEMS})

    async def _live(self, key: bytes) -> None:
        """Submit an item, or go on with what an earlier invocation left of it."""
        known = self._known(key)
        if known is None or known.state not in (State.RUNNING, State.STALLED):
            attempt = known.attempt if known else 0
            inputs = {"company_name": f"Company {key.decode()}"}
            await self._journal.write(Intended(Item(key, inputs, attempt)))
            await asyncio.sleep(self._draw.uniform(0, 0.2))
            if not await self._answered(key, attempt + 1):
                return
        await asyncio.sleep(self._draw.uniform(0, 1.0))
        self._look(key)

    async def _answered(self, key: bytes, attempt: int) -> bool:
        """Whether the run goes on; mostly it does."""
        chance = self._draw.random()
        if chance < 0.06:
            self._journal.post(Withdrew(key))
        elif chance < 0.12:
            self._journal.post(Doubted(key, "the connection was lost"))
        elif chance < 0.18:
            self._journal.post(Failed(key, "ROW_REJECTED", "no such company"))
        elif chance > 0.24:  # in between: the process ends before the answer
            return await self._journal.write(GotId(key, f"run-{key.decode()}-{attempt}"))
        return False

    def _look(self, key: bytes) -> None:
        chance = self._draw.random()
        if chance < 0.1:
            self._journal.post(Failed(key, "RUN_FAILED", "no luck"))
        elif chance < 0.2:
            self._journal.post(Stalled(key, "RUN_TIMEOUT", "too long"))
        elif chance > 0.3:  # in between: the job is stopped while it runs
            size = self._draw.choice((20, 20, 200, 2000, 15_000))
            text = self._draw.randbytes(size).hex()
            self._journal.post(Completed(key, {"answer": text}, {"answer": "Answer"}))

    def _known(self, key: bytes) -> Known | None:
        return known_after(self._promises.events.get(key, []))

    def _open(self) -> list[bytes]:
        states = (State.RUNNING, State.STALLED)
        known = {key: self._known(key) for key in self._promises.events}
        return [key for key, item in known.items() if item and item.state in states]

    # --- outputs ---------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._write(OUTPUT)
        if (self._folder / PARTIAL).exists():
            (self._folder / PARTIAL).unlink()
            self._promises.removed(self._folder / PARTIAL)
        self._save(self._store.finish_pass)
        self._save(self._store.save_summary, self._number, {"outcome": "finished"})

    def _write(self, name: str) -> None:
        path = self._folder / name
        self._save(self._store.claim_output, name)
        known = [self._known(key) for key in sorted(self._promises.events)]
        frame = pl.DataFrame({"0": [str(number) for number in range(len(known))]})
        with self._promises.output(path):
            sink.write(path, sink.Layout(("No.",), COLUMN), lambda: [(frame, _rows(known))])


def _rows(known: Sequence[Known | None]) -> list[Outcome]:
    return [
        Outcome(RowStatus.COMPLETED, outputs=item.outputs)
        if item is not None and item.outputs
        else Outcome(RowStatus.PENDING)
        for item in known
    ]
