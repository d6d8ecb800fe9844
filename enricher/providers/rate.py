"""What an answer says of the rate limit; nonsense in its headers says nothing."""

import math
from email.utils import parsedate_to_datetime

from enricher.providers.transport import Answer
from enricher.verdicts import RateSignal

LONGEST_WAIT = 3600.0
"""Seconds. A server that asks for more is asked again after an hour."""

LEAST_LIMIT = 1 / LONGEST_WAIT
"""Requests a second; a server that names less would hold a job for ever."""

UNREADABLE_WAIT = 1.0
"""Seconds to wait where `Retry-After` is there and says nothing: a wait was asked for."""

_SHOWN = 40
"""Characters of a header that are shown to a person."""


def rate_signal(answer: Answer) -> RateSignal:
    """Read `X-RateLimit-Limit` and `Retry-After` (BitScale section 3; RFC 9110, 10.2.3).

    On a success `Retry-After` would be about that one request, and holds nobody.
    """
    limit, limit_ignored = _limit(answer.headers.get("x-ratelimit-limit"))
    wait, wait_mended = _wait(answer) if answer.status >= 400 else (None, "")
    return RateSignal(
        limit=limit,
        retry_after=wait,
        limited=answer.status == 429,
        nonsense="; ".join(filter(None, (limit_ignored, wait_mended))),
    )


def _limit(text: str | None) -> tuple[float | None, str]:
    """Requests a second, and what to say if it is nonsense."""
    number = _number(text or "")
    if text is None or (number is not None and number >= LEAST_LIMIT):
        return number, ""
    return None, f"X-RateLimit-Limit {text[:_SHOWN]!r} is ignored"


def _wait(answer: Answer) -> tuple[float | None, str]:
    """Seconds, and what to say if others were asked for, or none that can be told."""
    text = answer.headers.get("retry-after")
    if text is None:
        return None, ""
    asked = _number(text)
    if asked is None:
        asked = _until(text, answer.headers.get("date", ""))
    wait = UNREADABLE_WAIT if asked is None else min(asked, LONGEST_WAIT)
    return wait, "" if wait == asked else f"Retry-After {text[:_SHOWN]!r} is taken as {wait:g} s"


def _until(date: str, server_now: str) -> float | None:
    """Seconds to a date by the server's own clock: ours may be wrong.

    A date long over says no more than one that cannot be read: the clock that made it is wrong.
    """
    try:
        wait = parsedate_to_datetime(date) - parsedate_to_datetime(server_now)
    except (ValueError, TypeError, OverflowError):
        return None
    seconds = wait.total_seconds()
    return max(0.0, seconds) if seconds >= -LONGEST_WAIT else None


def _number(text: str) -> float | None:
    try:
        number = float(text.replace("_", "?"))  # which Python reads over
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
