"""Figures of a job of any length, in little memory."""

import random

import pytest

from enricher.report.charts import step_name
from enricher.report.figures import (
    EXAMPLES,
    MOST_CODES,
    MOST_SLICES,
    OTHER_CODES,
    Durations,
    Failures,
    Fill,
    Timeline,
)

NIGHT = 1_795_000_000.0


@pytest.mark.parametrize(
    ("seconds", "width"),
    [(0, 1), (40, 1), (65, 2), (600, 10), (3600, 60), (86_400, 1800), (86_400 * 40, 86_400)],
)
def test_a_timeline_has_few_and_round_slices(seconds, width):
    timeline = Timeline(NIGHT, NIGHT + seconds)
    assert timeline.width == width
    assert 1 <= len(timeline.slices()) <= MOST_SLICES


def test_a_timeline_of_a_century_is_no_longer_than_others():
    assert len(Timeline(0, 3.2e9).slices()) <= MOST_SLICES


def test_each_moment_falls_into_its_slice_and_none_is_lost():
    timeline = Timeline(NIGHT, NIGHT + 100)
    timeline.add(NIGHT, NIGHT + 3.9)
    timeline.add(NIGHT + 99.9, None)
    timeline.add(NIGHT - 1, NIGHT + 5000)  # a clock that jumped
    assert timeline.width == 2
    assert timeline.slices()[:2] == [(NIGHT, 1, 0), (NIGHT + 2, 0, 1)]
    assert sum(timeline.submitted) == 2
    assert sum(timeline.ended) == 1
    assert timeline.outside == 2


def test_a_slice_that_is_cut_short_has_fewer_seconds():
    timeline = Timeline(NIGHT, NIGHT + 101)
    assert [timeline.seconds_of(number) for number in (0, 50)] == [2, 1]


def test_quantiles_are_those_of_the_durations_to_two_percent():
    draw = random.Random(7)
    durations, exact = Durations(), []
    for _ in range(5000):
        exact.append(draw.lognormvariate(3, 1))
        durations.add(exact[-1])
    exact.sort()
    for share in (0.5, 0.9, 0.98):
        assert durations.quantile(share) == pytest.approx(exact[int(share * 5000) - 1], rel=0.021)
    assert durations.quantile(1.0) == durations.longest == exact[-1]


def test_durations_that_cannot_be_are_left_out():
    durations = Durations()
    for seconds in (-3.0, float("inf"), float("nan"), 0.0):
        durations.add(seconds)
    assert durations.count == 1
    assert durations.steps() == [(0, 1, 1)]
    assert Durations().quantile(0.5) == 0
    assert Durations().steps() == []


def test_steps_hold_every_run_once():
    durations = Durations()
    for seconds in (0.5, 3, 4, 15, 9000):
        durations.add(seconds)
    steps = durations.steps()
    assert sum(count for _, _, count in steps) == 5
    assert [step_name(low, high) for low, high, _ in steps] == [
        *("under 1 s", "1–2 s", "2–5 s", "5–10 s", "10–20 s", "20–30 s", "30 s–1 min", "1–2 min"),
        *("2–5 min", "5–10 min", "10–30 min", "30 min–1 h", "1–2 h", "over 2 h"),
    ]


def test_failures_keep_the_most_frequent_first_and_a_few_examples():
    failures = Failures()
    for number in range(9):
        failures.add("TIMEOUT", f"no {number}", {"name": f"Acme {number}"})
    failures.add("", "", {})
    first, second = failures.sorted()
    assert (first.code, first.count, len(first.examples)) == ("TIMEOUT", 9, EXAMPLES)
    assert second.code == "RUN_FAILED"
    assert failures.total == 10


def test_a_server_with_a_code_for_every_run_fills_no_memory():
    failures = Failures()
    for number in range(1000):
        failures.add(f"E{number}", "", {})
    assert len(failures.by_code) == MOST_CODES + 1
    assert failures.by_code[OTHER_CODES].count == 1000 - MOST_CODES
    assert failures.total == 1000


def test_what_is_filled_is_counted_of_those_that_were_asked_for_it():
    fill = Fill({"a": "Revenue", "b": "Tags"})
    fill.add(None, {"a": 0, "b": []})
    fill.add(None, {"a": False, "b": ["x"]})
    fill.add(None, {"a": " \n", "b": None})
    fill.add(frozenset({"a"}), {"a": "text"})
    fill.add(frozenset({"gone"}), {"gone": "another job's"})
    assert fill.rates() == [("Revenue", 3, 4), ("Tags", 1, 3)]
    assert fill.results == 5
