"""The rate limit of a workspace (BitScale API v1, 3), in three strict readings.

The document promises "N requests per second" and a "current 1-second window", and leaves open
which kind of window that is; a client must hold under each of these. A rejected request counts
for nothing. A rate that is no whole number allows `floor(rate)` requests, at least one, in
proportionally more or less than a second: 0.5 is one request in two seconds.
"""

import math
from collections import deque
from enum import StrEnum
from typing import Protocol

UNLIMITED = 1_000_000
"""What the rate limit headers say where there is no limit: they are documented on every answer."""


class Window(StrEnum):
    """How the requests of "a second" are counted."""

    SLIDING = "sliding"
    """Never more than N accepted requests in any second, wherever it begins."""

    FIXED = "fixed"
    """Never more than N accepted requests between two ticks of the server's clock."""

    BUCKET = "bucket"
    """N tokens at most, refilled evenly."""


class RateLimit(Protocol):
    """Admits or rejects requests as time goes on; `now` never runs backwards."""

    def admit(self, now: float) -> bool:
        """Whether a request at this moment is accepted; if so, it is counted."""

    def remaining(self, now: float) -> int:
        """How many more requests would be accepted at this moment."""


class SlidingWindow:
    """Remembers the accepted requests of the last window."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._accepted: deque[float] = deque()

    def admit(self, now: float) -> bool:
        if self.remaining(now) == 0:
            return False
        self._accepted.append(now)
        return True

    def remaining(self, now: float) -> int:
        while self._accepted and now - self._accepted[0] >= self._seconds:
            self._accepted.popleft()
        return self._allowed - len(self._accepted)


class FixedWindow:
    """Counts from zero at every tick."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._tick = 0
        self._count = 0

    def admit(self, now: float) -> bool:
        if self.remaining(now) == 0:
            return False
        self._count += 1
        return True

    def remaining(self, now: float) -> int:
        tick = math.floor(now / self._seconds)
        if tick != self._tick:
            self._tick, self._count = tick, 0
        return self._allowed - self._count


class TokenBucket:
    """Full at the start; every accepted request takes one token."""

    # Sums of tenths fall a hair short of a whole token.
    _ROUNDING = 1e-9

    def __init__(self, allowed: int, seconds: float) -> None:
        self._allowed = allowed
        self._per_second = allowed / seconds
        self._tokens = float(allowed)
        self._filled_at = 0.0

    def admit(self, now: float) -> bool:
        if self.remaining(now) == 0:
            return False
        self._tokens -= 1
        return True

    def remaining(self, now: float) -> int:
        refill = (now - self._filled_at) * self._per_second
        self._tokens = min(float(self._allowed), self._tokens + refill)
        self._filled_at = now
        return max(0, math.floor(self._tokens + self._ROUNDING))


class Unlimited:
    """No limit at all."""

    def admit(self, now: float) -> bool:
        return True

    def remaining(self, now: float) -> int:
        return UNLIMITED


_WINDOWS: dict[Window, type[SlidingWindow | FixedWindow | TokenBucket]] = {
    Window.SLIDING: SlidingWindow,
    Window.FIXED: FixedWindow,
    Window.BUCKET: TokenBucket,
}


def rate_limit(rate: float | None, window: Window) -> RateLimit:
    """The limit of so many requests per second; None is no limit."""
    if rate is None:
        return Unlimited()
    allowed = max(1, math.floor(rate))
    return _WINDOWS[window](allowed, allowed / rate)


def limit_text(rate: float | None) -> str:
    """The limit as the headers and the message of a 429 write it."""
    if rate is None:
        return str(UNLIMITED)
    return str(int(rate)) if float(rate).is_integer() else str(rate)
