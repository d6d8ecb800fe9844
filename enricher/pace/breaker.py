"""When a server is better left alone, and how long to wait after the n-th fault.

Times are seconds of the event loop's monotonic clock.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    wait_exponential_jitter,
)

from enricher.model import OnSent
from enricher.pace.gate import Permits
from enricher.verdicts import Faults, Refused, Reply


class Backoff:
    """Seconds to wait after the n-th fault in a row: exponential, jittered, capped."""

    def __init__(self, longest: float = 60.0) -> None:
        self._wait = wait_exponential_jitter(max=longest)

    def after(self, faults: int) -> float:
        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number = max(1, faults)
        return self._wait(state)


FAULTS_THAT_OPEN = 5


class Breaker:
    """Keeps an outage from turning a file into doubt.

    Faults in a row open it: then only probes are sent. A probe that is answered half-closes it: one
    submission may go, and its answer decides. Submissions and looks are counted apart, since a
    server may take looks and break on every submission.

    Args:
        patience: seconds from the first of the faults that opened it until the server counts as
            gone, if it is open then.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._backoff = Backoff(longest=30.0)
        self._faults = {"submit": 0, "look": 0}
        self._first_fault_at: dict[str, float] = {}
        self._since = math.inf
        self._openings = 0
        self._probe_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    @property
    def is_trying(self) -> bool:
        """Half-closed: one submission at a time until one is answered."""
        return self._openings > 0

    @property
    def probe_due_at(self) -> float:
        """When the next probe may be sent, if it is open."""
        return self._probe_at or 0.0

    def fault(self, kind: str, now: float) -> None:
        """A request of `kind` ("submit" or "look") brought no usable answer."""
        self._faults[kind] += 1
        began = self._first_fault_at.setdefault(kind, now)
        if self._faults[kind] >= FAULTS_THAT_OPEN or (self.is_trying and kind == "submit"):
            self._since = began
            self._open(now)

    def answered(self, kind: str) -> None:
        """A request of `kind` was answered."""
        self._faults[kind] = 0
        self._first_fault_at.pop(kind, None)
        if kind == "submit":
            self._openings = 0

    def probed(self, alive: bool, now: float) -> None:
        if alive:
            self._probe_at = None
            self._faults = dict.fromkeys(self._faults, 0)
        else:
            self._open(now)

    def is_given_up(self, now: float) -> bool:
        """Whether the patience is over, and the last word was still a fault."""
        return self.is_open and now - self._since > self._patience

    def _open(self, now: float) -> None:
        self._openings += 1
        self._faults = dict.fromkeys(self._faults, 0)
        self._probe_at = now + self._backoff.after(self._openings)


async def patiently(
    gate: Permits,
    request: Callable[[OnSent], Awaitable[Reply]],
    *,
    patience: float,
    on_fault: Callable[[Reply], None],
) -> Reply:
    """Send a request that costs nothing until it is answered, for `patience` seconds.

    Returns:
        The last reply: an answer, or after the patience the fault.
    """

    loop = asyncio.get_running_loop()
    began = loop.time()

    async def once() -> Reply:
        permit = await gate.acquire()
        sent_at = loop.time()
        try:
            reply = await request(permit.sent)
        finally:
            permit.close()
        gate.observe(reply.signal, sent_at)
        return reply

    def is_fault(reply: Reply) -> bool:
        return isinstance(reply.verdict, Faults | Refused)

    def told(state: RetryCallState) -> None:
        if state.outcome is not None:
            on_fault(state.outcome.result())

    return await AsyncRetrying(
        retry=retry_if_result(is_fault),
        wait=wait_exponential_jitter(max=30),
        stop=lambda _: loop.time() - began >= patience,
        before_sleep=told,
        retry_error_callback=lambda state: state.outcome.result(),  # type: ignore[union-attr]
    )(once)
