"""How many rows are in which status, while they stream by and their items end in any order.

There is no table of rows: a row whose item has ended is counted when it is read, any other waits
here under its item's key. Memory holds the rows of unfinished items, never the file.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from enricher.model import (
    BatchEnded,
    Completed,
    Doubted,
    Event,
    Failed,
    Intended,
    RowStatus,
    Stalled,
    Withdrew,
)

_ENDS: Mapping[type[Event], RowStatus] = {
    Completed: RowStatus.COMPLETED,
    Failed: RowStatus.FAILED,
    Stalled: RowStatus.FAILED,
    Doubted: RowStatus.IN_DOUBT,
}


@dataclass(frozen=True, slots=True)
class SeenRows:
    """One batch as it was read: rows that had ended then, and the keys of all others.

    `stalled` are keys whose runs an earlier look gave up: failed, unless they are looked at again.
    `refreshing` are those of all keys whose old result stands whatever comes. `left_out` are those
    that are not submitted for: skipped, unless an equal row is.
    """

    ended: Mapping[RowStatus, int]
    waiting: Sequence[bytes] = ()
    stalled: Sequence[bytes] = ()
    refreshing: Sequence[bytes] = ()
    left_out: Sequence[bytes] = ()


class RowTally:
    """Counts rows by status.

    Call `reading()` before the checkpoint is looked up for a batch and `seen()` with the result:
    an item that ends in between is counted all the same.

    Args:
        total: the rows of the input.
        looked_at: the keys of the stalled runs that this invocation looks at once more.
        paid: answers that submissions of this invocation brought before.
    """

    def __init__(self, total: int, looked_at: Iterable[bytes] = (), paid: int = 0) -> None:
        self.total = total
        self._looked_at = set(looked_at)
        self._counts: Counter[RowStatus] = Counter()
        self._waiting: Counter[bytes] = Counter()
        self._just_ended: dict[bytes, RowStatus] = {}
        self._bought: set[bytes] = set()
        self._refreshing: set[bytes] = set()
        self.paid = paid

    @property
    def reused(self) -> int:
        """Rows with an answer that no submission of this invocation was needed for."""
        answered = self._counts[RowStatus.COMPLETED] + self._counts[RowStatus.FAILED]
        return answered - self.paid

    def counts(self) -> dict[RowStatus, int]:
        """Every status with its number of rows; they add up to `total`."""
        ended = {status: self._counts[status] for status in RowStatus}
        ended[RowStatus.PENDING] = self.total - sum(ended.values())
        return ended

    def reading(self) -> None:
        self._just_ended.clear()

    def seen(self, rows: SeenRows) -> None:
        self._counts.update(rows.ended)
        self._refreshing.update(rows.refreshing)
        for key in rows.waiting:
            status = self._just_ended.get(key)
            if status is None:
                self._waiting[key] += 1
            else:
                self._counts[status] += 1
        for key in rows.stalled:
            if key in self._looked_at:
                self._waiting[key] += 1
            else:
                kept = key in self._refreshing
                shown = RowStatus.COMPLETED if kept else RowStatus.FAILED
                self._counts[self._just_ended.get(key, shown)] += 1
        for key in rows.left_out:
            if key in self._waiting:
                self._waiting[key] += 1
            else:  # an equal row further down is not waited for: the written output will tell
                self._counts[self._just_ended.get(key, RowStatus.SKIPPED)] += 1

    def hear(self, event: Event) -> None:
        """Take note of an event that is on disk."""
        match event:
            case Intended(item):
                self._bought.add(item.key)
            case Withdrew(key):
                self._bought.discard(key)
            case BatchEnded(_, events):
                for each in events:
                    self.hear(each)
            case Completed(key) | Failed(key) | Stalled(key) | Doubted(key, again=False):
                self._end(key, _ENDS[type(event)])

    def _end(self, key: bytes, status: RowStatus) -> None:
        if key in self._refreshing:
            self._refreshing.discard(key)
            status = RowStatus.COMPLETED
        self._just_ended[key] = status
        self._looked_at.discard(key)
        self._counts[status] += self._waiting.pop(key, 0)
        if key in self._bought:
            self._bought.discard(key)
            self.paid += status in (RowStatus.COMPLETED, RowStatus.FAILED)
