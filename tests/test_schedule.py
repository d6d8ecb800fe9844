"""What is sent next. Time is a plain number here."""

import math
from collections.abc import Sized

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from enricher.model import Item
from enricher.schedule import Look, Run, Schedule, Submit

FAST = 0.1
"""Seconds that an answer takes until the schedule has seen any."""


def item(name):
    return Item(str(name).encode(), {})


def run(name, submitted_at=0.0, **more):
    return Run(str(name).encode(), f"id-{name}", submitted_at, **more)


def schedule_of(rate=5.0, prepared=0, **more):
    made = Schedule(rate, **more)
    made.prepared.extend(item(n) for n in range(prepared))
    return made


def taken(schedule, now, most=100):
    """Everything that may be sent at `now`: names of items, and ids of runs that are looked at.

    No answer comes meanwhile.
    """
    sent: list[str] = []
    while len(sent) < most and (what := schedule.next(now)):
        if isinstance(what, Submit):
            schedule.sent(what.item.key, now)
            sent.append(what.item.key.decode())
        else:
            sent.append(what.run.run_id)
    return sent


# --- the order --------------------------------------------------------------------------------


def test_what_is_paid_already_goes_first_then_what_is_new_then_what_is_due():
    schedule = schedule_of(prepared=2)
    schedule.accepted(run("due", submitted_at=0))
    schedule.recovered.extend([run("a"), run("b")])
    assert taken(schedule, 100) == ["id-a", "id-b", "0", "1", "id-due"]


def test_the_look_that_is_due_longest_goes_first():
    schedule = schedule_of()
    for name, at in (("late", 30), ("soon", 10), ("soon too", 10), ("now", 20)):
        schedule.look_again(run(name), at)
    assert taken(schedule, 20) == ["id-soon", "id-soon too", "id-now"]
    assert schedule.due_at() == 30


def test_nothing_to_do_is_nothing_due():
    schedule = schedule_of()
    assert (schedule.next(9), schedule.is_due(9), schedule.due_at()) == (None, False, math.inf)


# --- when to look -----------------------------------------------------------------------------


def test_the_first_look_is_due_two_seconds_after_the_submission():
    """The shortest interval that the API asks for (5.6)."""
    schedule = schedule_of()
    schedule.accepted(run("a", submitted_at=10))
    assert schedule.due_at() == 12
    assert taken(schedule, 11.99) == []
    assert taken(schedule, 12) == ["id-a"]


@pytest.mark.parametrize(
    ("age", "wait", "wait_at_the_end"),
    [
        (2, 5, 5),
        (20, 5, 5),
        (24, 6, 6),
        (60, 15, 15),
        (120, 30, 30),
        (600, 150, 30),
        (7200, 1800, 30),
    ],
)
def test_a_run_is_looked_at_again_after_a_quarter_of_its_age(age, wait, wait_at_the_end):
    def due(schedule):
        schedule.looked(run("a", submitted_at=100), ended=False, on=True, now=100 + age)
        return schedule.due_at() - 100 - age

    assert due(schedule_of()) == wait
    assert due(schedule_of(feed_ended=True, prepared=1)) == wait
    assert due(schedule_of(feed_ended=True)) == wait_at_the_end


def test_a_run_that_ended_or_was_given_up_is_looked_at_no_more():
    schedule = schedule_of()
    schedule.looked(run("a"), ended=True, on=False, now=10)
    schedule.looked(run("b"), ended=False, on=False, now=10)
    assert schedule.due_at() == math.inf


def test_an_answered_look_ends_a_row_of_faults():
    faulty = run("a", faults=7)
    schedule_of().looked(faulty, ended=False, on=True, now=10)
    assert faulty.faults == 0


# --- how many ---------------------------------------------------------------------------------


def looked_at(schedule, count, *, ended):
    for n in range(count):
        schedule.looked(run(n), ended=ended, on=False, now=10)
    return schedule.window


def test_the_window_begins_at_half_the_slots_of_twenty_seconds():
    assert [schedule_of(rate).window for rate in (0.5, 5, 50, 500, math.inf)] == [
        *(10, 50, 500),
        *(1000, 1000),
    ]


def test_the_window_follows_the_share_of_first_looks_that_come_too_early():
    schedule = schedule_of(50)
    assert looked_at(schedule, 1, ended=False) == 738
    schedule = schedule_of(50)
    for _ in range(100):
        looked_at(schedule, 1, ended=False)
        looked_at(schedule, 49, ended=True)
    assert schedule.window == pytest.approx(500, rel=0.5)


def test_the_window_has_bounds():
    assert looked_at(schedule_of(), 1000, ended=True) == 10
    schedule = schedule_of()
    assert looked_at(schedule, 1000, ended=False) == 1000
    assert looked_at(schedule, 100, ended=True) < 1000  # what is beyond the bound is not piled up


def test_only_first_looks_move_the_window():
    schedule = schedule_of(50)
    old = run("a")
    schedule.looked(old, ended=False, on=True, now=10)
    before = schedule.window
    for n in range(20):
        schedule.looked(old, ended=False, on=True, now=20 + n)
    assert schedule.window == before


def test_the_window_follows_the_rate():
    schedule = schedule_of(5)
    schedule.rate = 20
    assert schedule.window == 200


@pytest.mark.parametrize(("rate", "ahead"), [(0.5, 1), (5, 1), (25, 3), (50, 5), (math.inf, 100)])
def test_a_tenth_of_a_second_is_prepared_ahead(rate, ahead):
    assert schedule_of(rate).room() == ahead
    assert schedule_of(rate, prepared=ahead).room() == 0


def test_there_is_room_only_within_the_window():
    schedule = schedule_of(5)
    for n in range(49):
        schedule.opened(str(n).encode())
    assert (schedule.in_flight, schedule.room()) == (49, 1)
    schedule.opened(b"49")
    assert (schedule.in_flight, schedule.room()) == (50, 0)
    schedule.opened(b"49")
    schedule.closed(b"0")
    assert (schedule.in_flight, schedule.room()) == (49, 1)


# --- submissions without an answer ------------------------------------------------------------


def test_few_submissions_may_be_unanswered():
    schedule = schedule_of(prepared=10)
    assert taken(schedule, 0) == ["0", "1", "2", "3"]
    schedule.answered(b"2", FAST)
    assert taken(schedule, FAST) == ["4"]


def test_the_cap_follows_the_rate_and_the_usual_answer_time():
    assert len(taken(schedule_of(50, prepared=100), 0)) == 2 * 50 * FAST
    slow = schedule_of(5, prepared=100)
    for n in range(20):
        slow.sent(b"x%d" % n, n)
        slow.answered(b"x%d" % n, n + 1)
    assert len(taken(slow, 30)) == 10


def test_a_server_that_hangs_is_sent_nothing_new_until_it_answers():
    schedule = schedule_of(prepared=10)
    schedule.next(0)
    schedule.sent(b"0", 0)
    assert schedule.is_due(3)
    assert not schedule.is_due(3.01)
    schedule.accepted(run("a", submitted_at=0))
    assert taken(schedule, 10) == ["id-a"]
    schedule.answered(b"0", 20)
    assert schedule.is_due(20)


def test_what_hangs_is_measured_by_what_is_usual():
    schedule = schedule_of(50, prepared=10)
    for n in range(20):
        schedule.sent(b"x%d" % n, n)
        schedule.answered(b"x%d" % n, n + 2)
    schedule.sent(b"y", 100)
    assert schedule.is_due(110)
    assert not schedule.is_due(110.1)


def test_one_at_a_time_means_one_unanswered():
    schedule = schedule_of(prepared=3, one_at_a_time=True)
    assert taken(schedule, 0) == ["0"]
    schedule.answered(b"0", 1)
    assert taken(schedule, 1) == ["1"]


# --- all of it together -----------------------------------------------------------------------


class Whatever(RuleBasedStateMachine):
    """Anything that an engine may tell, in any order, as time goes on."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.schedule = Schedule(5.0)
        self.names = 0
        self.prepared: list[bytes] = []
        self.unanswered: list[bytes] = []
        self.recovered: list[str] = []
        self.waiting: dict[str, tuple[Run, float]] = {}
        self.looking: list[Run] = []

    def name(self):
        self.names += 1
        return str(self.names)

    @rule(seconds=st.floats(0, 20))
    def time_goes_on(self, seconds):
        self.now += seconds

    @rule(rate=st.sampled_from([0.5, 5.0, 50.0, math.inf]), one=st.booleans(), ended=st.booleans())
    def things_change(self, rate, one, ended):
        self.schedule.rate, self.schedule.one_at_a_time = rate, one
        self.schedule.feed_ended = ended

    @rule()
    def prepares(self):
        if self.schedule.room() > 0:
            new = item(self.name())
            self.schedule.opened(new.key)
            self.schedule.prepared.append(new)
            self.prepared.append(new.key)

    @rule(age=st.floats(0, 100))
    def recovers(self, age):
        found = run(self.name(), self.now - age)
        self.schedule.opened(found.key)
        self.schedule.recovered.append(found)
        self.recovered.append(found.run_id)

    def will_look(self, looked, at):
        assert self.schedule.due_at() <= at
        self.waiting[looked.run_id] = (looked, at)

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), accepted=st.booleans())
    def a_submission_is_answered(self, data, accepted):
        key = data.draw(st.sampled_from(self.unanswered))
        self.unanswered.remove(key)
        self.schedule.answered(key, self.now)
        if accepted:
            new = run(key.decode(), self.now)
            self.schedule.accepted(new)
            self.will_look(new, self.now + 2)
        else:
            self.schedule.closed(key)

    @precondition(lambda self: self.looking)
    @rule(data=st.data(), how=st.sampled_from(["ended", "goes on", "given up", "no answer"]))
    def a_look_is_over(self, data, how):
        looked = data.draw(st.sampled_from(self.looking))
        self.looking.remove(looked)
        if how == "no answer":
            self.schedule.look_again(looked, self.now + 3)
            self.will_look(looked, self.now + 3)
            return
        on = how == "goes on"
        self.schedule.looked(looked, ended=how == "ended", on=on, now=self.now)
        if on:
            ended = self.schedule.feed_ended and not self.prepared
            longest = 30 if ended else math.inf
            age = self.now - looked.submitted_at
            self.will_look(looked, self.now + max(5, min(age / 4, longest)))
        else:
            self.schedule.closed(looked.key)

    @rule()
    def sends(self):
        was_due = self.schedule.is_due(self.now)
        what = self.schedule.next(self.now)
        assert was_due is (what is not None)
        due = {at for _, at in self.waiting.values() if at <= self.now}
        match what:
            case Look(looked) if self.recovered:
                assert looked.run_id == self.recovered.pop(0)
                self.looking.append(looked)
            case Submit(new):
                assert not self.recovered
                assert new.key == self.prepared.pop(0)
                self.schedule.sent(new.key, self.now)
                self.unanswered.append(new.key)
            case Look(looked):
                assert self.waiting.pop(looked.run_id)[1] == min(due)
                self.looking.append(looked)
            case None:
                assert not due
                assert not self.recovered
                assert not self.prepared or self.unanswered

    @invariant()
    def it_knows_when_the_next_look_is_due(self):
        earliest = min((at for _, at in self.waiting.values()), default=math.inf)
        assert self.schedule.due_at() == earliest
        if not math.isinf(earliest):
            assert self.schedule.is_due(earliest)

    @invariant()
    def it_counts_what_is_open(self):
        held: tuple[Sized, ...] = (
            self.prepared,
            self.unanswered,
            self.recovered,
            self.waiting,
            self.looking,
        )
        assert self.schedule.in_flight == sum(len(each) for each in held)
        assert 10 <= self.schedule.window <= 1000


TestWhatever = Whatever.TestCase
