"""What an answer says of the rate limit; nonsense in its headers says nothing."""

import math
from email.utils import parsedate_to_datetime

from enricher.providers.transport import Answer
from enricher.verdicts import RateSignal

LONGEST_WAIT = 3600.0
"""Seconds. A server that asks for more is asked again after an hour."""

UNREADABLE_WAIT = 1.0
"""Seconds to wait where `Retry-After` is there and says nothing: a wait was asked for."""


def rate_signal(answer: Answer) -> RateSignal:
    """Read `X-RateLimit-Limit` and `Retry-After` (BitScale section 3; RFC 9110, 10.2.3).

    On a success `Retry-After` would be about that one request, and holds nobody.
    """
    limit = _number(answer.headers.get("x-ratelimit-limit", ""))
    return RateSignal(
        limit=limit if limit else None,
        retry_after=_retry_after(answer) if answer.status >= 400 else None,
        limited=answer.status == 429,
    )


def _retry_after(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is None:
        seconds = _until(text, answer.headers.get("date", ""))
    return UNREADABLE_WAIT if seconds is None else min(seconds, LONGEST_WAIT)


def _until(date: str, server_now: str) -> float | None:
    """Seconds to a date by the server's own clock: ours may be wrong."""
    try:
        wait = parsedate_to_datetime(date) - parsedate_to_datetime(server_now)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait.total_seconds())


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
