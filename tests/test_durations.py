"""What looks tell of durations, and when to look because of it."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enricher.schedule.durations import _EDGES, LEAST_INTERVAL, Durations, LookPlan

STEP = _EDGES[2] / _EDGES[1]
"""By how much the ages grow between which nothing finer is known."""

TWO_HOURS = 7200.0
SECONDS = st.floats(0, 2 * TWO_HOURS)
INTERVALS = st.lists(st.tuples(SECONDS, SECONDS).map(sorted), max_size=25)
ALIVE = st.lists(SECONDS, max_size=10)
PRICES = st.floats(1, 200)


def learnt(intervals, alive=()):
    """What is known after runs that ended in these intervals of age."""
    durations = Durations()
    for after, by in intervals:
        durations.ended(after, by)
    durations.learn(alive)
    return durations


def exactly(*seconds):
    return [(each, each) for each in seconds]


def steps(durations):
    """The age in seconds by which a step of ages is over, and the share of runs that end in it."""
    within = [durations.share_within(edge) for edge in _EDGES]
    return [
        (edge, b - a) for edge, (a, b) in zip(_EDGES[1:], itertools.pairwise(within), strict=True)
    ]


def followed(plan: LookPlan, end: float) -> list[float]:
    """The ages at which a run that lasts `end` seconds is looked at."""
    ages = [plan.after(0)]
    while ages[-1] < end:
        ages.append(plan.after(ages[-1]))
    return ages


def simulated(durations, ages_of):
    """Looks, and age at the last, of a run whose end is drawn from what is known."""
    looks = age = 0.0
    for end, share in steps(durations):
        ages = ages_of(end)
        looks += share * len(ages)
        age += share * ages[-1]
    return looks, age


# --- the distribution -----------------------------------------------------------------------------


def test_nothing_is_known_before_the_first_run_has_ended():
    durations = Durations()
    assert (durations.seen, durations.quantile(0.5)) == (0, 0.0)


@given(INTERVALS, ALIVE)
def test_shares_grow_with_the_age_and_all_runs_end(intervals, alive):
    durations = learnt(intervals, alive)
    within = [durations.share_within(age) for age in (0, 1, *_EDGES[1:], 1e9)]
    assert within[0] == 0
    assert within == sorted(within)
    assert within[-1] == pytest.approx(1)


@given(INTERVALS, ALIVE)
def test_quantiles_grow_with_their_share_and_end_with_the_last_step(intervals, alive):
    durations = learnt(intervals, alive)
    quantiles = [durations.quantile(n / 20) for n in range(21)]
    assert quantiles == sorted(quantiles)
    assert 0 <= quantiles[0] <= quantiles[-1] <= _EDGES[-1]


@given(INTERVALS.filter(bool), st.floats(0.05, 0.95))
def test_a_quantile_is_the_age_by_which_so_many_have_ended(intervals, share):
    """But for the little weight that knowing nothing has, of which quantiles know nothing."""
    durations = learnt(intervals)
    nothing = 1 / len(intervals)
    age = durations.quantile(share)
    assert durations.share_within(age) >= share - nothing
    before = max((edge for edge in _EDGES if edge < age), default=0)
    assert durations.share_within(before) <= share + nothing


@given(INTERVALS, ALIVE, st.tuples(SECONDS, SECONDS).map(sorted))
def test_the_mean_grows_with_its_bound_and_stays_below_it(intervals, alive, bounds):
    durations = learnt(intervals, alive)
    less, more = (durations.mean_within(bound) for bound in bounds)
    assert -1e-9 <= less <= bounds[0] + 1e-9
    assert less <= more + 1e-9


@pytest.mark.parametrize("seconds", [0.5, 3, 20, 119, 600, 5000])
def test_a_constant_is_known_within_a_step(seconds):
    durations = learnt(exactly(seconds) * 1000)
    within = max(1, seconds * STEP)
    assert seconds <= durations.quantile(0.5) <= within
    assert seconds <= durations.mean_within(TWO_HOURS) <= within + 1
    assert durations.mean_within(seconds / 2) == pytest.approx(seconds / 2, rel=0.01)


@given(SECONDS, SECONDS)
def test_what_is_longer_than_two_hours_counts_as_two_hours(seconds, more):
    longest = learnt(exactly(_EDGES[-1] + seconds))
    assert longest.quantile(0.5) == _EDGES[-1]
    assert learnt([(seconds, _EDGES[-1] + more)]).quantile(1) <= _EDGES[-1]


@pytest.mark.parametrize("slow", [0.05, 0.1, 0.5])
def test_the_shares_of_a_mixture_are_found_in_what_looks_tell(slow):
    """Runs of 4 s and of 120 s, each looked at by one of three ways to look."""
    ways = [(2, 6, 150), (5, 200), (100, 130)]
    count = 300
    intervals = []
    for number in range(count):
        end = 120 if number % count < slow * count else 4
        ages = (0, *ways[number % len(ways)])
        intervals.append(next((a, b) for a, b in itertools.pairwise(ages) if end <= b))
    durations = learnt(intervals)
    assert durations.share_within(50) == pytest.approx(1 - slow, abs=0.05)
    assert durations.quantile(0.99) >= 100


def test_what_is_known_of_some_says_when_the_others_ended():
    """Half of the runs were first looked at after 200 s; they end as those that are known do."""
    known = exactly(*[4] * 90, *[120] * 10)
    durations = learnt([*known, *[(0, 200)] * 100])
    assert durations.share_within(10) == pytest.approx(0.9, abs=0.02)
    assert durations.share_within(50) == pytest.approx(0.9, abs=0.02)


def test_runs_under_way_count_with_the_age_that_they_have_reached():
    """The short ones end first: without those that go on, a list would seem to hold none else."""
    quick = exactly(*[4.5] * 20)
    alone, beside = learnt(quick), learnt(quick, [50.0] * 20)
    assert alone.share_within(10) > 0.95
    assert beside.share_within(10) == pytest.approx(0.5, abs=0.05)
    assert beside.quantile(0.9) > 50
    assert beside.mean_within(120) > 5 * alone.mean_within(120)


@given(st.lists(st.floats(1, 50), min_size=5, max_size=25), st.floats(50, 500))
def test_a_run_that_goes_on_never_makes_runs_seem_shorter(ended, alive):
    without, within = learnt(exactly(*ended)), learnt(exactly(*ended), [alive])
    for edge in _EDGES:
        if edge <= alive:
            assert within.share_within(edge) <= without.share_within(edge) + 1e-9


def test_runs_under_way_do_not_pile_up():
    durations = learnt(exactly(*[4.0] * 20))
    before = durations.share_within(10)
    for _ in range(50):
        durations.learn([100.0])
    once = learnt(exactly(*[4.0] * 20), [100.0])
    assert durations.share_within(10) == pytest.approx(once.share_within(10), abs=0.01)
    assert durations.share_within(10) < before
    assert durations.seen == 20


def test_old_runs_are_forgotten():
    """A grid may change in either direction; a thousand runs later nothing of before counts."""
    durations = Durations()
    for seconds in (60, 5, 60):
        for _ in range(1000):
            durations.ended(seconds, seconds)
        durations.learn([])
        assert durations.seen == 1000
        assert seconds <= durations.quantile(0.01) <= durations.quantile(0.99) <= seconds * STEP


# --- between the end and the look -----------------------------------------------------------------


@given(INTERVALS, st.tuples(SECONDS, SECONDS).map(sorted))
def test_a_result_waited_no_longer_than_its_end_is_uncertain(intervals, between):
    after, by = between
    assert -1e-9 <= learnt(intervals).waited(after, by) <= by - after + 1e-9


def test_how_long_a_result_waited_follows_what_is_known():
    durations = learnt(exactly(*[10.0] * 50))
    assert durations.waited(0, 100) == pytest.approx(90, rel=0.1)
    assert durations.waited(10, 10) == pytest.approx(0)


# --- the plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [1, 10, 200])
@pytest.mark.parametrize("seconds", [3, 7, 20, 90, 500])
def test_runs_of_one_duration_are_looked_at_right_after_it(seconds, price):
    """What is known for sure makes one look enough, and it comes within a step."""
    plan = learnt(exactly(seconds) * 500).looks_for(price)
    assert seconds <= plan.after(0) <= seconds * STEP
    assert plan.looks == pytest.approx(1, abs=0.05)


def test_two_durations_are_looked_at_twice_if_the_second_is_far_off():
    plan = learnt(exactly(*[4] * 90, *[120] * 10)).looks_for(20)
    assert 4 <= plan.after(0) <= 4 * STEP
    assert 120 <= plan.after(plan.after(0)) <= 120 * STEP
    assert plan.looks == pytest.approx(1.1, abs=0.05)


def test_where_a_look_is_dear_one_late_look_does_for_both():
    plan = learnt(exactly(*[4] * 50, *[30] * 50)).looks_for(200)
    assert 30 <= plan.after(0) <= 30 * STEP


@given(INTERVALS, PRICES)
@settings(max_examples=40)
def test_the_plan_costs_what_it_says(intervals, price):
    durations = learnt(intervals)
    plan = durations.looks_for(price)
    looks, age = simulated(durations, lambda end: followed(plan, end))
    assert plan.looks == pytest.approx(looks)
    assert plan.age == pytest.approx(age)


@given(INTERVALS, PRICES, st.lists(st.sampled_from(_EDGES[6:]), max_size=30))
@settings(max_examples=40)
def test_no_other_way_to_look_costs_less(intervals, price, others):
    """At any ages that leave two seconds between two looks, the last of them after all ends."""
    ages = [0.0]
    for age in sorted({*others, _EDGES[-1]}):
        if age - ages[-1] >= LEAST_INTERVAL:
            ages.append(age)
    durations = learnt(intervals)

    def until(end):
        return ages[1 : 2 + next(n for n, age in enumerate(ages[1:]) if age >= end)]

    looks, age = simulated(durations, until)
    plan = durations.looks_for(price)
    assert plan.looks * price + plan.age <= (looks * price + age) * (1 + 1e-9)


@given(INTERVALS, ALIVE, st.tuples(PRICES, PRICES).map(sorted))
@settings(max_examples=40)
def test_a_higher_price_never_buys_more_looks_nor_earlier_results(intervals, alive, prices):
    cheap, dear = (learnt(intervals, alive).looks_for(price) for price in prices)
    assert dear.looks <= cheap.looks + 1e-9
    assert dear.age >= cheap.age - 1e-6


@given(INTERVALS, ALIVE, PRICES, st.lists(st.floats(0, 100 * TWO_HOURS), min_size=1, max_size=20))
@settings(max_examples=40)
def test_two_seconds_lie_between_any_two_looks(intervals, alive, price, ages):
    """The shortest interval that the API asks for (5.6), and an end to every wait."""
    plan = learnt(intervals, alive).looks_for(price)
    for age in (0.0, *_EDGES, *ages):
        assert age + LEAST_INTERVAL <= plan.after(age) < math.inf
        assert plan.after(age) <= max(age + LEAST_INTERVAL, _EDGES[-1], 1.25 * age)


def test_how_many_requests_runs_need_that_follow_each_other():
    """Ten runs of 10 s, one after the other, each submitted and looked at once: two in 10 s."""
    plan = learnt(exactly(10) * 500).looks_for(200)
    assert plan.most_rate(10) == pytest.approx(2, rel=0.2)
    assert plan.most_rate(20) == pytest.approx(2 * plan.most_rate(10))
