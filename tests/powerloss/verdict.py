"""What is left after a power cut, opened as a user would, and held against what was promised."""

import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from enricher.checkpoint import Reader, Store
from enricher.errors import CheckpointError
from enricher.model import Intended, State
from tests.powerloss.disk import Contents, Disk, Fate, Trace
from tests.powerloss.promises import CHECKPOINT, Known, Promises, digest_of
from tests.powerloss.sqlite_files import sqlite_heard
from tests.powerloss.workload import OUTPUT, PARTIAL
from tests.support.checkpoints import CONTEXT, begin, item, rows_of

_SHARED_MEMORY = f"{CHECKPOINT}-shm"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`facts` were to be there; `offences` say which were not, and what else is wrong."""

    facts: int
    found: str
    offences: tuple[str, ...]


def put(contents: Contents, folder: Path) -> None:
    for name, content in contents.items():
        (folder / name).touch(0o600)
        (folder / name).write_bytes(content)


def judged(
    contents: Contents, promises: Promises, position: int, folder: Path, draw: random.Random
) -> Verdict:
    """Open what is left of a job whose power was cut at `position`, in the empty `folder`.

    Sometimes the power is cut again while the checkpoint is opened for the first time.
    """
    put(contents, folder)
    (folder / _SHARED_MEMORY).write_bytes(draw.choice((b"", draw.randbytes(32768))))
    with sqlite_heard(syncs=False):
        started = draw.random() < 0.1
        if started:
            _cut_again(folder, draw)
        judge = _Judge(folder, promises, position, started)
        offences = tuple(judge.offences(reader_first=draw.random() < 0.5))
    facts = sum(judge.due.values()) + promises.sure(position)
    return Verdict(facts, judge.found, offences)


def _cut_again(folder: Path, draw: random.Random) -> None:
    """The power is cut while a start recovers what the first cut left."""
    (folder / _SHARED_MEMORY).unlink()
    trace = Trace(folder)
    with sqlite_heard(trace):
        Store.open(folder / CHECKPOINT).close()
    disk = Disk(trace)
    disk.go_on(draw.randint(0, trace.position))
    left = disk.after(draw, Fate.drawn(draw))
    for path in folder.iterdir():
        path.unlink()
    put(left, folder)


class _Judge:
    def __init__(self, folder: Path, promises: Promises, position: int, started: bool) -> None:
        self._started = started
        self._folder = folder
        self._path = folder / CHECKPOINT
        self._promises = promises
        self._position = position
        self.due = promises.counted(position)
        self.found = ""

    def offences(self, *, reader_first: bool) -> Iterator[str]:
        """What is wrong; nothing, if all is well."""
        try:
            if reader_first and self._is_promised():
                yield from self._checkpoint_offences()
            with closing(Store.open(self._path)) as store:
                self._started = True
                if self._is_promised():
                    yield from self._checkpoint_offences()
                yield from self._use(store)
            with Reader(self._path) as reader:  # another program than the one that mended it
                reader.job()
        except (CheckpointError, sqlite3.Error) as error:
            yield f"the checkpoint does not open: {error}"
        yield from self._output_offences()

    def _is_promised(self) -> bool:
        """Before the first start has ended, there need not be anything."""
        return self._promises.allowed(CHECKPOINT, self._position)[0] is not None

    def _checkpoint_offences(self) -> Iterator[str]:
        self.found = digest_of(self._path) or ""
        if self.found not in self._promises.allowed(CHECKPOINT, self._position):
            yield "the checkpoint holds what it held at no moment that is left to choose from"
        histories = self._promises.histories
        with Reader(self._path) as reader:
            held = _held(reader, list(histories))
        for key, history in histories.items():
            due = self.due.get(key, 0)
            after = history[due:]
            if self._started:
                after += [known and known.after_a_start() for known in after]
            if (found := held.get(key)) not in after:
                state = found and found.state.name
                yield f"{key.decode()}: {due} of its events are due, found {state}"

    def _use(self, store: Store) -> Iterator[str]:
        """Go on with the job."""
        begin(store)
        if store.apply([Intended(item("after the cut"))]) != [True]:
            yield "nothing can be written any more"
        if rows_of(self._path, "PRAGMA integrity_check") != [("ok",)]:
            yield "the checkpoint is damaged"

    def _output_offences(self) -> Iterator[str]:
        for name in (OUTPUT, PARTIAL):
            path = self._folder / name
            content = path.read_bytes() if path.exists() else None
            if content not in self._promises.allowed(name, self._position):
                size = "absent" if content is None else f"of {len(content)} bytes"
                yield f"{name} is {size}: neither what it was nor what it was to be"


def _held(reader: Reader, keys: Sequence[bytes]) -> Mapping[bytes, Known]:
    runs = {
        found.key: found.run_id
        for found in reader.unfinished(CONTEXT, State.RUNNING, State.STALLED)
    }
    return {
        key: Known(
            state=record.state,
            attempt=record.attempt,
            run_id=runs.get(key, ""),
            told=(record.code, record.message),
            outputs=record.outputs,
        )
        for key, record in reader.records(keys, outputs=True).items()
    }
