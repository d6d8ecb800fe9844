"""How long a job takes in either mode, and which of them is better."""

import math
import random

import pytest

from enricher.schedule import UNLIMITED_RATE, Estimate, Schedule
from enricher.schedule.looks import Load, Looks
from enricher.schedule.mode import estimate, holding_pays
from tests.support.slots import work_off

HOLD = 120.0


def load_of(to_come=1000.0, rate=5.0, most=1000, in_flight=0):
    return Load(rate, most, in_flight, to_come)


def taught(*seconds, load=None):
    """What is known after runs that ended at exactly these ages, a hundred of each."""
    looks = Looks()
    for _ in range(100):
        for each in seconds:
            looks.ended(each, each)
    looks.heed(load or load_of())
    return looks


def pays(*seconds, hold=HOLD, **load):
    return holding_pays(taught(*seconds, load=load_of(**load)), load_of(**load), hold)


# --- whether to hold ------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 3, 20, 100])
def test_short_runs_need_half_the_requests(seconds):
    assert pays(seconds)
    assert pays(seconds, to_come=math.inf)


def test_runs_that_outlast_the_hold_are_looked_at_all_the_same():
    for most in (1000, 10):
        assert not pays(150, most=most)
        assert not pays(600, most=most)


def test_most_runs_must_end_within_the_hold():
    assert pays(*[10] * 9, 600)
    assert not pays(10, *[600] * 9)


def test_what_is_saved_must_be_a_clear_part():
    """Three runs in ten would save their look, and the others are looked at as ever."""
    assert not pays(*[10] * 3, *[600] * 7)
    assert pays(*[10] * 7, *[600] * 3)


def test_without_a_limit_of_the_rate_there_is_nothing_to_save():
    """Each run takes its time, however few requests it needs."""
    assert not pays(20, rate=UNLIMITED_RATE, to_come=math.inf)


def test_very_short_runs_need_not_wait_two_seconds_for_a_look():
    assert pays(*[0.2] * 10, rate=UNLIMITED_RATE, to_come=1_000_000)


@pytest.mark.parametrize(("most", "better"), [(5, False), (10, False), (400, True)])
def test_where_few_may_be_in_flight_requests_are_not_what_is_scarce(most, better):
    """Runs of 20 s at 5 requests a second: a hundred of them use the limit in sync mode."""
    assert pays(20, most=most) is better


def test_what_is_handed_over_stays_in_flight():
    """A third of the runs takes most of the time, in either mode."""
    assert not pays(5, 5, 600, most=10)
    assert estimate(taught(600), load_of(100, most=10), HOLD).seconds >= 100 * 600 / 10


def test_for_the_last_few_it_is_not_worth_while():
    """Each run saves one request of 0.2 s, and ten seconds are to be saved."""
    assert not pays(10, to_come=40)
    assert pays(10, to_come=60)
    assert not pays(10, to_come=0)


def test_a_provider_that_holds_nothing_cannot_be_better():
    assert not pays(3, hold=0.0)


# --- how long it takes ----------------------------------------------------------------------------


def test_nothing_left_takes_no_time():
    assert estimate(taught(5), load_of(0), 0.0).seconds == 0
    assert estimate(taught(5), load_of(0), HOLD).requests == 0


def test_a_held_run_needs_one_request_and_its_time():
    looks = taught(5)
    found = estimate(looks, load_of(1000), HOLD)
    assert found.requests == pytest.approx(1000, rel=0.01)
    assert found.seconds == pytest.approx(1000 / 5 + 5, rel=0.05)


def test_runs_in_flight_are_still_looked_at_and_held_ones_are_not():
    looks = taught(5)
    more = estimate(looks, load_of(100, in_flight=50), 0.0).requests
    assert more == pytest.approx(estimate(looks, load_of(100), 0.0).requests + 50, rel=0.02)
    held = estimate(looks, load_of(100, in_flight=50), HOLD).requests
    assert held == estimate(looks, load_of(100), HOLD).requests


def test_the_last_run_is_waited_for():
    assert estimate(taught(60), load_of(1), 0.0).seconds >= 60
    assert estimate(taught(60), load_of(0, in_flight=1), 0.0).seconds >= 60


@pytest.mark.parametrize("hold", [0.0, HOLD])
def test_runs_that_may_not_overlap_take_their_time_one_after_the_other(hold):
    found = estimate(taught(20), load_of(100, most=1), hold)
    assert 100 * 20 <= found.seconds <= 100 * 20 * 1.3


@pytest.mark.parametrize(
    ("most", "median", "more"), [(1000, 5, 1), (1000, 40, 1), (10, 20, 1.35), (100, 60, 0.85)]
)
def test_what_is_estimated_is_what_comes_to_pass(most, median, more):
    """In the middle of a job, of what is left of it; in a full window slots are free, and
    requests are not what it hangs on."""
    chance = random.Random(median)
    durations = [chance.lognormvariate(math.log(median), 0.5) for _ in range(1500)]
    schedule = Schedule(5.0, most_in_flight=most)
    found: list[tuple[float, int, Estimate]] = []

    def watch(now, requests, left):
        if left == 750 and not found:
            estimated = schedule.estimate(left)
            assert estimated is not None
            found.append((now, requests, estimated))

    worked = work_off(schedule, durations, watch=watch)
    ((now, requests, estimated),) = found
    assert estimated.requests * more == pytest.approx(worked.requests - requests, rel=0.2)
    assert estimated.seconds == pytest.approx(worked.seconds - now, rel=0.12)
