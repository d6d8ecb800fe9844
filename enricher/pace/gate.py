"""Never more than N requests in any second, and as near to N as that allows.

The clock is always the event loop's monotonic one, in seconds.
"""

import asyncio
import math
import sys
from collections import deque
from typing import Protocol

from aiolimiter import AsyncLimiter

from enricher.budget import BudgetBroken
from enricher.model import Warn
from enricher.notice import EventName, Notice
from enricher.pace.sharing import Pace, Sharing
from enricher.verdicts import RateSignal

DEFAULT_RATE = 5.0
"""Requests a second and workspace over all endpoints (BitScale API, section 3)."""

LEAST_MARGIN = 0.030
MOST_MARGIN = 0.250
MARGIN_STEP = 0.010
MARGIN_HALF_LIFE = 600.0
"""Seconds: the extra second-to-second distance that 429s earn, and how slowly it goes away."""

LONGEST_PAUSE_WITHOUT_WORD = 1.0
"""Seconds to hold after a 429 that does not say how long."""

NO_LIMIT = 100_000.0
"""Requests a second; a server that names so many sets no limit."""

_BATCH_ABOVE = 25.0
"""Requests a second; timers fire about a millisecond late, which one by one costs rate."""

_TELL_LIMITED_EVERY = 60.0
"""Seconds between two words to a person about refusals for the rate."""

_LOG = 5.0
"""Seconds for which sends are remembered: a 429 may come that long after its request."""


class Permits(Protocol):
    """A limit shared by everyone who sends: one request a permission."""

    @property
    def rate(self) -> float: ...

    def ready_at(self) -> float:
        """When the next permission can be given at the earliest."""

    async def acquire(self) -> "Permit": ...

    def observe(self, signal: RateSignal, sent_at: float) -> None: ...


class Permit(Protocol):
    """Permission for one request."""

    @property
    def was_sent(self) -> bool: ...

    def sent(self) -> None:
        """The request leaves now."""

    def close(self) -> None:
        """The request is over; if it never left, its place is free again."""


class Gate:
    """The rate limit of one process, and its part in one that is shared.

    Send k+n comes no sooner than a second + margin after send k, with n = floor(N): then no window
    of one second, however it lies, holds more than N. Below one request a second it is one send in
    1/N seconds. Between those bounds sends are spaced evenly. The second before the start counts as
    spent, so that a restart cannot break the limit; a shared budget knows that second, and then
    nothing waits for it.

    Args:
        rate: requests a second; `math.inf` for none.
        follow: take the limit that the server's answers name, up and down. Without it the server's
            word can only lower the rate: sending more than it allows would be refused anyway.
        warn: told when the server's limit is lower than `rate`, once for each limit, and once of
            headers that make no sense.
        sharing: a limit that is kept together with other processes, on top of this one's own.
    """

    def __init__(
        self,
        rate: float,
        *,
        follow: bool = False,
        warn: Warn = lambda _: None,
        sharing: Sharing | None = None,
    ) -> None:
        self._asked = rate
        self._sharing = sharing
        self._is_vague = follow
        self._follow = follow
        self._warn = warn
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._margin = LEAST_MARGIN
        self._margin_at = self._widened_at = self._loop.time()
        self._paused_until = self._given_at = 0.0
        self._warned_of: set[float] = set()
        self._warned_of_nonsense = False
        self._told_limited_at = -math.inf
        self._sends = deque[float]()
        self._unsent: set[GatePermit] = set()
        self._changed = asyncio.Event()
        self._set_rate(rate)
        if math.isfinite(rate) and sharing is None:
            self._count_as_spent()

    def _count_as_spent(self) -> None:
        """Whatever was sent in the second before now: nobody here knows it."""
        self.pause(self._loop.time() + self._span + self._margin)

    @property
    def rate(self) -> float:
        """Requests a second that are allowed now; `math.inf` for no limit."""
        return self._rate

    def ready_at(self) -> float:
        """When the next permission can be given at the earliest, as far as is known now."""
        evenly = self._given_at + 1 / self._rate if self._rate <= _BATCH_ABOVE else 0.0
        allowed = self._allowed_at()
        promised = 0.0 if self._sharing is None else self._sharing.promised
        return max(evenly, promised, 0.0 if math.isinf(allowed) else allowed)

    async def acquire(self) -> "GatePermit":
        """Return at the moment when one request may leave; begin it before any `await`.

        What counts is when it leaves: a new connection may take longer to be made than the margin
        is. Until then its place is taken, whenever that will be.
        """
        async with self._turn:
            await self._until_allowed()
            place = None
            while self._spacing is not None:
                await self._spacing.acquire()
                place = await self._shared_place()
                if self._allowed_at() <= self._loop.time():
                    break
                self._give_back(place)
                await self._until_allowed()  # a pause came in between: take a new place after it
            permit = GatePermit(self, place)
            self._unsent.add(permit)
            self._given_at = self._loop.time()
            return permit

    async def _until_allowed(self) -> None:
        while (at := self._allowed_at()) > self._loop.time():
            try:
                async with asyncio.timeout_at(None if math.isinf(at) else at):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def settle(self, permit: "GatePermit", *, sent: bool) -> None:
        """`permit` is used, or given back."""
        if permit not in self._unsent:
            return
        self._unsent.discard(permit)
        if not sent:
            self._give_back(permit.place)
        else:
            self._log(self._loop.time())
            if self._sharing is not None and permit.place is not None:
                self._sharing.sent(permit.place)
        self._wake()

    async def aclose(self) -> None:
        """Nothing more will be sent: others need not wait for this process."""
        if self._sharing is not None:
            await self._sharing.aclose()

    async def _shared_place(self) -> int | None:
        """A place in the shared limit, if there is one; it may take long."""
        if self._sharing is None:
            return None
        batch = math.ceil(self._rate / _BATCH_ABOVE)
        pace = Pace(self._rate, self._narrowed(), vague=self._is_vague, batch=batch)
        try:
            return await self._sharing.place(pace)
        except BudgetBroken as broken:
            self._sharing = None
            self._warn(f"{broken}; this process keeps a limit of its own")
            self._count_as_spent()
            return None

    def _give_back(self, place: int | None) -> None:
        if self._sharing is not None and place is not None:
            self._sharing.give_back(place)

    def _wake(self) -> None:
        """Let everyone who waits look again how long that is."""
        self._changed.set()
        self._changed = asyncio.Event()

    def observe(self, signal: RateSignal, sent_at: float) -> None:
        """Learn from an answer to a request that was allowed, or left, at `sent_at`."""
        now = self._loop.time()
        if signal.nonsense and not self._warned_of_nonsense:
            self._warned_of_nonsense = True
            self._warn(f"the server's rate headers cannot be followed: {signal.nonsense}")
        if signal.limit is not None:
            self._hear_limit(signal.limit)
        if signal.limited:
            self._widen(now, sent_at)
        if signal.limited or signal.retry_after is not None:
            wait = signal.retry_after
            wait = LONGEST_PAUSE_WITHOUT_WORD if wait is None else wait
            self.pause(now + wait)
            if self._sharing is not None:
                self._sharing.pause(now + wait)
            if signal.limited:
                self._tell_limited(now, wait)

    def _tell_limited(self, now: float, wait: float) -> None:
        if now - self._told_limited_at >= _TELL_LIMITED_EVERY:
            self._told_limited_at = now
            text = f"the server refused a request for the rate (429): pausing for {wait:.3g} s"
            self._warn(Notice(EventName.RATE_LIMITED, text))

    def pause(self, until: float) -> None:
        """Let nothing leave before `until`; pauses never add up."""
        self._paused_until = max(self._paused_until, until)

    def _hear_limit(self, limit: float) -> None:
        if limit >= NO_LIMIT:
            return
        self._is_vague = False
        rate = limit if self._follow else min(limit, self._asked)
        if rate == self._rate:
            return
        if not self._follow and limit < self._asked and limit not in self._warned_of:
            self._warned_of.add(limit)
            asked = "unlimited" if math.isinf(self._asked) else f"{self._asked:g}"
            text = f"the server allows {limit:g} requests/s: going at that, not {asked}"
            self._warn(Notice(EventName.RATE_CHANGED, text))
        self._set_rate(rate)
        self._wake()

    def _set_rate(self, rate: float) -> None:
        """The log of sends outlives every change of rate, and with it the promise."""
        self._rate = rate
        if math.isinf(rate):
            self._spacing, self._in_a_window = None, sys.maxsize
            return
        self._in_a_window = max(1, math.floor(rate))
        self._span = max(1.0, 1 / rate)
        batch = max(1.0, rate / _BATCH_ABOVE)
        self._spacing = AsyncLimiter(batch, batch / rate)

    def _log(self, now: float) -> None:
        self._sends.append(now)
        while len(self._sends) > 1 and self._sends[0] < now - _LOG:
            self._sends.popleft()

    def _allowed_at(self) -> float:
        places = self._in_a_window - len(self._unsent)
        if places <= 0:
            return math.inf
        if len(self._sends) < places:
            return self._paused_until
        window_frees = self._sends[-places] + self._span + self._narrowed()
        return max(window_frees, self._paused_until)

    def _narrowed(self) -> float:
        now = self._loop.time()
        extra = self._margin - LEAST_MARGIN
        if extra > 0:
            extra *= math.pow(0.5, (now - self._margin_at) / MARGIN_HALF_LIFE)
            self._margin = LEAST_MARGIN + extra
        self._margin_at = now
        return self._margin

    def _widen(self, now: float, sent_at: float) -> None:
        """One step an episode, none if others used up the second: our pace was not the cause."""
        left_at = next((at for at in self._sends if at >= sent_at), sent_at)
        ours = sum(1 for at in self._sends if left_at - 1.0 < at <= left_at)
        if self._sharing is not None:
            ours = max(ours, self._sharing.used)
        if sent_at < self._widened_at or ours < self._in_a_window:
            return
        self._widened_at = now
        self._margin = min(MOST_MARGIN, self._narrowed() + MARGIN_STEP)


class GatePermit:
    """A place in the rate of a `Gate`."""

    def __init__(self, gate: Gate, place: int | None) -> None:
        self._gate = gate
        self.place = place
        self.was_sent = False

    def sent(self) -> None:
        self.was_sent = True
        self._gate.settle(self, sent=True)

    def close(self) -> None:
        self._gate.settle(self, sent=False)
