"""Which runs are looked at early, and when what is learnt moves the looks that wait."""

import itertools
import math

import pytest

from enricher.schedule.durations import _EDGES, LEAST_INTERVAL
from enricher.schedule.looks import (
    HALFWAY_EVERY,
    LONG,
    MOST_PRICE,
    SCOUTED,
    SCOUTS,
    Load,
    Looks,
    Run,
)

STEP = _EDGES[2] / _EDGES[1]
MUCH_TO_DO = Load(5.0, 1000, 0, math.inf)


def run(number=0, submitted_at=0.0, **more):
    return Run(number.to_bytes(4), f"id-{number}", submitted_at, **more)


def load_of(seconds, rate=5.0):
    """As much left to do as takes so many seconds, at a request for each."""
    return Load(rate, 1000, 0, seconds * rate)


def taught(seconds, count=500, load=MUCH_TO_DO):
    """What is known after so many runs that each ended at exactly this age."""
    looks = Looks()
    teach(looks, seconds, count)
    looks.heed(load)
    return looks


def teach(looks, seconds, count):
    for _ in range(count):
        looks.ended(seconds, seconds)


def drained(looks):
    """When each look that waits is due, in order."""
    due = []
    while not math.isinf(at := looks.due_at()):
        due.append((at, looks.pop()))
    return due


def first_looks(looks, count):
    """The ages at which so many new runs are looked at first, in the order of their submission."""
    for number in range(count):
        looks.add(run(number))
    ages = {waiting.key: at for at, waiting in drained(looks)}
    return [ages[key] for key in sorted(ages)]


def ages_of_looks(looks, looked, end):
    """The ages at which this run, which lasts `end` seconds, is looked at."""
    looks.add(looked)
    ages = []
    while True:
        ages.append(looks.due_at())
        assert looks.pop() is looked
        if ages[-1] >= end:
            looks.ended(looked.alive_at, ages[-1])
            looks.over(looked)
            return ages
        looks.going_on(looked, ages[-1])


# --- scouts ---------------------------------------------------------------------------------------


def test_while_nothing_is_known_four_runs_are_asked_for_early():
    early = [age for age in first_looks(Looks(), 20) if age < 10]
    assert early == [LEAST_INTERVAL] * SCOUTS


def test_each_that_ends_is_followed_by_another_until_a_dozen_have_ended():
    looks = Looks()
    for _ in range(SCOUTED):
        assert ages_of_looks(looks, run(), 3)[0] == LEAST_INTERVAL
    looks.heed(MUCH_TO_DO)
    assert first_looks(looks, 1) == [looks.plan.after(0)]
    assert looks.plan.after(0) > LEAST_INTERVAL + 1


def test_a_run_that_was_given_up_leaves_its_place_to_another():
    looks = Looks()
    for number in range(SCOUTS):
        looks.add(run(number))
    for _, given_up in drained(looks):
        looks.over(given_up)
    assert first_looks(looks, SCOUTS) == [LEAST_INTERVAL] * SCOUTS


@pytest.mark.parametrize("end", [1, 5, 30, 100])
def test_a_scout_tells_when_it_ended_within_a_half_or_two_seconds(end):
    ages = ages_of_looks(Looks(), run(), end)
    for sooner, later in itertools.pairwise((0, *ages)):
        assert LEAST_INTERVAL <= later - sooner <= max(LEAST_INTERVAL, sooner / 2) + 1e-9


@pytest.mark.parametrize("seconds", [1, 3, 7, 20, 90])
def test_a_dozen_scouts_are_enough_to_look_at_the_others_once(seconds):
    """No sooner than the runs end, and no later than a step after the scouts were seen to end."""
    looks = Looks()
    seen = max(ages_of_looks(looks, run(), seconds)[-1] for _ in range(SCOUTED))
    looks.heed(MUCH_TO_DO)
    assert seconds <= looks.plan.after(0) <= seen * STEP
    assert ages_of_looks(looks, run(1), seconds) == [looks.plan.after(0)]


# --- halfway --------------------------------------------------------------------------------------


def test_where_looks_wait_for_long_one_in_fifty_comes_after_half_the_time():
    looks = taught(60)
    planned = looks.plan.after(0)
    assert planned > LONG
    ages = first_looks(looks, 3 * HALFWAY_EVERY)
    assert ages.count(planned / 2) == 3
    assert ages.count(planned) == 3 * HALFWAY_EVERY - 3


def test_where_looks_come_soon_none_comes_sooner():
    looks = taught(5)
    assert looks.plan.after(0) < LONG
    assert set(first_looks(looks, 3 * HALFWAY_EVERY)) == {looks.plan.after(0)}


def halfway(looks):
    """A run that is to be looked at after half the time, waiting alone."""
    for number in range(1, HALFWAY_EVERY):
        looks.add(run(number))
    drained(looks)
    looks.add(chosen := run(HALFWAY_EVERY))
    assert looks.due_at() < looks.plan.after(0)
    return chosen


def test_after_it_such_a_run_is_looked_at_as_any_other():
    looks = taught(60)
    chosen = halfway(looks)
    age = looks.due_at()
    assert looks.pop() is chosen
    looks.going_on(chosen, age)
    assert looks.due_at() == looks.plan.after(age)


def test_half_of_a_time_that_became_short_is_two_seconds_all_the_same():
    """Runs were long when this one was submitted, and are found to be very short."""
    looks = taught(60)
    halfway(looks)
    teach(looks, 1, 1000)
    looks.heed(MUCH_TO_DO)
    assert looks.plan.after(0) < 2 * LEAST_INTERVAL
    assert looks.due_at() >= LEAST_INTERVAL


# --- what is learnt -------------------------------------------------------------------------------


def test_what_is_learnt_moves_the_looks_that_wait():
    looks = taught(60)
    looks.add(run())
    assert looks.due_at() == looks.plan.after(0) >= 60
    teach(looks, 5, 1000)
    looks.heed(MUCH_TO_DO)
    assert looks.due_at() == looks.plan.after(0) <= 5 * STEP


def test_a_time_that_was_told_is_kept_and_the_plan_after_it():
    looks = taught(60)
    waits, old = run(1), run(2)
    looks.again(waits, 500)
    looks.again(old, 10)
    teach(looks, 20, 1000)
    looks.heed(MUCH_TO_DO)
    due = {waiting.key: at for at, waiting in drained(looks)}
    assert due == {waits.key: 500, old.key: looks.plan.after(0)}
    looks.going_on(waits, 500)
    assert looks.due_at() == looks.plan.after(500)


def test_runs_that_go_on_are_news_too():
    """None has ended, and yet it is clear that the first looks at the others can wait."""
    looks = Looks()
    for number in range(SCOUTS):
        looks.add(run(number))
    while looks.due_at() < 100:
        at = looks.due_at()
        looks.going_on(looks.pop(), at)
        looks.heed(load_of(20))
    drained(looks)
    for number in range(SCOUTS):
        looks.going_on(run(number), 100)
    looks.heed(load_of(20))
    assert first_looks(looks, 1)[0] >= 100


def test_a_plan_is_kept_until_a_tenth_more_is_known():
    looks = taught(60, count=100)
    before = looks.plan
    teach(looks, 5, 9)
    looks.heed(MUCH_TO_DO)
    assert looks.plan is before
    teach(looks, 5, 5)
    looks.heed(MUCH_TO_DO)
    assert looks.plan is not before


def test_three_runs_are_enough_in_the_beginning():
    looks = Looks()
    before = looks.plan
    for known in (1, 2, 3):
        teach(looks, 5, 1)
        looks.heed(MUCH_TO_DO)
        assert (looks.plan is before) is (known < 3)


@pytest.mark.parametrize(("seconds", "anew"), [(82, False), (118, False), (75, True), (130, True)])
def test_a_plan_is_made_anew_when_the_price_of_a_look_has_changed(seconds, anew):
    """A look delays all that is left by one slot: what is left is its price."""
    looks = taught(60, load=load_of(100))
    before = looks.plan
    looks.heed(load_of(seconds))
    assert (looks.plan is not before) is anew


def test_the_less_is_left_to_do_the_sooner_and_the_more_often_is_looked():
    mixed = Looks()
    for seconds in (5, 10, 20, 40, 80):
        teach(mixed, seconds, 50)
    plans = []
    for left in (1000, 100, 10, 0):
        mixed.heed(load_of(left))
        plans.append(mixed.plan)
    assert [plan.looks for plan in plans] == sorted(plan.looks for plan in plans)
    assert [plan.age for plan in plans] == sorted((plan.age for plan in plans), reverse=True)
    assert plans[-1].looks > plans[0].looks + 0.5


def test_no_look_is_so_dear_that_a_result_lies_for_very_long():
    looks = taught(60, load=MUCH_TO_DO)
    assert looks.plan == looks.durations.looks_for(MOST_PRICE)


def test_looks_are_free_where_the_limit_could_not_be_used_otherwise():
    mixed, few = Looks(), Looks()
    for looks in (mixed, few):
        for seconds in (5, 10, 20, 40, 80):
            teach(looks, seconds, 50)
    mixed.heed(MUCH_TO_DO)
    few.heed(Load(5.0, 5, 5, math.inf))
    assert few.plan.looks > mixed.plan.looks
    assert few.plan.age < mixed.plan.age
    nothing_to_come = Load(5.0, 5, 5, 0)
    few.heed(nothing_to_come)
    assert few.plan == few.durations.looks_for(nothing_to_come.seconds)


def test_the_slowest_runs_are_expected_to_take_longer_than_those_seen():
    looks = Looks()
    assert looks.tail == 0
    teach(looks, 60, 100)
    looks.heed(MUCH_TO_DO)
    assert 60 < looks.tail < 120


def test_the_median_wait_is_that_of_the_results():
    looks = taught(60)
    assert looks.median_wait() == pytest.approx(0)
    for _ in range(600):
        looks.ended(0, 100)
    assert looks.median_wait() == pytest.approx(40, abs=10)
