"""The rate limit holds whatever the requests do (BitScale API v1, 3)."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.simulator.limits import UNLIMITED, Window, limit_text, rate_limit
from tests.simulator.driving import Driver

gaps = st.lists(st.floats(0, 1.5) | st.sampled_from([0.0, 0.1, 0.2, 1.0]), max_size=120)
rates = st.sampled_from([0.5, 1, 2.5, 5, 50])


def accepted(rate: float, window: Window, times: list[float]) -> list[float]:
    limit = rate_limit(rate, window)
    return [now for now in times if limit.admit(now)]


def window_of(rate: float) -> tuple[int, float]:
    allowed = max(1, int(rate))
    return allowed, allowed / rate


@given(rate=rates, gaps=gaps)
def test_sliding_never_accepts_more_than_the_rate_in_any_window(rate, gaps) -> None:
    times = accepted(rate, Window.SLIDING, list(accumulate(gaps)))
    allowed, seconds = window_of(rate)
    spans = zip(times, times[allowed:], strict=False)
    assert all(later - earlier >= seconds for earlier, later in spans)


@given(rate=rates, gaps=gaps)
def test_fixed_never_accepts_more_than_the_rate_between_two_ticks(rate, gaps) -> None:
    times = accepted(rate, Window.FIXED, list(accumulate(gaps)))
    allowed, seconds = window_of(rate)
    ticks = [int(now // seconds) for now in times]
    assert all(ticks.count(tick) <= allowed for tick in ticks)


@given(rate=rates, gaps=gaps)
def test_bucket_never_accepts_more_than_it_held_and_was_given(rate, gaps) -> None:
    times = accepted(rate, Window.BUCKET, list(accumulate(gaps)))
    allowed, _ = window_of(rate)
    for first, begun in enumerate(times):
        for count, now in enumerate(times[first:], 1):
            assert count <= allowed + (now - begun) * rate + 1e-6


@given(window=st.sampled_from(Window), gaps=gaps)
def test_the_rules_count_every_endpoint_and_no_rejected_request(window, gaps) -> None:
    driver = Driver(rate=5, window=window)
    times = [1000 + at for at in accumulate(gaps)]
    good = []
    for number, driver.now in enumerate(times):
        path = ("/workspace", "/grids", "/run/status/none", "/nowhere")[number % 4]
        if driver.get(path).status != 429:
            good.append(driver.now)
    assert good == accepted(5, window, times) == list(driver.workspace.accepted_at)
    assert driver.workspace.rate_limited == len(times) - len(good)


@pytest.mark.parametrize("window", Window)
@pytest.mark.parametrize("rate", [0.5, 2.5, 5, 7, 60])
def test_an_even_pace_at_the_limit_is_never_rejected(rate, window) -> None:
    times = [number / rate * 1.000001 for number in range(300)]
    assert accepted(rate, window, times) == times


@pytest.mark.parametrize("window", Window)
def test_a_lasting_flood_gets_the_rate_and_no_more(window) -> None:
    flood = [number / 100 for number in range(3000)]
    assert 145 <= len(accepted(5, window, flood)) <= 155


def test_half_a_request_a_second_is_one_in_two_seconds() -> None:
    times = accepted(0.5, Window.SLIDING, [number / 10 for number in range(100)])
    assert all(later - earlier == 2 for earlier, later in pairwise(times))


def test_remaining_counts_down_and_comes_back() -> None:
    driver = Driver(rate=3)
    left = [driver.get("/workspace").headers["x-ratelimit-remaining"] for _ in range(4)]
    assert left == ["2", "1", "0", "0"]
    driver.now += 1
    assert driver.get("/workspace").headers["x-ratelimit-remaining"] == "2"


def test_a_wrong_key_spends_nothing_of_the_workspace() -> None:
    driver = Driver(rate=1)
    good, driver.key = driver.key, "wrong"
    assert {driver.get("/workspace").status for _ in range(20)} == {401}
    driver.key = good
    assert driver.get("/workspace").status == 200


def test_no_limit_tells_a_large_number() -> None:
    driver = Driver(rate=None)
    answers = [driver.get("/workspace") for _ in range(1000)]
    assert {answer.status for answer in answers} == {200}
    assert answers[-1].headers["x-ratelimit-limit"] == str(UNLIMITED)
    assert answers[-1].headers["x-ratelimit-remaining"] == str(UNLIMITED)


def test_the_limit_is_written_plainly() -> None:
    assert [limit_text(rate) for rate in (5, 5.0, 0.5, 1e6)] == ["5", "5", "0.5", "1000000"]
