"""Specs of durations, and what they draw."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.simulator import draws
from enricher.simulator.durations import Bimodal, Constant, LogNormal, Uniform, parse_duration


@pytest.mark.parametrize(
    ("spec", "duration"),
    [
        ("3", Constant(3)),
        (" 0.5 ", Constant(0.5)),
        ("constant:3", Constant(3)),
        ("uniform:1:5", Uniform(1, 5)),
        ("UNIFORM:1:1", Uniform(1, 1)),
        ("lognormal:20", LogNormal(20)),
        ("lognormal:20:1.2", LogNormal(20, 1.2)),
        ("bimodal:4:120", Bimodal(4, 120)),
        ("bimodal:4:120:0.3", Bimodal(4, 120, 0.3)),
    ],
)
def test_specs(spec, duration) -> None:
    assert parse_duration(spec) == duration
    assert parse_duration(str(duration)) == duration


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("", "'' is not a number"),
        ("soon", "'soon' is not a number"),
        ("gauss:1:2", "write SECONDS"),
        ("3:4", "write SECONDS"),
        ("-1", "cannot be negative"),
        ("nan", "not a finite number"),
        ("constant:inf", "not a finite number"),
        ("constant", "write SECONDS"),
        ("uniform:1", "write SECONDS"),
        ("uniform:5:1", "LOW <= HIGH"),
        ("uniform:1:x", "'x' is not a number"),
        ("lognormal:0", "MEDIAN"),
        ("lognormal:1:-1", "SIGMA"),
        ("bimodal:120:4", "FAST <= SLOW"),
        ("bimodal:4:120:1.5", "P_SLOW"),
        ("bimodal:4:120:0.1:9", "write SECONDS"),
    ],
)
def test_bad_specs_say_what_is_wrong(spec, word) -> None:
    with pytest.raises(ValueError, match="bad duration") as raised:
        parse_duration(spec)
    assert word in str(raised.value)
    assert repr(spec) in str(raised.value)


def drawn(spec: str) -> list[float]:
    duration = parse_duration(spec)
    return [duration.seconds(draws.fraction("test", number)) for number in range(5000)]


def test_constant_and_uniform() -> None:
    assert set(drawn("3")) == {3}
    seconds = drawn("uniform:1:5")
    assert min(seconds) >= 1
    assert max(seconds) <= 5
    assert 2.9 < median(seconds) < 3.1


def test_lognormal_has_its_median_and_a_tail() -> None:
    seconds = drawn("lognormal:20:0.6")
    assert 19 < median(seconds) < 21
    assert max(seconds) > 100


def test_bimodal_is_slow_for_its_share() -> None:
    seconds = drawn("bimodal:4:120:0.1")
    assert set(seconds) == {4, 120}
    assert 0.085 < seconds.count(120) / len(seconds) < 0.115


@given(st.lists(st.text()), st.lists(st.text()))
def test_draws_tell_their_questions_apart(one, other) -> None:
    assert (draws.digest(*one) == draws.digest(*other)) == (one == other)


@given(st.text(), st.integers(-5, 5), st.integers(0, 5))
def test_draws_stay_inside(about, low, span) -> None:
    assert 0 < draws.fraction(about) < 1
    assert low <= draws.number(low, low + span, about) <= low + span
