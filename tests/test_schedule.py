"""What is sent next. Time is a plain number here."""

import itertools
import math
import random
from collections.abc import Sized

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from enricher.model import Item
from enricher.schedule import Look, Run, Schedule, Submit
from enricher.schedule.looks import SCOUTED
from tests.support.slots import work_off

FAST = 0.1
"""Seconds that an answer takes until the schedule has seen any."""

APART = 2.0
"""Seconds between two looks at one run, at least (BitScale API, 5.6)."""

LONG_SINCE = -10_000.0
"""A time at which a run was submitted if its look is due whatever is known of durations."""

HOLD = 120.0
HAIR = 1e-6


def item(name):
    return Item(str(name).encode(), {})


def run(name, submitted_at=0.0, **more):
    return Run(str(name).encode(), f"id-{name}", submitted_at, **more)


def schedule_of(rate=5.0, prepared=0, **more):
    made = Schedule(rate, **more)
    made.prepared.extend(item(n) for n in range(prepared))
    return made


def taught(schedule, seconds, count):
    """The schedule after so many held submissions brought results, each after `seconds`."""
    for _ in range(count):
        schedule.held(seconds)
    return schedule


def taken(schedule, now, most=2000):
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


def test_a_result_that_is_ready_and_one_that_is_waited_for_go_before_everything():
    schedule = schedule_of(prepared=1)
    schedule.accepted(run("due", LONG_SINCE))
    schedule.recovered.append(run("old"))
    ready, new = run("ready"), run("new")
    schedule.ready(ready, "result", 0)
    schedule.waited_for(new, "wait")
    assert schedule.is_due(0)
    assert not schedule.submits_next(0)
    assert taken(schedule, 0) == ["id-ready", "id-new", "id-old", "id-due", "0"]
    assert (ready.stage, ready.held) == ("result", False)
    assert (new.stage, new.held) == ("wait", True)


def test_the_end_of_a_run_is_learnt_once_however_often_its_result_is_asked_for():
    schedule = schedule_of()
    runs = [run(number) for number in range(SCOUTED)]
    for one in (*runs[:-1], *runs[:-1]):
        schedule.ready(one, "result", 10)
    assert schedule.estimate(1) is None, "too few ends are known"
    schedule.ready(runs[-1], "result", 10)
    assert schedule.estimate(1) is not None


@pytest.mark.parametrize("holding", [False, True])
def test_what_is_paid_already_goes_first_then_what_is_due_then_what_is_new(holding):
    schedule = schedule_of(prepared=2, hold=HOLD, holding=holding)
    schedule.accepted(run("due", LONG_SINCE))
    schedule.recovered.extend([run("a"), run("b")])
    assert taken(schedule, 0) == ["id-a", "id-b", "id-due", "0", "1"]


def test_near_the_end_what_is_new_goes_before_what_is_due():
    schedule = schedule_of(prepared=2, to_come=0)
    schedule.accepted(run("due", LONG_SINCE))
    schedule.recovered.append(run("a"))
    assert taken(schedule, 0) == ["id-a", "0", "1", "id-due"]


def is_near_the_end(schedule, to_come):
    """Whether what is new goes before what is due, with so much to come."""
    schedule.to_come = to_come
    schedule.prepared.append(item("new"))
    schedule.look_again(run("due", LONG_SINCE), 0)
    order = taken(schedule, 0)
    schedule.answered(b"new", 0)
    assert sorted(order) == ["id-due", "new"]
    return order[0] == "new"


def test_the_end_is_near_when_the_slowest_runs_take_as_long_as_what_is_left():
    """At 5 requests a second; the slowest of these runs is about as fast as all others."""
    schedule = taught(schedule_of(), 60, 100)
    assert is_near_the_end(schedule, 5 * 60)
    assert not is_near_the_end(schedule, 5 * 60 * 2)
    quick = taught(schedule_of(), 3, 100)
    assert is_near_the_end(quick, 5 * 3)
    assert not is_near_the_end(quick, 5 * 60)


def test_until_much_is_known_the_end_is_near_when_twenty_seconds_are_left():
    for known in (0, 20):
        assert is_near_the_end(taught(schedule_of(), 60, known), 5 * 20)
        assert not is_near_the_end(taught(schedule_of(), 60, known), 5 * 20 + 1)


def test_what_is_open_is_left_to_do_too():
    schedule = schedule_of(to_come=0)
    for n in range(5 * 20 + 1):
        schedule.opened(b"%d" % n)
    assert not is_near_the_end(schedule, 0)


def test_the_look_that_is_due_longest_goes_first():
    schedule = schedule_of()
    for name, at in (("late", 30), ("soon", 10), ("soon too", 10), ("now", 20)):
        schedule.look_again(run(name, LONG_SINCE), at)
    assert taken(schedule, 20) == ["id-soon", "id-soon too", "id-now"]
    assert schedule.due_at() == 30


def test_nothing_to_do_is_nothing_due():
    schedule = schedule_of()
    assert (schedule.next(9), schedule.is_due(9), schedule.due_at()) == (None, False, math.inf)


# --- when to look -----------------------------------------------------------------------------


@given(st.lists(st.floats(0, 200), max_size=40), st.sampled_from([0.0, 10.0, math.inf]))
@settings(max_examples=30)
def test_no_run_is_looked_at_within_two_seconds_of_its_submission(durations, to_come):
    schedule = schedule_of(to_come=to_come, hold=HOLD)
    for n, seconds in enumerate(durations):
        taught(schedule, seconds, 1)
        schedule.accepted(run(n, submitted_at=10))
        assert schedule.due_at() >= 10 + APART


def test_runs_of_which_nothing_is_known_are_asked_for_after_two_seconds():
    schedule = schedule_of()
    schedule.accepted(run("a", submitted_at=10))
    assert schedule.due_at() == 12
    assert taken(schedule, 11.99) == []
    assert taken(schedule, 12) == ["id-a"]


def test_a_run_that_was_handed_over_is_looked_at_with_the_age_it_has():
    schedule = schedule_of(hold=HOLD, holding=True)
    schedule.accepted(run("a", submitted_at=10, alive_at=120.5))
    assert 10 + 120.5 + APART <= schedule.due_at() <= 10 + 2 * 120.5


def test_a_run_that_ended_or_was_given_up_is_looked_at_no_more():
    schedule = schedule_of()
    schedule.looked(run("a"), ended=True, on=False, now=10)
    schedule.looked(run("b"), ended=False, on=False, now=10)
    assert schedule.due_at() == math.inf


def test_an_answered_look_ends_a_row_of_faults():
    faulty = run("a", faults=7)
    schedule_of().looked(faulty, ended=False, on=True, now=10)
    assert faulty.faults == 0


def test_what_is_learnt_does_not_repeat_a_failed_look_before_its_time():
    schedule = schedule_of()
    schedule.look_again(run("a"), 500)
    taught(schedule, 3, 100)
    assert schedule.due_at() == 500


def test_an_answer_ends_the_wait_that_a_fault_brought():
    schedule = schedule_of()
    schedule.look_again(faulty := run("a", LONG_SINCE), 500)
    assert taken(schedule, 500) == ["id-a"]
    schedule.looked(faulty, ended=False, on=True, now=500)
    assert 500 + APART <= schedule.due_at() < math.inf


# --- how much that costs ----------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 3, 10, 60])
def test_runs_of_one_duration_need_a_submission_and_a_look(seconds):
    """But for a dozen that are asked for early, and those sent before anything was known."""
    worked = work_off(schedule_of(), [seconds] * 500)
    assert worked.requests_per_run < 2.15


def test_a_list_of_mixed_runs_takes_hardly_longer_than_its_requests_do():
    chance = random.Random(3)
    durations = [chance.lognormvariate(math.log(20), 0.6) for _ in range(1000)]
    worked = work_off(schedule_of(), durations)
    assert worked.requests_per_run < 2.15
    assert worked.seconds <= 2.2 * 1000 / 5


def test_looks_come_no_later_and_later_for_runs_that_stay_the_same():
    """A look says only that the run has ended by then: learning from that must not drift."""
    worked = work_off(schedule_of(), [20] * 3000)
    late = [ages[-1] for ages in worked.looks[1500:2500]]  # after it, submissions go first
    assert 20 <= min(late) <= max(late) <= 20 * 1.15**2  # two steps of what is told apart


def test_runs_that_become_longer_and_shorter_again_are_followed():
    lists = {"short": [4] * 500, "long": [90] * 1500, "shorter": [9] * 3500, "the end": [9] * 500}
    worked = work_off(schedule_of(), [*itertools.chain.from_iterable(lists.values())])
    looks = iter(worked.looks)
    last = {name: [*itertools.islice(looks, len(runs))][-100:] for name, runs in lists.items()}
    for name, longest in (("short", 8), ("long", 180), ("shorter", 30)):
        assert all(ages[-1] <= longest for ages in last[name]), name
        assert sum(map(len, last[name])) <= 110, name


def test_two_looks_at_a_run_lie_apart():
    chance = random.Random(5)
    durations = [chance.lognormvariate(2, 1.5) for _ in range(500)]
    for ages in work_off(schedule_of(), durations).looks:
        assert all(
            later - sooner >= APART - HAIR for sooner, later in itertools.pairwise((0, *ages))
        )


def test_when_nothing_is_left_to_submit_a_run_is_looked_at_soon():
    """Its next look was set while nobody knew how much there was to do."""
    schedule = schedule_of(to_come=math.inf)
    found = run("a")
    schedule.opened(found.key)
    schedule.looked(found, ended=False, on=True, now=3.0)
    assert schedule.due_at() > 15
    schedule.expect(0)
    assert schedule.due_at() < 8


# --- how many ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "ahead"), [(0.5, 1), (5, 1), (25, 3), (50, 5), (math.inf, 100)])
def test_a_tenth_of_a_second_is_prepared_ahead(rate, ahead):
    assert schedule_of(rate).room(0.1) == ahead
    assert schedule_of(rate, prepared=ahead).room(0.1) == 0


def test_more_is_prepared_where_it_takes_longer():
    assert schedule_of(5).room(0.9) == 5


def test_there_is_room_only_for_as_many_as_may_be_in_flight():
    schedule = schedule_of(5, most_in_flight=50)
    for n in range(49):
        schedule.opened(str(n).encode())
    assert (schedule.in_flight, schedule.room(0.1)) == (49, 1)
    schedule.opened(b"49")
    assert (schedule.in_flight, schedule.room(0.1)) == (50, 0)
    schedule.opened(b"49")
    schedule.closed(b"0")
    assert (schedule.in_flight, schedule.room(0.1)) == (49, 1)


def test_by_itself_no_more_than_a_thousand_are_in_flight():
    worked = work_off(schedule_of(1000), [30] * 1200)
    assert worked.most_open == 1000


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=30),
    st.integers(1, 12),
    st.sampled_from([0.5, 5.0, 50.0, 1000.0]),
)
@settings(max_examples=30)
def test_no_more_are_in_flight_than_asked_for_and_all_end(durations, most, rate):
    worked = work_off(schedule_of(rate, most_in_flight=most), durations)
    assert worked.most_open <= most
    assert len(worked.looks) == len(durations)
    for ages, seconds in zip(worked.looks, durations, strict=True):
        assert ages[-1] >= seconds


def test_where_few_may_be_in_flight_looks_come_sooner():
    """Slots are free then, and every second of waiting keeps the next run from beginning."""
    chance = random.Random(1)
    durations = [chance.lognormvariate(math.log(20), 0.6) for _ in range(300)]
    worked = work_off(schedule_of(most_in_flight=10), durations)
    late = sum(ages[-1] for ages in worked.looks) / sum(durations)
    assert late < 1.25
    free = work_off(schedule_of(), durations)
    assert late < sum(ages[-1] for ages in free.looks) / sum(durations)


def test_a_window_that_the_limit_could_fill_at_once_leaves_no_slot_unused():
    """1,000 runs are submitted before the first may be looked at: no waves may come of it."""
    durations = [1.0] * 10_000
    worked = work_off(schedule_of(600), durations)
    assert worked.requests == 2 * len(durations)
    assert worked.seconds < 1.03 * 2 * len(durations) / 600


def full_of_runs_that_take(seconds, to_come):
    """A schedule whose window of 20 is full of new runs of which the plan knows the duration."""
    schedule = taught(schedule_of(most_in_flight=20, to_come=to_come), seconds, 100)
    for n in range(20):
        schedule.opened(str(n).encode())
        schedule.accepted(run(n, n / 5))
    return schedule


@pytest.mark.parametrize(("seconds", "earliest"), [(3.0, APART), (60.0, 30.0)])
def test_while_the_window_is_full_a_look_comes_as_early_as_half_of_its_time(seconds, earliest):
    early, planned = (full_of_runs_that_take(seconds, n).due_at() for n in (10_000, 0))
    assert earliest <= early <= 1.15 * earliest
    assert seconds <= planned <= 1.15 * seconds
    assert taken(full_of_runs_that_take(seconds, 10_000), early, most=1) == ["id-0"]
    assert taken(full_of_runs_that_take(seconds, 0), early, most=1) == []


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


def test_what_a_later_submission_has_overtaken_holds_up_nothing_until_there_are_many():
    schedule = schedule_of(prepared=10)
    for n in range(10):
        schedule.sent(b"lost%d" % n, n)
        schedule.sent(b"x%d" % n, n + 0.5)
        schedule.answered(b"x%d" % n, n + 0.6)
        assert schedule.is_due(n + 0.9)
    assert schedule.is_due(12)
    assert not schedule.is_due(20), "ten are late: the server loses too much"
    schedule.answered(b"lost0", 20, usable=False)
    assert schedule.is_due(20)


def test_what_hangs_is_measured_by_what_is_usual():
    schedule = schedule_of(50, prepared=10)
    for n in range(20):
        schedule.sent(b"x%d" % n, n)
        schedule.answered(b"x%d" % n, n + 2)
    schedule.sent(b"y", 100)
    assert schedule.is_due(110)
    assert not schedule.is_due(110.1)


@pytest.mark.parametrize("holding", [False, True])
def test_one_at_a_time_means_one_unanswered(holding):
    schedule = schedule_of(prepared=3, one_at_a_time=True, hold=HOLD, holding=holding)
    assert taken(schedule, 0) == ["0"]
    schedule.answered(b"0", 1)
    assert taken(schedule, 1) == ["1"]


def held_schedule(prepared=2000, **more):
    return schedule_of(prepared=prepared, hold=HOLD, holding=True, **more)


@pytest.mark.parametrize("known", [0, 1, 11])
def test_few_submissions_are_held_until_answers_come(known):
    """Each of them is in doubt if the server never answers; each answer lets two more go."""
    assert len(taken(taught(held_schedule(), 5, known), 0)) == 10 + 2 * known


@pytest.mark.parametrize("seconds", [3, 20, 90])
@pytest.mark.parametrize("rate", [5, 10])
def test_then_as_many_are_held_as_the_rate_needs_twice_over(rate, seconds):
    """`rate` submissions a second, each held for `seconds`."""
    held = len(taken(taught(held_schedule(rate=rate), seconds, 50), 0))
    assert 2 * rate * seconds <= held <= 2 * rate * seconds * 1.3


def test_a_run_that_outlasts_the_hold_counts_as_held_for_so_long():
    schedule = held_schedule()
    for n in range(50):
        handed_over = run(n, alive_at=HOLD)
        schedule.accepted(handed_over)
        schedule.looked(handed_over, ended=True, on=False, now=1000)
    assert 2 * 5 * HOLD * 0.9 <= len(taken(schedule, 0)) <= 2 * 5 * HOLD


def test_very_short_runs_are_held_ten_at_a_time():
    assert len(taken(taught(held_schedule(rate=0.5), 1, 50), 0)) == 10


def test_a_held_submission_that_takes_its_time_stops_nothing():
    schedule = held_schedule(prepared=2)
    schedule.sent(b"x", 0)
    assert len(taken(schedule, 100)) == 2


# --- what is told of it -----------------------------------------------------------------------


def test_nothing_is_estimated_until_a_dozen_runs_have_ended():
    schedule = schedule_of()
    assert taught(schedule, 5, 11).estimate(100) is None
    estimate = taught(schedule, 5, 1).estimate(100)
    assert estimate.requests == pytest.approx(200, rel=0.05)
    assert estimate.seconds >= estimate.requests / 5


def test_an_estimate_for_held_submissions_needs_one_request_a_run():
    estimate = taught(held_schedule(), 5, 50).estimate(100)
    assert estimate.requests == pytest.approx(100, rel=0.02)


def test_the_median_wait_is_told_once_a_run_has_ended():
    schedule = schedule_of()
    assert schedule.median_wait() is None
    schedule.looked(run("a", alive_at=10), ended=True, on=False, now=16)
    assert 0 < schedule.median_wait() < 6


def test_thirty_runs_must_have_ended_before_the_mode_is_changed():
    schedule = schedule_of(hold=HOLD)
    assert not taught(schedule, 10, 29).holding_pays()
    assert taught(schedule, 10, 1).holding_pays()


# --- all of it together -----------------------------------------------------------------------


class Whatever(RuleBasedStateMachine):
    """Anything that an engine may tell, in any order, as time goes on.

    What is learnt moves looks that wait, so nothing here knows when exactly one is due; `waiting`
    holds the time before which it must not be.
    """

    MOST = 12

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.schedule = Schedule(5.0, self.MOST, hold=HOLD)
        self.names = 0
        self.prepared: list[bytes] = []
        self.unanswered: dict[bytes, float] = {}
        self.recovered: list[str] = []
        self.waiting: dict[str, float] = {}
        self.looking: list[Run] = []

    def name(self):
        self.names += 1
        return str(self.names)

    @rule(seconds=st.floats(0, 20) | st.floats(20, 2000))
    def time_goes_on(self, seconds):
        self.now += seconds

    @rule(
        rate=st.sampled_from([0.5, 5.0, 50.0, math.inf]),
        one=st.booleans(),
        holding=st.booleans(),
        to_come=st.sampled_from([0.0, 50.0, math.inf]),
    )
    def things_change(self, rate, one, holding, to_come):
        self.schedule.rate, self.schedule.one_at_a_time = rate, one
        self.schedule.holding, self.schedule.to_come = holding, to_come

    @rule(count=st.integers(1, 15), seconds=st.floats(0, HOLD))
    def much_is_learnt(self, count, seconds):
        taught(self.schedule, seconds, count)

    @rule()
    def prepares(self):
        if self.schedule.room(0.1) > 0:
            new = item(self.name())
            self.schedule.opened(new.key)
            self.schedule.prepared.append(new)
            self.prepared.append(new.key)
            assert self.schedule.in_flight <= self.MOST

    @rule(age=st.floats(0, 10_000))
    def recovers(self, age):
        found = run(self.name(), self.now - age)
        self.schedule.opened(found.key)
        self.schedule.recovered.append(found)
        self.recovered.append(found.run_id)

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), how=st.sampled_from(["accepted", "handed over", "result", "refused"]))
    def a_submission_is_answered(self, data, how):
        key = data.draw(st.sampled_from([*self.unanswered]))
        sent_at = self.unanswered.pop(key)
        self.schedule.answered(key, self.now)
        match how:
            case "accepted":
                self.accepted(run(key.decode(), self.now))
            case "handed over":
                self.accepted(run(key.decode(), sent_at, alive_at=self.now - sent_at))
            case "result":
                self.schedule.held(self.now - sent_at)
                self.schedule.closed(key)
            case _:
                self.schedule.closed(key)

    def accepted(self, new):
        self.schedule.accepted(new)
        self.waiting[new.run_id] = self.now + APART

    @precondition(lambda self: self.looking)
    @rule(
        data=st.data(),
        how=st.sampled_from(["ended", "goes on", "given up", "no answer"]),
        wait=st.floats(0, 100),
    )
    def a_look_is_over(self, data, how, wait):
        looked = data.draw(st.sampled_from(self.looking))
        self.looking.remove(looked)
        if how == "no answer":
            self.schedule.look_again(looked, self.now + wait)
            self.waiting[looked.run_id] = self.now + wait
            return
        on = how == "goes on"
        self.schedule.looked(looked, ended=how == "ended", on=on, now=self.now)
        if on:
            self.waiting[looked.run_id] = self.now + APART
        else:
            self.schedule.closed(looked.key)

    @rule()
    def sends(self):
        was_due = self.schedule.is_due(self.now)
        may_look = self.schedule.due_at() <= self.now
        what = self.schedule.next(self.now)
        assert was_due is (what is not None)
        match what:
            case Look(looked) if self.recovered:
                assert looked.run_id == self.recovered.pop(0)
                self.looking.append(looked)
            case Submit(new):
                assert not self.recovered
                assert not (may_look and math.isinf(self.schedule.to_come))
                assert not (self.unanswered and self.schedule.one_at_a_time)
                assert new.key == self.prepared.pop(0)
                self.schedule.sent(new.key, self.now)
                self.unanswered[new.key] = self.now
            case Look(looked):
                assert may_look
                assert self.waiting.pop(looked.run_id) <= self.now + HAIR
                self.looking.append(looked)
            case None:
                assert not may_look
                assert not self.recovered
                assert not self.prepared or self.unanswered

    @invariant()
    def it_knows_when_the_next_look_is_due(self):
        due = self.schedule.due_at()
        assert math.isinf(due) is not bool(self.waiting)
        if self.waiting:
            assert due >= min(self.waiting.values()) - HAIR
            assert self.schedule.is_due(due)

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

    def teardown(self):
        """In the end each run that waits is looked at, once."""
        self.schedule.prepared.clear()
        while self.recovered or self.waiting:
            if not self.recovered:
                self.now = max(self.now, self.schedule.due_at())
            self.sends()
        assert self.schedule.due_at() == math.inf


TestWhatever = Whatever.TestCase
TestWhatever.settings = settings(max_examples=60)
