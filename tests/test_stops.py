"""When nothing more is submitted: counts, credits and the clock."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.forms import parse_limit
from enricher.model import Limit, Spent, StopCode
from enricher.stops import COLLECT_FOR, FREE_AFTER, READ_EVERY, Caps, Purse, Stops


def stops(spent=None, **caps):
    return Stops(Caps(**caps), 100.0, spent)


def why(these, now=100.0):
    stop = these.why(now)
    return stop and stop.code


# --- the forms of a limit -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0", Limit(count=0)),
        ("7", Limit(count=7)),
        (7, Limit(count=7)),
        (" 12 ", Limit(count=12)),
        ("0%", Limit(share=0)),
        ("5%", Limit(share=0.05)),
        ("2.5%", Limit(share=0.025)),
        ("100%", Limit(share=1)),
    ],
)
def test_a_limit_is_a_number_or_a_share(text, limit):
    assert parse_limit(text) == limit
    assert parse_limit(str(limit)) == limit


@pytest.mark.parametrize("text", ["", "%", "-1", "1.5", "120%", "5 %", "half", "1e3", "nan", None])
def test_what_is_no_limit_is_refused_with_the_form(text):
    with pytest.raises(ValueError, match="is not a whole number, or a share such as 5%"):
        parse_limit(text)


# --- --max-runs ---------------------------------------------------------------------------------


def test_so_many_submissions_are_allowed_and_no_more():
    these = stops(max_runs=3)
    for _ in range(3):
        assert why(these) is None
        these.opened()
    assert why(these) is StopCode.MAX_RUNS
    assert not these.is_closed(100), "what is prepared is one of them"
    assert math.isinf(these.collects_until())


def test_what_was_refused_or_not_sent_is_given_back_and_what_was_lost_is_not():
    these = stops(max_runs=2)
    for _ in range(5):
        these.opened()
        these.given_back()
    these.opened()
    these.ended(100, paid=False, failure="INVALID_INPUTS: no")
    these.opened()
    these.lost()
    assert why(these) is None
    these.opened()
    these.ended(100, paid=True, failure=None)
    assert why(these) is StopCode.MAX_RUNS


def test_runs_of_earlier_invocations_are_none_of_them():
    these = stops(max_runs=1)
    for _ in range(3):
        these.inherited()
        these.ended(100, paid=None, failure=None)
    assert why(these) is None


# --- --max-failures -----------------------------------------------------------------------------


def ended(these, *fates, now=100.0):
    for fate in fates:
        these.opened()
        these.ended(now, paid=True, failure=None if fate else "RUN_FAILED: why")


def test_a_number_of_failures_stops():
    these = stops(max_failures=Limit(count=3))
    ended(these, False, False, *[True] * 40)
    assert why(these) is None
    ended(these, False)
    assert why(these) is StopCode.MAX_FAILURES
    assert these.why(100).reason == "3 of 43 runs failed; the last: RUN_FAILED: why"
    assert these.is_closed(100)


def test_a_share_of_failures_counts_after_twenty():
    these = stops(max_failures=Limit(share=0.5))
    ended(these, *[False] * 19)
    assert why(these) is None
    ended(these, True)
    assert why(these) is StopCode.MAX_FAILURES


def test_a_share_that_is_not_reached_stops_nothing():
    these = stops(max_failures=Limit(share=0.5))
    ended(these, *[True, True, False] * 30)
    assert why(these) is None


def test_no_failure_is_below_every_limit():
    for limit in (Limit(count=0), Limit(share=0.0)):
        these = stops(max_failures=limit)
        ended(these, *[True] * 50)
        assert why(these) is None
        ended(these, False)
        assert why(these) is StopCode.MAX_FAILURES


def test_after_too_many_failures_what_runs_is_collected_for_a_minute():
    these = stops(max_failures=Limit(count=1))
    ended(these, False, now=130)
    ended(these, False, now=150)
    assert these.collects_until() == 130 + COLLECT_FOR


def test_what_failed_of_an_earlier_invocation_counts_where_it_ended():
    these = stops(max_failures=Limit(count=1))
    these.inherited()
    these.ended(100, paid=None, failure="RUN_FAILED: why")
    assert why(these) is StopCode.MAX_FAILURES


# --- --stop-after -------------------------------------------------------------------------------


def test_when_the_time_is_up_nothing_is_submitted_and_a_minute_is_left_to_collect():
    these = stops(stop_after=30)
    assert why(these, 129.9) is None
    assert not these.is_closed(129.9)
    assert these.next_change(100) == 130
    assert why(these, 130) is StopCode.STOP_AFTER
    assert these.is_closed(130)
    assert these.collects_until() == these.next_change(130) == 130 + COLLECT_FOR == 190
    assert math.isinf(these.next_change(190))


def test_without_caps_nothing_ever_stops():
    these = stops()
    ended(these, *[False, True] * 500)
    assert why(these, 1e9) is None
    assert math.isinf(stops().next_change(0))


# --- --max-credits ------------------------------------------------------------------------------


def known(most, cost=2.0, used=500.0):
    """A purse that has seen one run of this cost."""
    purse = Purse(most, Spent(used=used))
    purse.opened()
    purse.closed(paid=True, completed=True)
    purse.read(used + cost)
    return purse


def test_credits_are_counted_from_the_baseline_and_rise_whoever_used_them():
    purse = Purse(100, Spent(used=500))
    purse.read(500)
    assert purse.spent.credits == 0
    purse.read(530)
    assert purse.spent.credits == 30


def test_a_fall_is_a_new_billing_period():
    purse = Purse(100, Spent(used=500))
    purse.read(510)
    purse.read(3)
    assert purse.spent.credits == 13
    purse.read(5)
    assert purse.spent.credits == 15


def test_what_earlier_invocations_of_the_pass_used_counts():
    purse = Purse(100, Spent(credits=96, used=500, highest=2))
    purse.read(501)
    assert purse.allows_one_more()
    purse.opened()
    assert not purse.allows_one_more()


def test_one_at_a_time_until_a_cost_is_known():
    purse = Purse(100, Spent(used=500))
    assert purse.allows_one_more()
    purse.opened()
    assert not purse.allows_one_more()
    assert not purse.wants_reading()
    purse.closed(paid=True, completed=True)
    assert not purse.allows_one_more(), "its cost may be unread"
    assert purse.wants_reading()
    purse.read(502)
    assert purse.spent.highest == 2
    assert purse.allows_one_more()


def test_what_is_in_flight_is_reserved_at_the_highest_cost():
    purse = known(most=20, cost=4)
    for _ in range(4):
        assert purse.allows_one_more()
        purse.opened()
    assert not purse.allows_one_more(), "4 + 4 x 4 is all there is"
    for _ in range(4):
        purse.closed(paid=True, completed=True)
    assert not purse.allows_one_more()
    purse.read(505)
    assert purse.spent.highest == 4, "cheaper ones do not lower it"
    assert purse.allows_one_more()


def test_what_was_never_accepted_is_not_reserved():
    purse = known(most=4, cost=2)
    purse.opened()
    assert not purse.allows_one_more()
    purse.closed(paid=False)
    assert purse.allows_one_more()
    assert not purse.wants_reading()


def test_runs_that_cost_nothing_are_free_after_a_few():
    purse = Purse(10, Spent(used=500))
    for _ in range(FREE_AFTER):
        assert purse.spent.highest is None
        purse.opened()
        purse.closed(paid=True, completed=True)
        purse.read(500)
    assert purse.spent.highest == 0
    for _ in range(1000):
        assert purse.allows_one_more()
        purse.opened()


def test_failed_runs_that_cost_nothing_do_not_make_runs_free():
    purse = Purse(10, Spent(used=500))
    for _ in range(20):
        purse.opened()
        purse.closed(paid=True, completed=False)
        purse.read(500)
    assert purse.spent.highest is None


def test_without_a_cap_no_reading_is_wanted():
    purse = Purse(math.inf, Spent())
    for _ in range(500):
        assert purse.allows_one_more()
        purse.opened()
        purse.closed(paid=True, completed=True)
    assert not purse.wants_reading()


def test_readings_are_wanted_now_and_then_and_when_the_cap_is_in_the_way():
    purse = known(most=10_000)
    for _ in range(READ_EVERY):
        assert not purse.wants_reading()
        purse.opened()
        purse.closed(paid=True, completed=True)
    assert purse.wants_reading()
    purse.read(502 + 2 * READ_EVERY)
    assert not purse.wants_reading()


def test_runs_of_an_earlier_invocation_are_reserved_and_tell_no_cost():
    purse = Purse(20, Spent(credits=0, used=500, highest=2))
    for _ in range(9):
        purse.inherited()
    assert purse.allows_one_more()
    purse.opened()
    assert not purse.allows_one_more(), "nine of an earlier invocation, and one of this"
    for _ in range(9):
        purse.inherited_ended()
    assert purse.wants_reading(), "they may have been charged just now"
    purse.read(518)
    assert purse.spent == Spent(credits=18, used=518, highest=2)
    assert not purse.allows_one_more()
    purse.closed(paid=True, completed=True)
    purse.read(520)
    assert purse.spent.credits == 20
    assert not purse.allows_one_more()
    assert not purse.wants_reading()


def test_runs_that_were_charged_in_an_earlier_invocation_do_not_make_runs_free():
    purse = Purse(10, Spent(used=500))
    for _ in range(40):
        purse.inherited()
    assert not purse.allows_one_more(), "nobody knows what they cost"
    for _ in range(40):
        purse.inherited_ended()
    purse.read(500)
    assert purse.spent.highest is None
    purse.opened()
    assert not purse.allows_one_more()


# --- against an account -------------------------------------------------------------------------


@dataclass
class Account:
    """A provider that charges each run at its submission, or at its end."""

    costs: list[float]
    at_once: bool
    used: float = 500.0
    running: list[float] = field(default_factory=list)
    submitted: int = 0

    def submit(self):
        cost = self.costs[self.submitted % len(self.costs)]
        self.submitted += 1
        self.running.append(cost)
        self.used += cost if self.at_once else 0

    def end(self, number):
        cost = self.running.pop(number % len(self.running))
        self.used += 0 if self.at_once else cost


@given(
    most=st.floats(0.5, 200),
    costs=st.lists(st.floats(0.01, 10), min_size=1, max_size=5),
    at_once=st.booleans(),
    choices=st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=300),
    falls_at=st.integers(0, 400),
)
def test_the_cap_is_never_passed_by_more_than_an_unknown_first_run(
    most, costs, at_once, choices, falls_at
):
    """The first run costs most; later ones as much or less, in any order of events."""
    account = Account([max(costs), *costs], at_once)
    account.costs = [max(costs)] if len(set(costs)) == 1 else [max(costs), *costs]
    these = Stops(Caps(max_credits=most), 0.0, Spent(used=account.used))
    total, before = 0.0, account.used
    for step, (submits, number) in enumerate(choices):
        if submits and these.why(0.0) is None:
            these.opened()
            account.submit()
        elif account.running:
            account.end(number)
            these.ended(0.0, paid=True, failure=None)
        total += account.used - before
        if step == falls_at and not these.purse.wants_reading():
            account.used = 0.0  # a new billing period; what was not read yet is lost to everyone
            these.purse.read(account.used)
        elif these.purse.wants_reading():
            these.purse.read(account.used)
        before = account.used
    if falls_at >= len(choices):
        owed = 0 if at_once else sum(account.running)
        assert total + owed <= max(most, max(costs)) + 1e-6
    assert these.purse.spent.credits <= max(most, max(costs)) + 1e-6
