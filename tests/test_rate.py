"""What a person is told of rate headers that make no sense, and what is made of any header."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enricher.providers.rate import LEAST_LIMIT, LONGEST_WAIT, rate_signal
from enricher.providers.transport import Answer

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
YEAR = 365 * 86400


def told(status=429, **headers):
    """The signal of an answer: `told(429, retry_after="1")`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return rate_signal(Answer(status, named, b""))


@pytest.mark.parametrize("text", ["5", " 5 ", "7.5", "0.01", "5e0", "1000000", "1e300"])
def test_a_limit_that_makes_sense_is_nothing_to_tell(text):
    signal = told(200, x_ratelimit_limit=text)
    assert (signal.limit, signal.nonsense) == (float(text), "")


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize(
    "text",
    [
        *("banana", "", "-5", "0", "-0", "nan", "inf", "-inf", "1e999", "5 per second"),
        *("5, 5", "5, 10;w=60", '"default";q=5', "0x5", "5,0", "1e-300", "1_0"),
    ],
)
def test_a_limit_that_is_none_is_ignored_and_told_with_its_value(status, text):
    signal = told(status, x_ratelimit_limit=text)
    assert signal.limit is None
    assert signal.nonsense == f"X-RateLimit-Limit {text!r} is ignored"


@pytest.mark.parametrize(
    "text",
    [
        *("0", "1", "2.5", "3600"),
        "Wed, 21 Oct 2015 07:28:30 GMT",
        "Wed, 21 Oct 2015 07:27:00 GMT",  # it is over: no wait, and a second off is no nonsense
    ],
)
def test_a_wait_that_makes_sense_is_nothing_to_tell(text):
    assert told(503, retry_after=text, date=DATE).nonsense == ""


@pytest.mark.parametrize(
    ("text", "date", "taken"),
    [
        ("soon", DATE, 1),
        ("", DATE, 1),
        ("-1", DATE, 1),
        ("nan", DATE, 1),
        ("1e999", DATE, 1),
        ("1, 2", DATE, 1),
        ("Wed, 21 Oct 2015 07:28:30 GMT", "", 1),  # our own clock may be wrong
        ("Wed, 21 Oct 2015 07:28:30 GMT", "yesterday", 1),
        ("Wed, 99 Oct 2015 07:28:30 GMT", DATE, 1),
        ("Thu, 01 Jan 1970 00:00:00 GMT", DATE, 1),
        (str(YEAR), DATE, LONGEST_WAIT),
        ("Fri, 21 Oct 2016 07:28:00 GMT", DATE, LONGEST_WAIT),
    ],
)
def test_a_wait_that_is_not_kept_is_told_with_its_value_and_what_is_kept(text, date, taken):
    signal = told(503, retry_after=text, date=date)
    assert signal.retry_after == taken
    assert signal.nonsense == f"Retry-After {text!r} is taken as {taken:g} s"


def test_both_are_told_in_one_line():
    signal = told(429, x_ratelimit_limit="five", retry_after="soon")
    assert signal.nonsense == (
        "X-RateLimit-Limit 'five' is ignored; Retry-After 'soon' is taken as 1 s"
    )


def test_what_holds_nobody_is_nothing_to_tell():
    assert told(200, retry_after="soon").nonsense == ""
    assert told(429).nonsense == ""


def test_a_value_is_shown_short_and_printable():
    signal = told(429, retry_after="\x1b[31m\u202e" + "9" * 10_000)
    assert signal.nonsense.isprintable()
    assert len(signal.nonsense) < 120


TEXTS = st.none() | st.text() | st.floats().map(str) | st.integers().map(str) | st.just(DATE)
DATES = st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))


@given(
    status=st.sampled_from([200, 404, 429, 503]),
    limit=TEXTS,
    wait=TEXTS | DATES,
    date=TEXTS | DATES,
)
@example(status=429, limit="5e-324", wait="9" * 400, date=DATE)
@example(status=429, limit="9" * 400, wait="Wed, 21 Oct 0000 07:28:00 -9999", date=DATE)
def test_whatever_the_headers_are_the_signal_can_be_followed(status, limit, wait, date):
    named = {"x_ratelimit_limit": limit, "retry_after": wait, "date": date}
    signal = told(status, **{name: text for name, text in named.items() if text is not None})
    assert signal.limit is None or LEAST_LIMIT <= signal.limit < math.inf
    assert signal.retry_after is None or 0 <= signal.retry_after <= LONGEST_WAIT
    assert signal.nonsense.isprintable()
