"""Rows are counted as they stream by: at any moment as a recount of what is on disk would say."""

from collections import Counter, deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from enricher.forecast import Buy, Ended, UnderWay, fate_of
from enricher.model import (
    Completed,
    Doubted,
    Failed,
    GotId,
    Intended,
    Item,
    RowStatus,
    Stalled,
    State,
    Withdrew,
)
from enricher.record import Record, Wanted
from enricher.tally import RowTally, SeenRows

A, B, C = b"a", b"b", b"c"
ENDS = {
    State.COMPLETED: lambda key: Completed(key, {}, {}),
    State.FAILED: lambda key: Failed(key, "RUN_FAILED", ""),
    State.STALLED: lambda key: Stalled(key, "RUN_TIMEOUT", ""),
    State.IN_DOUBT: lambda key: Doubted(key, "no answer"),
}
NEXT = {
    State.SUBMITTING: (State.COMPLETED, State.FAILED, State.IN_DOUBT),
    State.RUNNING: (State.COMPLETED, State.FAILED, State.STALLED),
    State.STALLED: (State.COMPLETED, State.FAILED, State.STALLED),
}


def told(tally):
    """The counts that are not zero."""
    return {str(status): n for status, n in tally.counts().items() if n}


def batch(tally, *keys, **seen):
    tally.reading()
    tally.seen(SeenRows(seen.pop("ended", {}), keys, **seen))


def intended(key):
    return Intended(Item(key, {}))


def test_rows_that_nobody_read_yet_are_pending():
    assert told(RowTally(7)) == {"pending": 7}


def test_a_row_that_had_ended_when_it_was_read_is_counted_then():
    tally = RowTally(6)
    batch(tally, A, ended={RowStatus.COMPLETED: 2, RowStatus.SKIPPED: 1, RowStatus.FAILED: 1})
    assert told(tally) == {"completed": 2, "skipped": 1, "failed": 1, "pending": 2}
    assert tally.reused == 3


def test_all_rows_of_an_item_end_with_it_and_one_of_them_is_paid():
    tally = RowTally(5)
    batch(tally, A, A, B)
    batch(tally, A)
    for event in (intended(A), GotId(A, "r1"), Completed(A, {}, {})):
        tally.hear(event)
    assert told(tally) == {"completed": 3, "pending": 2}
    assert tally.reused == 2


def test_an_item_that_ends_between_the_lookup_and_the_count_is_counted():
    tally = RowTally(2)
    batch(tally, A)
    tally.hear(intended(A))
    tally.reading()
    tally.hear(Failed(A, "RUN_FAILED", ""))
    tally.seen(SeenRows({}, [A]))  # looked up before the failure was on disk
    assert told(tally) == {"failed": 2}


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (Completed(A, {}, {}), "completed"),
        (Failed(A, "RUN_FAILED", ""), "failed"),
        (Stalled(A, "RUN_TIMEOUT", ""), "failed"),
        (Doubted(A, "no answer"), "in_doubt"),
        (Withdrew(A), "pending"),
        (GotId(A, "r1"), "pending"),
    ],
)
def test_what_a_row_counts_as_after_an_event(event, status):
    tally = RowTally(1)
    batch(tally, A)
    tally.hear(intended(A))
    tally.hear(event)
    assert told(tally) == {status: 1}
    assert tally.reused == 0


def test_what_was_taken_back_and_answered_by_an_earlier_run_is_reused():
    tally = RowTally(2)
    batch(tally, A, B)
    tally.hear(intended(A))
    tally.hear(Withdrew(A))
    tally.hear(Completed(B, {}, {}))  # a run of an earlier invocation
    assert told(tally) == {"completed": 1, "pending": 1}
    assert tally.reused == 1


def test_a_stalled_run_is_failed_unless_it_is_looked_at_again():
    tally = RowTally(3, looked_at=[A, B])
    batch(tally, stalled=[A, B, C])
    assert told(tally) == {"failed": 1, "pending": 2}
    tally.hear(Completed(A, {}, {}))
    tally.hear(Stalled(B, "RUN_TIMEOUT", ""))
    assert told(tally) == {"completed": 1, "failed": 2}


def test_rows_of_a_stalled_run_count_as_its_new_look_ended_also_if_they_are_read_after_it():
    tally = RowTally(4, looked_at=[A, B])
    tally.hear(Stalled(A, "RUN_TIMEOUT", ""))
    batch(tally, stalled=[A])
    assert told(tally) == {"failed": 1, "pending": 3}
    tally.reading()
    tally.hear(Completed(B, {}, {}))
    tally.seen(SeenRows({}, stalled=[B, A]))  # looked up before that was on disk
    assert told(tally) == {"completed": 1, "failed": 2, "pending": 1}


def test_the_rows_of_an_item_end_once():
    tally = RowTally(2)
    batch(tally, A, A)
    tally.hear(Completed(A, {}, {}))
    tally.hear(Completed(A, {}, {}))
    assert told(tally) == {"completed": 2}


class Interleavings(RuleBasedStateMachine):
    """A file is read in batches while items are bought and end, each event heard some time after it
    is on disk. Whenever nothing is on its way, the tally is what a recount would give."""

    @initialize(
        starts=st.dictionaries(
            st.sampled_from([bytes([n]) for n in range(6)]),
            st.sampled_from([None, *set(State) - {State.SUBMITTING}]),
            min_size=1,
        ),
        data=st.data(),
    )
    def begin(self, starts, data):
        self.disk = dict(starts)
        self.unread = data.draw(st.lists(st.sampled_from([b"", *starts]), max_size=30))
        self.to_look = {key for key, state in starts.items() if state is State.STALLED}
        self.tally = RowTally(len(self.unread), self.to_look)
        self.read: list[bytes] = []
        self.unheard: deque = deque()
        self.found: list | None = None
        self.is_reading = False
        self.to_buy: set[bytes] = set()
        self.bought: set[bytes] = set()

    # --- reading

    @precondition(lambda self: not self.is_reading and self.unread)
    @rule()
    def reads(self):
        self.tally.reading()
        self.is_reading = True

    @precondition(lambda self: self.is_reading and self.found is None)
    @rule(size=st.integers(1, 5))
    def looks_up(self, size):
        keys, self.unread = self.unread[:size], self.unread[size:]
        self.found = [(key, key and fate_of(self.record(key), Wanted(None))) for key in keys]

    def record(self, key):
        state = self.disk[key]
        return state and Record(state, 1, None, has_outputs=state is State.COMPLETED)

    @precondition(lambda self: self.found is not None)
    @rule()
    def counts(self):
        ended: Counter[RowStatus] = Counter()
        waiting, stalled = [], []
        for key, fate in self.found:
            match fate:
                case Ended(status):
                    ended[status] += 1
                case UnderWay(stalled=True):
                    stalled.append(key)
                case Buy() | UnderWay():
                    waiting.append(key)
                    if isinstance(fate, Buy):
                        self.to_buy.add(key)
                case _:
                    ended[RowStatus.SKIPPED] += 1
        self.tally.seen(SeenRows(ended, waiting, stalled))
        self.read += [key for key, _ in self.found]
        self.found, self.is_reading = None, False

    # --- events

    def is_on_disk(self, key, state, event):
        self.disk[key] = state
        self.unheard.append(event)

    @precondition(lambda self: any(self.disk[key] is None for key in self.to_buy))
    @rule(data=st.data())
    def intends(self, data):
        key = data.draw(st.sampled_from(sorted(k for k in self.to_buy if self.disk[k] is None)))
        self.bought.add(key)
        self.is_on_disk(key, State.SUBMITTING, intended(key))

    @precondition(lambda self: State.SUBMITTING in self.disk.values())
    @rule(data=st.data(), accepted=st.booleans())
    def is_accepted_or_refused(self, data, accepted):
        key = data.draw(st.sampled_from([k for k, s in self.disk.items() if s is State.SUBMITTING]))
        if accepted:
            self.is_on_disk(key, State.RUNNING, GotId(key, "id"))
        else:
            self.bought.discard(key)
            self.is_on_disk(key, None, Withdrew(key))

    def can_end(self):
        return [
            key
            for key, state in self.disk.items()
            if state in (State.SUBMITTING, State.RUNNING) or key in self.to_look
        ]

    @precondition(lambda self: self.can_end())
    @rule(data=st.data())
    def ends(self, data):
        key = data.draw(st.sampled_from(self.can_end()))
        state = data.draw(st.sampled_from(NEXT[self.disk[key]]))
        self.to_look.discard(key)
        self.is_on_disk(key, state, ENDS[state](key))

    @rule()
    def hears(self):
        if self.unheard:
            self.tally.hear(self.unheard.popleft())

    # --- what must hold

    def status(self, key):
        match self.disk[key]:
            case State.COMPLETED:
                return RowStatus.COMPLETED
            case State.FAILED:
                return RowStatus.FAILED
            case State.IN_DOUBT:
                return RowStatus.IN_DOUBT
            case State.STALLED if key not in self.to_look:
                return RowStatus.FAILED
            case _:
                return RowStatus.PENDING

    @invariant()
    def every_row_counts_once(self):
        assert sum(self.tally.counts().values()) == self.tally.total

    @invariant()
    def it_is_what_a_recount_gives(self):
        if self.unheard or self.is_reading:
            return
        rows = Counter(self.status(key) if key else RowStatus.SKIPPED for key in self.read)
        rows[RowStatus.PENDING] += len(self.unread)
        assert self.tally.counts() == {status: rows[status] for status in RowStatus}
        answers = (RowStatus.COMPLETED, RowStatus.FAILED)
        paid = sum(self.status(key) in answers for key in self.bought)
        assert self.tally.reused == sum(rows[status] for status in answers) - paid


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_a_row_whose_refresh_was_given_up_keeps_its_old_result():
    tally = RowTally(2)
    batch(tally, stalled=[A], refreshing=[A, B])
    batch(tally, B)
    tally.hear(Failed(B, "RUN_FAILED", ""))
    assert told(tally) == {"completed": 2}
