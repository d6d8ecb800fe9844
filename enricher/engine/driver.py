"""What both engines do alike: drive, stop, and collect the answers to what was sent.

The driver asks the gate for permission and sends what is next, with nothing awaited between
permission and send: a commit in that place would break the limit.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Generic, TypeVar

from enricher.engine.server import Server, Tools
from enricher.engine.tasks import Group, Tasks, ended
from enricher.intake import Intake
from enricher.model import Item, Stop, StopCode
from enricher.pace import Permit
from enricher.providers.base import Target

Asked = TypeVar("Asked", bound=Target)
Found = TypeVar("Found")
"""What an earlier invocation has left under way."""


class Driver(ABC, Generic[Asked, Found]):
    """Works one job off; call `run()` once."""

    def __init__(self, tools: Tools[Asked]) -> None:
        self._tools: Tools[Asked] = tools
        self._journal = tools.journal
        self._stops = tools.stops
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks(self._end)
        self._intake = Intake(self._tasks.ring)
        self._server = Server(tools, self.stop)
        self._reading: Group = set()
        self._driving: Group = set()
        self._requests: Group = set()
        self._stop: Stop | None = None
        self._signalled = False

    def stop(self, stop: Stop) -> None:
        """Send nothing more and collect the answers to what was sent.

        At the second signal, wait for no more answers. The first reason counts.
        """
        again = self._signalled and stop.signal
        self._signalled = self._signalled or bool(stop.signal)
        self._stop = self._stop or stop
        self._end()
        for request in self._requests if again else ():
            self._loop.call_soon(request.cancel)  # not before it has begun: it must say what became

    def _end(self) -> None:
        for driver in self._driving:
            driver.cancel()

    async def run(
        self, feed: AsyncIterator[Sequence[Item]], recovered: Iterable[Found] = ()
    ) -> Stop | None:
        """Work until every item has ended, or until stopped; return why it stopped.

        Raises:
            CheckpointError: the journal could not be written; nothing was submitted after that.
            InputError: the feed could not be read on.
        """
        for found in recovered:
            self._recover(found)
        self._tasks.start(self._intake.pump(feed), self._reading)
        driver = self._tasks.start(self._drive(), self._driving)
        try:
            if self._stop is None:
                await asyncio.wait({driver})
        finally:
            await ended(self._reading | self._driving)
            await self._collect()
        if self._tasks.failure is not None:
            raise self._tasks.failure
        return self._stop

    async def _drive(self) -> None:
        while not self._is_over():
            if stop := self._reason_to_stop():
                self.stop(stop)
                return
            self._prepare()
            if self._is_due():
                if (permit := await self._server.permission()) is None:
                    return
                self._send(permit)
            else:
                await self._tasks.wait(self._next_due())

    def _reason_to_stop(self) -> Stop | None:
        """Whether the server is gone, or a cap is reached and what was submitted is collected."""
        now = self._loop.time()
        if self._tools.breaker.is_given_up(now):
            return Stop(StopCode.SERVER_GONE, "the server gave no usable answer for too long")
        why = self._stops.why(now)
        if why is None or self._stops.purse.wants_reading():
            return None
        if self._waits_for_answers(now):
            return why if now >= self._stops.collects_until() else None
        return why if self._intake or self._has_unsent() else None

    def _is_due(self) -> bool:
        if self._server.wants_probe():
            return self._server.probe_is_due()
        return self._next_is_due()

    def _send(self, permit: Permit) -> None:
        """Send what is next at this very moment: the gate has just allowed one request."""
        if self._server.wants_probe():
            if probe := self._server.probe(permit):
                self._tasks.start(probe, self._requests)
        else:
            self._send_next(permit)

    # --- what differs ------------------------------------------------------------------------

    @abstractmethod
    def _recover(self, found: Found) -> None:
        """Go on with what an earlier invocation has left."""

    @abstractmethod
    async def _collect(self) -> None:
        """Wait for answers, and take back what cannot have reached the provider."""

    @abstractmethod
    def _is_over(self) -> bool:
        """Whether every item has ended."""

    @abstractmethod
    def _prepare(self) -> None:
        """Begin to write intents, while there is room for more."""

    @abstractmethod
    def _waits_for_answers(self, now: float) -> bool:
        """Whether something was submitted that has not ended."""

    @abstractmethod
    def _has_unsent(self) -> bool:
        """Whether items that have left the intake are still to be sent."""

    @abstractmethod
    def _next_is_due(self) -> bool:
        """Whether a request may be sent now that is no probe."""

    @abstractmethod
    def _send_next(self, permit: Permit) -> None:
        """Send the request that is next."""

    @abstractmethod
    def _next_due(self) -> float:
        """When the next thing is due by itself."""
