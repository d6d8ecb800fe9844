"""What a checkpoint promises, on real files."""

import copy
import itertools
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from enricher.checkpoint import JobSpec, Reader, Store, hold
from enricher.checkpoint.exports import note_export, was_exported
from enricher.checkpoint.files import connect_reader, connect_writer
from enricher.checkpoint.schema import APPLICATION_ID, SCHEMA_VERSION
from enricher.checkpoint.store import ORPHANED
from enricher.errors import CheckpointError, IllegalTransition
from enricher.model import (
    TRANSITIONS,
    WITHDRAWN,
    Completed,
    Context,
    Doubted,
    Event,
    Failed,
    GotId,
    Intended,
    Item,
    OutputColumn,
    Stalled,
    State,
    Withdrew,
)
from enricher.record import Record
from tests.support.checkpoints import (
    CONTEXT,
    LIMIT,
    begin,
    completed,
    everything_in,
    item,
    outcome_of,
    rows_of,
    running,
    said,
    writing,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.checkpoint.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with writing(path) as store:
        yield store


@pytest.fixture
def reader(store: Store, path: Path) -> Iterator[Reader]:
    with Reader(path) as reader:
        yield reader


def untimed(record: Record | None) -> Record:
    """A record without what tells when its attempts were made."""
    assert record is not None
    return replace(record, outputs_at=0.0, ended_at=0.0, tried_in=0, before=None)


def record_of(reader: Reader, key: str = "k") -> Record | None:
    return reader.records([key.encode()], outputs=True).get(key.encode())


def state_and_attempt(reader: Reader) -> tuple[State | None, int]:
    record = record_of(reader)
    return (record.state, record.attempt) if record else (WITHDRAWN, 0)


def readable(path: Path) -> dict[str, tuple[Any, ...]]:
    """What someone with a SQLite browser sees of each item."""
    return {row[0]: row for row in rows_of(path, "SELECT * FROM readable_items")}


def looked_into_by_another_program(path: Path) -> int:
    """How many items a SQLite tool sees that opens the file for writing, looks, and leaves."""
    script = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
        "print(connection.execute('SELECT count(*) FROM items').fetchone()[0]); connection.close()"
    )
    command = [sys.executable, "-c", script, str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# --- the table of states -----------------------------------------------------------------------

ON_THE_WAY: Mapping[State | None, tuple[State, ...]] = {
    WITHDRAWN: (),
    State.SUBMITTING: (State.SUBMITTING,),
    State.RUNNING: (State.SUBMITTING, State.RUNNING),
    State.STALLED: (State.SUBMITTING, State.RUNNING, State.STALLED),
    State.IN_DOUBT: (State.SUBMITTING, State.IN_DOUBT),
    State.COMPLETED: (State.SUBMITTING, State.RUNNING, State.COMPLETED),
    State.FAILED: (State.SUBMITTING, State.RUNNING, State.FAILED),
}
"""The states through which an item comes to a state."""

UNFINISHED = (State.SUBMITTING, State.RUNNING, State.STALLED, State.IN_DOUBT)
STATES = [state for state in ON_THE_WAY if state is not None]


def move(to: State | None, key: str = "k", supersedes: int = 0, detail: str = "") -> Event:
    """The event that brings an item to a state."""
    raw = key.encode()
    events: Mapping[State | None, Event] = {
        State.SUBMITTING: Intended(item(key, supersedes)),
        State.RUNNING: GotId(raw, f"run{detail}"),
        State.STALLED: Stalled(raw, "RUN_TIMEOUT", f"too long {detail}"),
        State.IN_DOUBT: Doubted(raw, f"no answer {detail}"),
        State.COMPLETED: completed(key, answer=f"new {detail}"),
        State.FAILED: Failed(raw, "RUN_FAILED", f"no luck {detail}"),
        WITHDRAWN: Withdrew(raw),
    }
    return events[to]


def attempt(number: int, state: State | None, key: str = "k") -> list[Event]:
    """What brings attempt `number` of an item to a state."""
    return [move(to, key, number - 1) for to in ON_THE_WAY[state]]


@pytest.mark.parametrize("to", ON_THE_WAY)
@pytest.mark.parametrize("old", ON_THE_WAY)
def test_a_move_is_made_if_the_table_allows_it_and_else_changes_nothing(
    store: Store, reader: Reader, path: Path, old: State | None, to: State | None
):
    store.apply(attempt(1, old))
    before = everything_in(path)
    known = int(old is not None)
    event = move(to, supersedes=known)
    if to in TRANSITIONS[old]:
        assert store.apply([event]) == [True]
        attempts = known + 1 if to is State.SUBMITTING else known
        assert state_and_attempt(reader) == ((to, attempts) if to else (WITHDRAWN, 0))
    elif to is State.SUBMITTING:
        assert store.apply([event]) == [False]
        assert everything_in(path) == before
    else:
        with pytest.raises(IllegalTransition):
            store.apply([event])
        assert everything_in(path) == before


@pytest.mark.parametrize("to", [to for to in ON_THE_WAY if to is not State.SUBMITTING])
@pytest.mark.parametrize("old", STATES)
def test_the_table_holds_for_a_second_attempt_too(
    store: Store, reader: Reader, path: Path, old: State, to: State | None
):
    store.apply([*attempt(1, State.FAILED), *attempt(2, old)])
    before = everything_in(path)
    if to in TRANSITIONS[old]:
        assert store.apply([move(to)]) == [True]
        assert state_and_attempt(reader) == ((to, 2) if to else (State.FAILED, 1))
    else:
        with pytest.raises(IllegalTransition):
            store.apply([move(to)])
        assert everything_in(path) == before


def test_a_forbidden_move_takes_its_whole_group_with_it(store: Store, path: Path):
    before = everything_in(path)
    with pytest.raises(IllegalTransition):
        store.apply([*attempt(1, State.RUNNING, "other"), *attempt(1, State.COMPLETED), move(None)])
    assert everything_in(path) == before


def test_an_output_that_a_forbidden_group_named_first_is_named_by_the_next_group(
    store: Store, reader: Reader
):
    with pytest.raises(IllegalTransition):
        store.apply([*attempt(1, State.COMPLETED), move(WITHDRAWN)])
    store.apply(attempt(1, State.COMPLETED))
    assert reader.output_columns(reader.job()) == (OutputColumn("answer", "Answer"),)


# --- intents -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_an_item_that_is_known_is_not_intended_again(store: Store, path: Path, state: State):
    store.apply(attempt(1, state))
    before = everything_in(path)
    assert store.apply([Intended(Item(b"k", {"company_name": "something else"}))]) == [False]
    assert everything_in(path) == before


def test_of_two_intents_for_one_item_in_one_group_the_first_counts(store: Store, reader: Reader):
    first, second = Item(b"k", {"a": "first"}), Item(b"k", {"a": "second"})
    assert store.apply([Intended(first), Intended(second)]) == [True, False]
    assert [found.inputs for found in reader.unfinished(CONTEXT, *State)] == [{"a": "first"}]


def test_an_item_whose_intent_was_withdrawn_can_be_intended(store: Store, reader: Reader):
    store.apply([move(State.SUBMITTING), move(WITHDRAWN)])
    assert state_and_attempt(reader) == (WITHDRAWN, 0)
    assert store.apply([move(State.SUBMITTING)]) == [True]


@pytest.mark.parametrize("number", [2, 3, 99])
def test_an_attempt_supersedes_only_the_one_it_knew_of(store: Store, path: Path, number: int):
    store.apply(attempt(1, State.COMPLETED))
    before = everything_in(path)
    assert store.apply([Intended(item("k", supersedes=number))]) == [False]
    assert everything_in(path) == before


def test_an_unknown_item_cannot_be_superseded(store: Store, path: Path):
    before = everything_in(path)
    assert store.apply([Intended(item("k", supersedes=1))]) == [False]
    assert everything_in(path) == before


def test_of_two_attempts_that_supersede_the_same_one_the_first_counts(store: Store, reader: Reader):
    store.apply(attempt(1, State.FAILED))
    again = Intended(item("k", supersedes=1))
    assert store.apply([again, again]) == [True, False]
    store.apply([move(State.FAILED)])
    assert store.apply([again]) == [False]
    assert state_and_attempt(reader) == (State.FAILED, 2)


def test_a_superseded_attempt_moves_to_the_history(store: Store, path: Path):
    store.apply([*attempt(1, State.FAILED), *attempt(2, State.IN_DOUBT)])
    store.apply(attempt(3, State.RUNNING))
    history = rows_of(path, "SELECT attempt, state, run_id, code, message FROM attempt_history")
    assert history == [
        (1, State.FAILED, "run", "RUN_FAILED", "no luck "),
        (2, State.IN_DOUBT, None, "", "no answer "),
    ]


def test_a_new_attempt_shows_nothing_of_the_old_one_but_its_outputs(store: Store, reader: Reader):
    store.apply([*attempt(1, State.COMPLETED), *attempt(2, State.FAILED)])
    store.apply(attempt(3, State.SUBMITTING))
    assert untimed(record_of(reader)) == Record(
        State.SUBMITTING, 3, None, outputs={"answer": "new "}, has_outputs=True
    )
    (unfinished,) = reader.unfinished(CONTEXT, *UNFINISHED)
    assert (unfinished.run_id, unfinished.reason) == ("", "")


@pytest.mark.parametrize("end", [State.COMPLETED, State.FAILED])
def test_a_stalled_run_that_ended_says_how_it_ended_and_no_more(
    store: Store, reader: Reader, end: State
):
    store.apply([*attempt(1, State.STALLED), move(end)])
    record = record_of(reader)
    assert record is not None
    told = ("RUN_FAILED", "no luck ") if end is State.FAILED else ("", "")
    assert (record.state, record.code, record.message) == (end, *told)


def test_old_outputs_stay_until_a_new_attempt_is_complete(store: Store, reader: Reader, path: Path):
    def outputs() -> Any:
        record = record_of(reader)
        return record and record.has_outputs and record.outputs

    store.apply([move(State.SUBMITTING), completed("k", answer="old")])
    for number, end in enumerate([State.FAILED, State.IN_DOUBT, State.STALLED], start=2):
        for event in attempt(number, end):
            store.apply([event])
            assert outputs() == {"answer": "old"}
    store.apply([*attempt(5, State.RUNNING), completed("k", answer="newest")])
    assert outputs() == {"answer": "newest"}
    assert rows_of(path, "SELECT count(*) FROM results") == [(1,)]


@pytest.mark.parametrize("old", [State.STALLED, State.IN_DOUBT, State.COMPLETED, State.FAILED])
def test_a_new_attempt_that_is_withdrawn_leaves_the_item_exactly_as_it_was(path: Path, old: State):
    def shown() -> tuple[Any, ...]:
        with Reader(path) as reader:
            return record_of(reader), reader.unfinished(CONTEXT, *UNFINISHED), readable(path)

    with writing(path) as store:
        store.apply(attempt(1, old))
    before = shown()
    with writing(path, itertools.count(2_000_000).__next__, asked=["other"]) as store:
        store.apply(attempt(2, State.SUBMITTING))
        assert shown() != before
        store.apply([move(WITHDRAWN)])
    assert shown() == before
    assert rows_of(path, "SELECT * FROM attempt_history") == []


# --- random histories --------------------------------------------------------------------------


@dataclass(frozen=True)
class Try:
    """An attempt as the reference remembers it."""

    state: State
    asked: frozenset[str] | None
    at: float
    run_id: str = ""
    code: str = ""
    message: str = ""


class Reference:
    """What a checkpoint should hold: the attempts of each item and its newest outputs."""

    def __init__(self) -> None:
        self.tries: dict[bytes, list[Try]] = {}
        self.outputs: dict[bytes, tuple[Any, frozenset[str] | None]] = {}
        self.asked: frozenset[str] | None = None
        self.now = 0.0

    def state(self, key: bytes) -> State | None:
        return self.tries[key][-1].state if self.tries.get(key) else WITHDRAWN

    def write(self, event: Event) -> bool:
        if isinstance(event, Intended):
            return self._intend(event.item)
        if isinstance(event, Withdrew):
            self._must(event.key, WITHDRAWN)
            self.tries[event.key].pop()
            return True
        to, changes = self._end(event)
        self._must(event.key, to)
        newest = replace(self.tries[event.key][-1], state=to, **changes)
        self.tries[event.key][-1] = newest
        if isinstance(event, Completed):
            self.outputs[event.key] = (event.outputs, newest.asked)
        return True

    def _intend(self, item: Item) -> bool:
        tries = self.tries.setdefault(item.key, [])
        allowed = State.SUBMITTING in TRANSITIONS[self.state(item.key)]
        if len(tries) != item.supersedes or not allowed:
            return False
        tries.append(Try(State.SUBMITTING, self.asked, self.now))
        return True

    def _must(self, key: bytes, to: State | None) -> None:
        if to not in TRANSITIONS[self.state(key)]:
            raise IllegalTransition

    @staticmethod
    def _end(event: Event) -> tuple[State, dict[str, Any]]:
        match event:
            case GotId(run_id=run_id):
                return State.RUNNING, {"run_id": run_id}
            case Completed():
                return State.COMPLETED, {"code": "", "message": ""}
            case Doubted(reason=reason):
                return State.IN_DOUBT, {"code": "", "message": reason}
            case Stalled(code=code, message=message):
                return State.STALLED, {"code": code, "message": message}
            case Failed(code=code, message=message):
                return State.FAILED, {"code": code, "message": message}
        raise TypeError(event)

    def die(self) -> None:
        for tries in self.tries.values():
            if tries and tries[-1].state is State.SUBMITTING:
                tries[-1] = replace(tries[-1], state=State.IN_DOUBT, message=ORPHANED)

    def records(self) -> dict[bytes, Record]:
        records = {}
        for key, tries in self.tries.items():
            outputs, outputs_asked = self.outputs.get(key, (None, None))
            for newest in tries[-1:]:
                about = (newest.state, len(tries), newest.asked, newest.code, newest.message)
                has_outputs = key in self.outputs
                records[key] = Record(*about, outputs, outputs_asked, has_outputs)
        return records

    def unfinished(self) -> set[tuple[Any, ...]]:
        return {
            (key, newest.state, newest.run_id, newest.at, newest.message)
            for key, tries in self.tries.items()
            for newest in tries[-1:]
            if newest.state in UNFINISHED
        }


WISHES = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(list(ON_THE_WAY)) | st.integers(0, 9),
    st.integers(0, 3),
)
"""An item, where it is to go (a state, or the n-th that the table allows), and a number."""

DETAILS = itertools.count()
"""Makes every event another one."""


class Histories(RuleBasedStateMachine):
    """Lives of a checkpoint, and the same lives of a `Reference`."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "job.db"
        self.reference = Reference()
        self.open()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(wishes=st.lists(WISHES, min_size=1, max_size=4))
    def write_a_group(self, wishes: Sequence[tuple[str, Any, int]]) -> None:
        self.reference.now += 1
        after = copy.deepcopy(self.reference)
        events: list[Event] = []
        took: list[bool] = []
        for key, to, number in wishes:
            if not isinstance(to, State | None):
                allowed = sorted(TRANSITIONS[after.state(key.encode())], key=str)
                to, number = allowed[to % len(allowed)], len(after.tries.get(key.encode(), []))
            events.append(move(to, key, number, detail=str(next(DETAILS))))
            try:
                took.append(after.write(events[-1]))
            except IllegalTransition:
                with pytest.raises(IllegalTransition):
                    self.store.apply(events)
                return
        assert self.store.apply(events) == took
        self.reference = after

    @rule()
    def die_and_come_back(self) -> None:
        self.store.close()
        self.reference.now += 1
        self.reference.die()
        self.open()

    @rule(asked=st.sampled_from([None, frozenset({"p"}), frozenset({"p", "q"})]))
    def ask_for_other_columns(self, asked: frozenset[str] | None) -> None:
        self.reference.asked = asked
        begin(self.store, asked=None if asked is None else list(asked))

    @invariant()
    def the_records_are_the_same(self) -> None:
        with Reader(self.path) as reader:
            records = reader.records([b"a", b"b"], outputs=True)
            untold = {key: untimed(record) for key, record in records.items()}
            assert untold == self.reference.records()
            unfinished = reader.unfinished(CONTEXT, *UNFINISHED)
        found = {(u.key, u.state, u.run_id, u.submitted_at, u.reason) for u in unfinished}
        assert found == self.reference.unfinished()

    def open(self) -> None:
        self.store = Store.open(self.path, clock=lambda: self.reference.now)
        self.ask_for_other_columns(self.reference.asked)


def test_any_history_leaves_the_records_that_it_should():
    phases = [phase for phase in Phase if phase is not Phase.explain]  # which takes minutes
    limits = settings(max_examples=40, stateful_step_count=20, deadline=None, phases=phases)
    run_state_machine_as_test(Histories, settings=limits)


# --- lives and passes --------------------------------------------------------------------------


def test_a_submission_that_a_dead_process_left_is_in_doubt_and_all_else_is_as_it_was(path: Path):
    with writing(path) as store:
        for state in STATES:
            store.apply(attempt(1, state, key=state.name))
    before = readable(path)
    Store.open(path).close()
    after = readable(path)
    left = State.SUBMITTING.name.encode()
    assert {name for name in before if before[name] != after[name]} == {left.hex()}
    with Reader(path) as reader:
        (found,) = (f for f in reader.unfinished(CONTEXT, State.IN_DOUBT) if f.key == left)
    assert found.reason
    assert found.inputs == item(left.decode()).inputs


def test_what_was_in_doubt_stays_so_with_its_own_reason(path: Path):
    with writing(path) as store:
        store.apply(attempt(1, State.IN_DOUBT))
    before = readable(path)
    for _ in range(3):
        Store.open(path).close()
    assert readable(path) == before


def test_an_unfinished_pass_goes_on_until_it_is_finished(path: Path):
    with writing(path) as store:
        store.apply(attempt(1, State.COMPLETED))
    with writing(path) as store, Reader(path) as reader:
        assert reader.pass_has_answers("job")
        store.finish_pass()
        assert not reader.pass_has_answers("job")
    with writing(path) as store, Reader(path) as reader:
        assert not reader.pass_has_answers("job")
        store.apply(attempt(2, State.SUBMITTING))
        assert reader.pass_has_answers("job")
        store.apply([move(WITHDRAWN)])
        assert not reader.pass_has_answers("job")
    assert rows_of(path, "SELECT job, finished_at IS NULL FROM passes") == [("job", 0), ("job", 1)]


def test_each_job_has_passes_of_its_own(path: Path):
    with writing(path, job="one") as store:
        store.apply(attempt(1, State.COMPLETED))
    with writing(path, job="two") as store, Reader(path) as reader:
        assert reader.pass_has_answers("one")
        assert not reader.pass_has_answers("two")
        store.finish_pass()
    with Reader(path) as reader:
        assert reader.pass_has_answers("one")


def test_an_unknown_job_has_no_pass_no_census_and_no_summary(reader: Reader):
    assert not reader.pass_has_answers("unknown")
    assert reader.census("unknown") is None
    assert reader.latest_summary("unknown") is None


# --- jobs --------------------------------------------------------------------------------------


def test_a_job_comes_back_as_it_was_begun(store: Store, reader: Reader):
    context = Context("bitscale", "http://127.0.0.1:8", "ws", "grid-2", "src")
    spec = JobSpec(
        "two",
        context,
        ["b", "a"],
        options={"rate": 5, "input": "Übersicht.csv"},
        mapping={"company_name": {"column": "Firma"}},
        output_columns=[OutputColumn("a", "A"), OutputColumn("b", "Ä")],
    )
    store.begin(spec)
    job = reader.job()
    assert (job.id, job.context, job.census) == ("two", context, None)
    assert job.asked is not None
    assert set(job.asked) == {"a", "b"}
    assert job.options == {"rate": 5, "input": "Übersicht.csv"}
    assert job.mapping == {"company_name": {"column": "Firma"}}
    assert job.output_columns == (OutputColumn("a", "A"), OutputColumn("b", "Ä"))


def test_of_several_jobs_the_one_begun_last_is_meant_whatever_the_clock_says(path: Path):
    now = [3000.0]
    with closing(Store.open(path, clock=lambda: now[0])) as store, Reader(path) as reader:
        for number, job in enumerate(["one", "two", "three", "one", "two"]):
            now[0] -= number
            begin(store, job)
            assert reader.job().id == job
        assert reader.job("three").id == "three"
        assert reader.job("one").id == "one"


def test_a_job_that_is_not_there_is_named_with_a_mend(reader: Reader):
    with pytest.raises(CheckpointError, match="holds no job other") as caught:
        reader.job("other")
    assert caught.value.code == "job_missing"
    assert caught.value.mend


def test_a_checkpoint_without_a_job_says_so(path: Path):
    with closing(Store.open(path)), Reader(path) as reader:
        with pytest.raises(CheckpointError, match="holds no job") as caught:
            reader.job()
        assert caught.value.mend


def test_beginning_again_takes_the_new_options_and_keeps_the_census(store: Store, reader: Reader):
    store.save_census("job", {"total": 3})
    begin(store, asked=["a"], columns=[OutputColumn("a", "A")])
    job = reader.job()
    assert job.asked == ("a",)
    assert job.output_columns == (OutputColumn("a", "A"),)
    assert job.census == {"total": 3}


def test_the_census_kept_last_counts_for_its_job_alone(store: Store, reader: Reader):
    begin(store, "other")
    for total in (1, 2):
        store.save_census("job", {"fingerprint": {"size": 7}, "census": {"total": total}})
    assert reader.census("job") == {"fingerprint": {"size": 7}, "census": {"total": 2}}
    assert reader.job("job").census == reader.census("job")
    assert reader.census("other") is None


def test_the_latest_summary_is_of_the_latest_invocation_that_saved_one(
    store: Store, reader: Reader
):
    first, second = begin(store), begin(store)
    assert reader.latest_summary("job") is None
    store.save_summary(second, {"rows": 2})
    store.save_summary(first, {"rows": 1})
    store.save_summary(second, {"rows": 3})
    store.save_summary(begin(store, "other"), {"rows": 4})
    begin(store)
    assert reader.latest_summary("job") == {"rows": 3}
    assert reader.latest_summary("other") == {"rows": 4}


def test_an_output_that_was_claimed_is_known_as_written(store: Store, reader: Reader):
    assert not reader.wrote(Path("/out/leads.csv"))
    for _ in range(2):
        store.claim_output("/out/leads.csv")
    assert reader.wrote(Path("/out/leads.csv"))
    assert not reader.wrote(Path("/out/leads"))


# --- columns -----------------------------------------------------------------------------------

ANNOUNCED = (OutputColumn("z", "Zeta"), OutputColumn("b", "Beta"))


def test_announced_columns_come_first_and_what_came_back_besides_follows(path: Path):
    with writing(path, columns=ANNOUNCED) as store, Reader(path) as reader:
        assert reader.output_columns(reader.job()) == ANNOUNCED
        more = Completed(b"k", {"b": 1, "c": 2, "a": 3}, {"b": "other", "c": "Gamma", "a": "Alpha"})
        store.apply([move(State.SUBMITTING), more])
        besides = {OutputColumn("a", "Alpha"), OutputColumn("c", "Gamma")}
        columns = reader.output_columns(reader.job())
        assert columns[:2] == ANNOUNCED
        assert set(columns[2:]) == besides
        assert len(columns) == 4
    with writing(path, columns=ANNOUNCED), Reader(path) as reader:
        assert reader.output_columns(reader.job()) == columns


def test_an_output_keeps_the_name_it_had_first(path: Path):
    for number, name in enumerate(["First", "Second"], start=1):
        with writing(path) as store:
            intent = Intended(item("k", supersedes=number - 1))
            store.apply([intent, Completed(b"k", {"a": 1}, {"a": name})])
    with Reader(path) as reader:
        assert reader.output_columns(reader.job()) == (OutputColumn("a", "First"),)


def test_who_asked_for_some_columns_gets_no_others(path: Path):
    with writing(path, asked=["b"], columns=ANNOUNCED[1:]) as store, Reader(path) as reader:
        store.apply([move(State.SUBMITTING), completed("k", b=1, c=2)])
        assert reader.output_columns(reader.job()) == ANNOUNCED[1:]


@pytest.mark.parametrize("field", ["provider", "origin", "account", "target", "source"])
def test_what_came_back_from_elsewhere_is_not_shown(store: Store, reader: Reader, field: str):
    store.apply(attempt(1, State.COMPLETED))
    elsewhere = replace(CONTEXT, **{field: "another"})
    begin(store, "elsewhere", context=elsewhere)
    assert reader.output_columns(reader.job("elsewhere")) == ()
    assert reader.output_columns(reader.job("job")) == (OutputColumn("answer", "Answer"),)


def test_a_record_knows_what_was_asked_and_what_its_outputs_were_asked_for(
    store: Store, reader: Reader
):
    def asked() -> tuple[Any, Any]:
        record = record_of(reader)
        assert record is not None
        return record.asked, record.outputs_asked

    begin(store, asked=["b", "a"])
    store.apply(attempt(1, State.RUNNING))
    assert asked() == ({"a", "b"}, None)
    store.apply([move(State.COMPLETED)])
    assert asked() == ({"a", "b"}, {"a", "b"})
    begin(store, asked=None)
    store.apply(attempt(2, State.FAILED))
    assert asked() == (None, {"a", "b"})
    begin(store, asked=["c"])
    store.apply(attempt(3, State.COMPLETED))
    assert asked() == ({"c"}, {"c"})
    begin(store, asked=None)
    store.apply(attempt(4, State.COMPLETED))
    assert asked() == (None, None)
    assert untimed(record_of(reader)) == Record(
        State.COMPLETED, 4, None, outputs={"answer": "new "}, has_outputs=True
    )


# --- outputs and inputs ------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda values: st.lists(values) | st.dictionaries(TEXTS, values),
    max_leaves=10,
)
NASTY = {
    "beyond 64 bit": [2**63, -(2**63) - 1, 2**64, 10**300],
    "floats": [0.1, -0.0, 1e-320, 1.7976931348623157e308, 1.0, 3.141592653589793],
    "like numbers": ["1", "1.0", 1, 1.0, True, False, None],
    "quotes": "'\"`; DROP TABLE items; --\\",
    "scripts": "Ωμέγα 株式会社 شركة 🏴󠁧󠁢󠁳󠁣󠁴󠁿 \u0000 \u2028 \ufeff e\u0301",
    "": {"": [[], {}, [[]], {"a": {"b": {"c": [None]}}}]},
    "line\nends\r\n": "\n\r\n\t",
    "long": "x" * 3_000_000,
}


def test_outputs_of_every_kind_come_back_exactly(store: Store, reader: Reader):
    store.apply([move(State.SUBMITTING), Completed(b"k", NASTY, {})])
    record = record_of(reader)
    assert record is not None
    assert repr(record.outputs) == repr(NASTY)


def test_any_outputs_come_back_exactly(store: Store, reader: Reader):
    numbers = itertools.count()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.dictionaries(TEXTS, VALUES), min_size=1, max_size=3))
    def come_back(all_outputs: list[dict[str, Any]]) -> None:
        expected = {f"{next(numbers)}": outputs for outputs in all_outputs}
        store.apply([Intended(item(key)) for key in expected])
        store.apply([Completed(key.encode(), expected[key], {}) for key in expected])
        found = reader.records([key.encode() for key in expected], outputs=True)
        for key, outputs in expected.items():
            assert repr(found[key.encode()].outputs) == repr(outputs)

    come_back()


def test_an_item_that_is_complete_without_any_output_has_outputs(store: Store, reader: Reader):
    store.apply([move(State.SUBMITTING), Completed(b"k", {}, {})])
    assert untimed(record_of(reader)) == Record(
        State.COMPLETED, 1, None, outputs={}, has_outputs=True
    )


def test_outputs_are_read_only_if_wanted(store: Store, reader: Reader):
    store.apply(attempt(1, State.COMPLETED))
    record = reader.records([b"k"])[b"k"]
    assert (record.has_outputs, record.outputs) == (True, None)


def test_what_has_not_ended_is_listed_oldest_first_with_its_inputs(store: Store, reader: Reader):
    for key in ["c", "a", "b"]:
        store.apply(attempt(1, State.RUNNING, key))
    store.apply([*attempt(1, State.STALLED, "d"), *attempt(1, State.FAILED, "e")])
    begin(store, "elsewhere", context=replace(CONTEXT, target="other"))
    store.apply(attempt(1, State.RUNNING, "f"))
    found = reader.unfinished(CONTEXT, State.RUNNING)
    assert [one.key for one in found] == [b"c", b"a", b"b"]
    assert [one.inputs for one in found] == [item(key).inputs for key in "cab"]
    assert {one.run_id for one in found} == {"run"}
    assert sorted(one.submitted_at for one in found) == [one.submitted_at for one in found]
    (stalled,) = reader.unfinished(CONTEXT, State.STALLED)
    assert (stalled.key, stalled.reason) == (b"d", "too long ")
    assert reader.unfinished(CONTEXT, State.FAILED) == []


def test_the_file_reads_well_in_a_sqlite_browser(path: Path):
    with writing(path, lambda: 86_400.0) as store:
        store.apply([Intended(Item(b"\xab", {"company_name": "Åsa"})), GotId(b"\xab", "run")])
        store.apply([Completed(b"\xab", {"size": 3}, {})])
    columns = "item, state, attempt, inputs, outputs, run_id, submitted_utc, provider, target"
    assert rows_of(path, f"SELECT {columns} FROM readable_items") == [
        (
            "ab",
            "completed",
            1,
            '{"company_name":"Åsa"}',
            '{"size":3}',
            "run",
            "1970-01-02 00:00:00",
            "bitscale",
            "grid",
        )
    ]


# --- readers beside the writer -----------------------------------------------------------------


def test_thousands_of_keys_are_found_at_once_known_and_unknown(store: Store, reader: Reader):
    keys = [f"{n}" for n in range(3000)]
    store.apply([Intended(item(key)) for key in keys[::2]])
    store.apply([completed(key, answer=key) for key in keys[::4]])
    found = reader.records([key.encode() for key in [*keys, *keys]], outputs=True)
    assert set(found) == {key.encode() for key in keys[::2]}
    assert all(found[key.encode()].outputs == {"answer": key} for key in keys[::4])
    assert all(found[key.encode()].state is State.SUBMITTING for key in keys[2::4])
    assert reader.records([]) == {}


def test_a_reader_sees_every_group_whole_while_it_is_written(store: Store, reader: Reader):
    keys = [f"{n}" for n in range(3000)]
    raw = [key.encode() for key in keys]
    store.apply([Intended(item(key)) for key in keys])

    def write() -> None:
        for number in range(1, 3):
            store.apply([completed(key, answer=number) for key in keys])
            store.apply([Intended(item(key, supersedes=number)) for key in keys])

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    try:
        while writer.is_alive():
            records = reader.records(raw, outputs=True).values()
            views = {(r.state, r.attempt, r.outputs and r.outputs["answer"]) for r in records}
            assert (len(records), len(views)) == (3000, 1)
            seen |= views
    finally:
        writer.join()
    assert len(seen) > 1


def test_one_reader_serves_several_threads(store: Store, reader: Reader):
    keys = [f"{n}".encode() for n in range(3000)]
    store.apply([Intended(item(key.decode())) for key in keys])
    counts: list[int] = []

    def read() -> None:
        for _ in range(10):
            counts.append(len(reader.records(keys)))
            assert reader.job().id == "job"

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [3000] * 30


def test_a_reader_stands_in_nobodys_way(path: Path):
    with writing(path) as store, Reader(path) as first, Reader(path) as second:
        store.apply(attempt(1, State.RUNNING))
        assert record_of(first) == record_of(second)
        store.apply([move(State.COMPLETED)])
        assert state_and_attempt(first) == state_and_attempt(second) == (State.COMPLETED, 1)


def test_who_opens_the_file_with_another_tool_does_not_cost_what_is_written_after(path: Path):
    with writing(path) as store:
        store.apply([Intended(item("a"))])
        with Reader(path) as reader:
            assert record_of(reader, "a")
            assert looked_into_by_another_program(path) == 1
            store.apply([Intended(item("b"))])
        with Reader(path) as reader:
            assert looked_into_by_another_program(path) == 2
            store.apply([Intended(item("c"))])
            assert looked_into_by_another_program(path) == 3
            assert record_of(reader, "c")


def test_a_reader_cannot_write(store: Store, path: Path):
    with (
        closing(connect_reader(path)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM items")


# --- files -------------------------------------------------------------------------------------


def test_every_commit_is_synced_and_the_file_is_not_trusted(path: Path):
    with closing(connect_writer(path)) as db, closing(connect_reader(path)) as reading:

        def value(pragma: str) -> Any:
            return db.execute(f"PRAGMA {pragma}").fetchone()[0]

        assert value("journal_mode") == "wal"
        assert value("synchronous") == 2
        assert value("trusted_schema") == 0
        assert value("application_id") == APPLICATION_ID
        assert value("user_version") == SCHEMA_VERSION
        assert reading.execute("PRAGMA trusted_schema").fetchone() == (0,)


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_everything_is_private_whatever_the_umask(path: Path):
    with hold(path), writing(path) as store:
        store.apply(attempt(1, State.RUNNING))
        modes = {file.name.removeprefix(path.name): mode(file) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("", "-wal", "-shm", ".lock"), 0o600)


def test_a_file_of_no_bytes_is_taken_as_new_and_made_private(path: Path):
    path.touch(mode=0o644)
    with writing(path) as store:
        store.apply(attempt(1, State.RUNNING))
    with Reader(path) as reader:
        assert state_and_attempt(reader) == (State.RUNNING, 1)
    assert mode(path) == 0o600


@pytest.mark.parametrize("name", ["a b", "100%25?mode=memory#x", "Übersicht'\"", "-x", b"\xff\xfe"])
def test_any_file_name_will_do(tmp_path: Path, name: str | bytes):
    path = tmp_path / os.fsdecode(name)
    with writing(path) as store:
        store.apply(attempt(1, State.RUNNING))
        with Reader(path) as reader:
            assert state_and_attempt(reader) == (State.RUNNING, 1)
    assert list(tmp_path.iterdir()) == [path]


def sqlite_file(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


OURS = f"PRAGMA application_id = {APPLICATION_ID}"
NEWER = f"PRAGMA user_version = {SCHEMA_VERSION + 1}"
FOREIGN = {
    "text": lambda path: path.write_text("company,website\nAcme,acme.example\n"),
    "few bytes": lambda path: path.write_bytes(b"SQLite format 3\x00"),
    "noise": lambda path: path.write_bytes(random.Random(1).randbytes(5000)),
    "another database": lambda path: sqlite_file(path, "CREATE TABLE items (key)"),
    "another database with a log": lambda path: sqlite_file(
        path, "PRAGMA journal_mode = WAL", "CREATE TABLE items (key)"
    ),
    "a database of another program": lambda path: sqlite_file(
        path, "PRAGMA application_id = 7", "CREATE TABLE items (key)"
    ),
    "a newer checkpoint": lambda path: sqlite_file(path, OURS, NEWER, "CREATE TABLE items (key)"),
    "a damaged checkpoint": lambda path: path.write_bytes(
        b"SQLite format 3\x00" + bytes(52) + APPLICATION_ID.to_bytes(4, "big") + b"\xff" * 5000
    ),
}


@pytest.mark.parametrize("opening", [Store.open, Reader])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_of_ours_is_refused_and_left_as_it_is(
    path: Path, kind: str, opening: Any
):
    FOREIGN[kind](path)
    path.chmod(0o644)
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(CheckpointError) as caught:
        opening(path)
    assert str(path) in caught.value.message
    assert caught.value.mend
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert mode(path) == 0o644


PLANTED = {
    "trigger": ("CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END",),
    "view": ("CREATE VIEW v AS SELECT * FROM items",),
    "virtual table": ("CREATE VIRTUAL TABLE r USING rtree(id, low, high)",),
    "view in place of a table": ("DROP TABLE items", "CREATE VIEW items AS SELECT 1"),
    "changed view": ("DROP VIEW readable_items", "CREATE VIEW readable_items AS SELECT 1"),
}


@pytest.mark.parametrize("opening", [Store.open, Reader])
@pytest.mark.parametrize("kind", PLANTED)
def test_a_checkpoint_in_which_something_was_planted_is_refused_and_left_as_it_is(
    path: Path, kind: str, opening: Any
):
    with writing(path) as store:
        store.apply(attempt(1, State.SUBMITTING))
    sqlite_file(path, *PLANTED[kind])
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="enricher never puts") as caught:
        opening(path)
    assert caught.value.mend
    assert path.read_bytes() == before


def test_what_a_person_adds_for_looking_things_up_is_no_offence(path: Path):
    with writing(path) as store:
        store.apply(attempt(1, State.RUNNING))
    sqlite_file(path, "CREATE INDEX mine ON items (run_id)", "ANALYZE", "VACUUM")
    with writing(path), Reader(path) as reader:
        assert state_and_attempt(reader) == (State.RUNNING, 1)


@pytest.mark.parametrize("opening", [Store.open, Reader])
@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
def test_a_planted_link_beside_the_checkpoint_is_not_followed(
    path: Path, ending: str, opening: Any
):
    with writing(path) as store:
        store.apply(attempt(1, State.RUNNING))
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.with_name(path.name + ending).symlink_to(victim)
    with pytest.raises(CheckpointError, match="is a link") as caught:
        opening(path)
    assert caught.value.mend
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("opening", [Store.open, Reader])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_directory_and_a_pipe_are_refused_at_once(path: Path, make: Any, opening: Any):
    make(path)
    before = path.stat().st_mode
    with pytest.raises(CheckpointError) as caught:
        opening(path)
    assert caught.value.mend
    assert path.stat().st_mode == before


@pytest.mark.parametrize("place", ["missing/job.db", "file/job.db", "x" * 300])
def test_where_no_file_can_be_none_is_made(tmp_path: Path, place: str):
    (tmp_path / "file").touch()
    for opening in (Store.open, Reader):
        with pytest.raises(CheckpointError) as caught:
            opening(tmp_path / place)
        assert caught.value.mend
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_reader_makes_no_file_where_there_is_none(path: Path):
    with pytest.raises(CheckpointError, match="no checkpoint at") as caught:
        Reader(path)
    assert caught.value.code == "checkpoint_missing"
    assert "enricher run" in caught.value.mend
    assert list(path.parent.iterdir()) == []


def test_a_newer_format_is_seen_while_it_stands_in_the_log_alone(path: Path, tmp_path: Path):
    copied = tmp_path / "copy" / path.name
    copied.parent.mkdir()
    with closing(connect_writer(path)) as db:
        db.execute(NEWER)
        for file in (path, path.with_name(f"{path.name}-wal")):
            shutil.copy(file, copied.parent)
    for opening in (Reader, Store.open):
        with pytest.raises(CheckpointError, match="newer enricher") as caught:
            opening(copied)
        assert "Update enricher" in caught.value.mend
    assert rows_of(copied, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]


@pytest.mark.parametrize("there", [True, False])
def test_a_planted_link_is_not_followed_to_make_a_new_checkpoint(path: Path, there: bool):
    victim = path.with_name("victim")
    if there:
        victim.touch(mode=0o644)
    path.symlink_to(victim)
    with pytest.raises(CheckpointError, match="cannot be made") as caught:
        Store.open(path)
    assert caught.value.mend
    assert victim.exists() is there
    if there:
        assert (victim.read_bytes(), mode(victim)) == (b"", 0o644)


def test_a_link_to_a_checkpoint_is_that_checkpoint(path: Path):
    link = path.with_name("link.db")
    with writing(path) as store:
        store.apply(attempt(1, State.RUNNING))
    link.symlink_to(path)
    with writing(link) as store, Reader(path) as reader:
        store.apply([move(State.COMPLETED)])
        assert state_and_attempt(reader) == (State.COMPLETED, 1)


MIGRATIONS = (
    "CREATE TABLE _sqlite_migrations"
    " (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)"
)
BEGUN = {
    "no byte": (),
    "its id": (OURS,),
    "its log": (OURS, "PRAGMA journal_mode = WAL"),
    "a list of migrations": (OURS, "PRAGMA journal_mode = WAL", MIGRATIONS),
}


@pytest.mark.parametrize("statements", BEGUN.values(), ids=BEGUN)
def test_a_file_whose_making_was_cut_short_is_gone_on_with(path: Path, statements: Sequence[str]):
    path.touch()
    sqlite_file(path, *statements)
    with pytest.raises(CheckpointError, match="nothing in the checkpoint") as caught:
        Reader(path)
    assert "enricher run" in caught.value.mend
    with writing(path) as store, Reader(path) as reader:
        store.apply(attempt(1, State.RUNNING))
        assert state_and_attempt(reader) == (State.RUNNING, 1)


@pytest.mark.parametrize("first_sector", [512, 0])
def test_a_first_transaction_that_was_cut_short_is_taken_back_and_the_file_is_ours(
    path: Path, tmp_path: Path, first_sector: int
):
    sqlite_file(tmp_path / "whole.db", OURS)
    page = (tmp_path / "whole.db").read_bytes()[:first_sector]
    path.write_bytes(page + bytes(4096 - len(page)))
    sizes = (0, 7, 0, 512, 4096)  # records, nonce, pages before, sector, page
    header = bytes.fromhex("d9d505f920a163d7") + b"".join(n.to_bytes(4, "big") for n in sizes)
    path.with_name(f"{path.name}-journal").write_bytes(header.ljust(512, b"\0"))
    with pytest.raises(CheckpointError, match="nothing in the checkpoint"):
        Reader(path)
    with writing(path) as store:
        store.apply(attempt(1, State.RUNNING))
    with writing(path) as store, Reader(path) as reader:
        assert state_and_attempt(reader) == (State.RUNNING, 1)
    assert rows_of(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


@pytest.mark.parametrize("enough", [1, 3, 10, 31])
def test_killed_while_it_makes_checkpoints_it_leaves_none_that_cannot_be_opened(
    tmp_path: Path, enough: int
):
    with running("make", tmp_path) as process:
        for _ in range(enough):
            said(process)
        process.kill()
        process.wait()
    made = list(tmp_path.glob("*.db"))
    assert len(made) >= enough
    for path in made:
        with writing(path) as store:
            store.apply(attempt(1, State.COMPLETED))


# --- disks that do not take it -----------------------------------------------------------------


def test_a_full_disk_is_told_and_costs_nothing_that_was_acknowledged(path: Path):
    groups, code, mend = outcome_of("fill", path)
    assert int(groups) > 10
    assert code == "checkpoint_write"
    assert "space" in mend
    assert max(file.stat().st_size for file in path.parent.iterdir()) <= LIMIT
    with Reader(path) as reader:
        keys = [f"{group}-{n}".encode() for group in range(int(groups) + 1) for n in range(20)]
        assert set(reader.records(keys)) == set(keys[:-20])
    with writing(path) as store:
        store.apply([Intended(item("more"))])
    assert rows_of(path, "PRAGMA integrity_check") == [("ok",)]


def test_where_nothing_may_be_made_every_door_says_so():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
        new, held, old = outcome_of("in_read_only_directory", folder)
        assert new.startswith("True The checkpoint")
        assert held.startswith("True The lock file")
        assert old.startswith("True The checkpoint")


# --- kill -9 -----------------------------------------------------------------------------------

NOT_BEFORE = {
    "intended": {State.IN_DOUBT, State.RUNNING, State.COMPLETED},
    "running": {State.RUNNING, State.COMPLETED},
    "completed": {State.COMPLETED},
}
"""What an item may be after a kill, by the last of its events that was acknowledged."""


def test_whatever_was_acknowledged_is_there_after_a_kill(path: Path):
    draw = random.Random(9)
    for life in range(20):
        with running("append", path, life) as process:
            lines = [said(process) for _ in range(draw.randint(1, 500))]
            process.kill()
            assert process.stdout is not None
            lines += [line.strip() for line in process.stdout if line.endswith("\n")]
        latest = dict(line.split() for line in lines)
        Store.open(path).close()
        with Reader(path) as reader:
            records = reader.records([key.encode() for key in latest], outputs=True)
        for key, event in latest.items():
            record = records[key.encode()]
            assert record.state in NOT_BEFORE[event]
            assert record.outputs == ({"answer": key} if record.has_outputs else None)
    assert rows_of(path, "PRAGMA integrity_check") == [("ok",)]


# --- exports -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.csv", "Übersicht \r\x85\u2028.csv", b"\xff.csv"])
def test_an_export_is_known_again_and_no_other_file_is(path: Path, name: str | bytes):
    output = path.parent / os.fsdecode(name)
    assert not was_exported(path, output)
    note_export(path, path.parent / "another.csv")
    for _ in range(2):
        note_export(path, output)
    assert was_exported(path, output)
    assert not was_exported(path, path.parent / "out")
    (listed,) = path.parent.iterdir()
    assert mode(listed) == 0o600
    assert len(listed.read_bytes().splitlines()) >= 2


@pytest.mark.usefixtures("umask")
def test_the_list_of_exports_is_private_whatever_the_umask(path: Path):
    note_export(path, path.parent / "out.csv")
    (listed,) = path.parent.iterdir()
    assert mode(listed) == 0o600


def test_a_planted_link_is_not_followed_to_note_an_export(path: Path):
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.with_name(f"{path.name}.exports").symlink_to(victim)
    with pytest.raises(CheckpointError):
        note_export(path, path.parent / "out.csv")
    assert victim.read_text() == "precious"


def test_an_export_that_cannot_be_noted_is_told(path: Path):
    with pytest.raises(CheckpointError) as caught:
        note_export(path.parent / "missing" / "job.db", path.parent / "out.csv")
    assert caught.value.mend
