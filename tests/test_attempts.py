"""What a checkpoint tells of an item's attempts: when, in which pass, and what went before."""

import itertools
from pathlib import Path

import pytest

from enricher.checkpoint import Reader, Store
from enricher.model import (
    Completed,
    Doubted,
    Event,
    Failed,
    GotId,
    Intended,
    Spent,
    State,
    Withdrew,
)
from enricher.record import Record
from tests.support.checkpoints import CONTEXT, begin, completed, item

KEY = b"k"
LOST = Doubted(KEY, "the answer was lost")
FAILED = Failed(KEY, "RUN_FAILED", "so it is")
CLOSED = Failed(KEY, "IN_DOUBT", "the answer was lost")


@pytest.fixture
def store(tmp_path: Path):
    store = Store.open(tmp_path / "c.db", itertools.count(1000).__next__)
    begin(store)
    yield store
    store.close()


@pytest.fixture
def reader(store: Store, tmp_path: Path):
    with Reader(tmp_path / "c.db") as reader:
        yield reader


def record(reader: Reader) -> Record:
    return reader.records([KEY])[KEY]


def attempt(number: int, *events: Event) -> list[Event]:
    return [Intended(item("k", number - 1)), *events]


def next_pass(store: Store) -> int:
    store.finish_pass()
    begin(store)
    return store.this_pass.id


def run(ends: Completed | Failed) -> list[Event]:
    return [GotId(KEY, "r"), ends]


def test_a_result_is_as_old_as_the_attempt_that_brought_it(store: Store, reader: Reader):
    store.apply(attempt(1, *run(completed("k", a=1))))
    first, began = record(reader), store.this_pass.id
    assert first.outputs_at == first.ended_at > 1000
    assert (first.tried_in, first.before) == (began, None)
    second = next_pass(store)
    store.apply(attempt(2))
    again = record(reader)
    assert (again.outputs_at, again.ended_at) == (first.outputs_at, 0)
    assert (again.tried_in, again.before) == (second, State.COMPLETED)
    store.apply([FAILED])
    assert record(reader).outputs_at == first.outputs_at < record(reader).ended_at


def test_what_is_withdrawn_leaves_no_trace(store: Store, reader: Reader):
    store.apply(attempt(1, *run(completed("k", a=1))))
    before = record(reader)
    next_pass(store)
    store.apply(attempt(2, Withdrew(KEY)))
    assert record(reader) == before


@pytest.mark.parametrize(
    ("events", "before"),
    [
        ([LOST], State.IN_DOUBT),
        ([LOST, CLOSED], State.IN_DOUBT),
        (run(FAILED), State.FAILED),
    ],
)
def test_a_doubt_that_was_closed_is_still_known_as_one(
    store: Store, reader: Reader, events: list[Event], before: State
):
    store.apply(attempt(1, *events))
    store.apply(attempt(2))
    assert record(reader).before is before


def test_attempts_that_may_have_been_paid_twice_are_listed(store: Store, reader: Reader):
    store.apply(attempt(1, LOST))
    assert reader.second_charges(CONTEXT) == []
    store.apply(attempt(2))
    [found] = reader.second_charges(CONTEXT)
    assert (found.key, found.reason) == (KEY, "the answer was lost")
    store.apply([Withdrew(KEY)])
    assert reader.second_charges(CONTEXT) == []
    store.apply([CLOSED, *attempt(2, *run(FAILED)), *attempt(3)])
    assert [found.key for found in reader.second_charges(CONTEXT)] == [KEY]


def test_the_attempts_of_a_pass_are_runs_or_doubts(store: Store, reader: Reader):
    first = store.this_pass.id
    store.apply(attempt(1, LOST))
    for key in ("a", "b"):
        store.apply([Intended(item(key)), GotId(key.encode(), key), completed(key, x=1)])
    store.apply([Intended(item("no")), Failed(b"no", "INVALID_INPUTS", "never a run")])
    assert reader.attempts_of(first) == (2, 1)
    second = next_pass(store)
    store.apply(attempt(2, *run(FAILED)))
    assert reader.attempts_of(first) == (2, 1)
    assert reader.attempts_of(second) == (1, 0)


def test_a_pass_keeps_what_it_used_until_it_is_finished(store: Store, reader: Reader):
    spent = Spent(12.5, 300, 2.5, 1)
    store.save_spent(spent)
    begin(store)
    assert store.this_pass.spent == spent
    found = reader.open_pass("job")
    assert found is not None
    assert found.spent == spent
    next_pass(store)
    assert store.this_pass.spent is None
