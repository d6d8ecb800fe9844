"""A checkpoint in an object store, for those who share no disk: its log, and copies of it.

Every group of events that is on the local disk is put into the store as the next numbered record,
before anybody hears that it is durable; a copy of the whole file now and then keeps the records
few. Who takes the checkpoint over puts a record of its own behind the last one. A record is made
only where there is none, so whoever had the checkpoint before cannot add to it any more, and an
intent that it cannot add is never submitted.

Below the checkpoint's folder, `n` being ten digits:

- `n.log`: a record. A JSON object: `owner`, and `at` in seconds since 1970 with `events` (see
  `events`), which are missing in the record that takes over.
- `n.db`: the file with all that the records up to `n` tell.
"""

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from enricher.checkpoint.committer import Apply
from enricher.checkpoint.events import decoded, encoded
from enricher.checkpoint.files import connect_reader, copy
from enricher.checkpoint.store import Store
from enricher.errors import CheckpointError, StateGone, Superseded
from enricher.model import Event
from enricher.objects import Folder

MOST_RECORDS = 10_000
"""Records since the last copy after which there is a new one: what is read at a takeover."""

LEAST_BYTES = 8 << 20
"""Likewise their size; a copy that is larger than this is renewed when they are as large."""

_READERS = 32
_TRIES = 5
_LOG, _COPY = ".log", ".db"

Clock = Callable[[], float]

TAKEN = "another worker has taken this shard over: this one submits nothing more"


class ShippedLog:
    """The end of a log that we have taken over; see `taken_over`."""

    def __init__(
        self, folder: Folder, owner: str, last: int, read: Sequence[int], clock: Clock
    ) -> None:
        self._folder = folder
        self._owner = owner
        self._clock = clock
        self._last = last
        self._done_with = list(read)
        self._copied = 0
        self._since_copy = 0
        self._is_lost = False

    def through(self, store: Store) -> Apply:
        """What writes a group of events to `store`, and then to the log.

        The function raises what `Store.apply` does, and:
            Superseded: another one has taken the log over.
            StateGone: the object store does not take it.
        """

        def apply(events: Sequence[Event]) -> list[bool]:
            with self._or_lost():
                if self._wants_copy():
                    self._copy(store.copy_to)
                took_effect = store.apply(events)
                self._append(events)
                return took_effect

        return apply

    def close(self, checkpoint: Path) -> None:
        """Put the file as it is at the end, unless it holds what the log does not.

        Raises:
            StateGone: the object store does not take it.
            CheckpointError: it cannot be read.
        """
        if checkpoint.exists() and not self._is_lost:
            with closing(connect_reader(checkpoint)) as last:  # what a log beside it holds, too
                self._copy(partial(copy, last))

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """What breaks in between leaves the file ahead of the log, which then takes no more."""
        if self._is_lost:
            raise StateGone(f"{self._folder.place} did not take what came before this.")
        self._is_lost = True
        yield
        self._is_lost = False

    def _append(self, events: Sequence[Event]) -> None:
        record = {"at": self._clock(), "events": [encoded(event) for event in events]}
        body = _body(self._owner, record)
        if not self._folder.create(_name(self._last + 1, _LOG), body):
            raise Superseded(TAKEN)
        self._last += 1
        self._done_with.append(self._last)
        self._since_copy += len(body)

    def _wants_copy(self) -> bool:
        """Whether there is none of ours, or reading the records would take long."""
        enough = self._since_copy >= max(LEAST_BYTES, self._copied)
        return not self._copied or enough or len(self._done_with) >= MOST_RECORDS

    def _copy(self, copy_to: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="enricher-") as folder:
            file = Path(folder) / "copy.db"
            copy_to(file)
            self._put_copy(file)

    def _put_copy(self, file: Path) -> None:
        """Put a copy, and remove what it makes needless.

        The records of takeovers stay: whoever had the log before runs into the one behind it.
        """
        self._folder.write(_name(self._last, _COPY), file)
        older = [n for n in _numbers(self._folder.names(), _COPY) if n < self._last]
        gone = [_name(n, _COPY) for n in older] + [_name(n, _LOG) for n in self._done_with]
        self._folder.discard(gone)
        self._done_with.clear()
        self._copied, self._since_copy = file.stat().st_size, 0


def taken_over(folder: Folder, checkpoint: Path, clock: Clock = time.time) -> ShippedLog:
    """Take over the log in `folder`, and make `checkpoint` what it tells; none if it tells nothing.

    Args:
        clock: wall time in seconds since 1970, stamped on each record.

    Raises:
        StateGone: the object store does not answer.
        CheckpointError: what there is cannot be read.
    """
    owner = uuid.uuid4().hex
    last = _last_of(folder) + 1
    while not folder.create(_name(last, _LOG), _body(owner, {})):
        last += 1
    read = _rebuild(folder, last, checkpoint)
    return ShippedLog(folder, owner, last, read, clock)


def fetch(folder: Folder, checkpoint: Path) -> None:
    """Make `checkpoint` what the log in `folder` tells now; nothing if it tells nothing.

    Raises:
        StateGone: the object store does not answer.
        CheckpointError: what there is cannot be read.
    """
    _rebuild(folder, _last_of(folder), checkpoint)


def is_begun(folder: Folder) -> bool:
    """Whether the log tells of anything.

    Raises:
        StateGone: the object store does not answer.
    """
    return bool(_numbers(folder.names(), _COPY))


def _last_of(folder: Folder) -> int:
    return max(_numbers(folder.names(), _LOG, _COPY), default=0)


def _rebuild(folder: Folder, last: int, checkpoint: Path) -> list[int]:
    """Make `checkpoint` what the log tells up to the record `last`, in one step.

    Whoever has the log may remove, while this reads, what a newer copy has made needless.

    Returns:
        The records that were read, but for those of takeovers.
    """
    for _ in range(_TRIES):
        copied = max((n for n in _numbers(folder.names(), _COPY) if n <= last), default=0)
        if not copied:  # nothing was submitted before the first copy
            return []
        checkpoint.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".enricher-", dir=checkpoint.parent) as beside:
            file = Path(beside) / "copy.db"
            numbers = range(copied + 1, last + 1)
            records = _read(folder, numbers)
            if records is not None and folder.fetch(_name(copied, _COPY), file):
                file.chmod(0o600)
                _replay(records, file)
                for ending in ("-wal", "-shm"):  # of a reader of the old one: not of the new
                    checkpoint.with_name(checkpoint.name + ending).unlink(missing_ok=True)
                file.replace(checkpoint)
                return [n for n, told in zip(numbers, records, strict=True) if "events" in told]
    raise _damaged(folder)


def _read(folder: Folder, numbers: Sequence[int]) -> list[Mapping[str, Any]] | None:
    """The records with these numbers; `None` if one of them is not there."""
    with ThreadPoolExecutor(_READERS) as readers:
        bodies = list(readers.map(lambda n: folder.read(_name(n, _LOG)), numbers))
    told = [json.loads(body) for body in bodies if body is not None]
    return told if len(told) == len(numbers) else None


def _replay(records: Sequence[Mapping[str, Any]], file: Path) -> None:
    written_at = 0.0
    with closing(Store.reopen(file, lambda: written_at)) as store:
        for told in records:
            written_at = told.get("at", 0.0)
            store.apply([decoded(event) for event in told.get("events", ())])


def _damaged(folder: Folder) -> CheckpointError:
    return CheckpointError(
        f"The state in {folder.place} has a gap: objects of it are missing.",
        mend="Did somebody remove them, or a rule of the bucket? Bring them back, where it keeps"
        " older versions; nothing is submitted without them.",
        code="state_damaged",
    )


def _body(owner: str, told: Mapping[str, Any]) -> bytes:
    return json.dumps({"owner": owner, **told}, separators=(",", ":")).encode()


def _name(number: int, ending: str) -> str:
    return f"{number:010}{ending}"


def _numbers(names: Sequence[str], *endings: str) -> list[int]:
    """The numbers of the records and copies among `names`."""
    parts = [name.partition(".") for name in names]
    return [int(stem) for stem, dot, end in parts if stem.isdecimal() and dot + end in endings]
