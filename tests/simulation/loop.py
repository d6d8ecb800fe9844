"""Virtual time with threads that are none, and with a death at any step.

`run_in_executor` does the work on the loop itself, some milliseconds later and one piece of work at
a time for each executor. So the real job, threads and all, runs here in an order that its seed
decides.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.support.virtual import TICK, VirtualLoop


class Interruption(BaseException):
    """Leaves the loop at once, between two steps; the tasks stay where they are."""


class Crash(Interruption):
    """The process is killed."""


class Overdue(Interruption):
    """It took longer than anything may take."""


class _Ready(deque[Any]):
    """What the loop is to do next. Each taking is a step: from one `await` to the next."""

    taken = 0
    interrupt_at = math.inf
    interruption: type[Interruption] = Crash

    def popleft(self) -> Any:
        if self.taken >= self.interrupt_at:
            self.interrupt_at = math.inf
            raise self.interruption
        self.taken += 1
        return super().popleft()


class Loop(VirtualLoop):
    """
    Args:
        delay: seconds until a piece of work in an executor is done.
    """

    def __init__(self, delay: Callable[[], float]) -> None:
        super().__init__()
        self._ready = _Ready()
        self._delay = delay
        self._busy_until: dict[object, float] = {}
        self._working: dict[asyncio.Future[Any], asyncio.Handle] = {}
        self.is_dead = False
        self.works = 0
        self.on_work: Callable[[], bool] = lambda: True
        """Asked before each piece of work; what is refused is never done."""
        self.on_worked: Callable[[], None] = lambda: None

    @property
    def steps(self) -> int:
        """How many steps were taken until now."""
        return self._ready.taken

    def interrupt(self, after: int = 0, kind: type[Interruption] = Crash) -> None:
        """Raise `kind` out of the loop so many steps from now; the earliest one counts."""
        at = self._ready.taken + after
        if at < self._ready.interrupt_at:
            self._ready.interrupt_at, self._ready.interruption = at, kind

    def calm(self) -> None:
        """Forget an interruption that has not come yet."""
        self._ready.interrupt_at = math.inf

    def run_in_executor(  # type: ignore[override]  # as much of it as is needed
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """See `loop`. After a death nothing is done any more."""
        future = self.create_future()
        if self.is_dead:
            future.set_exception(RuntimeError("the process is dead"))
            return future
        at = max(self.time(), self._busy_until.get(executor, 0.0)) + max(1e-5, self._delay())
        self._busy_until[executor] = at
        self._working[future] = self.call_at(at, self._work, future, func, args)
        return future

    def _work(
        self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        del self._working[future]
        if future.cancelled():
            return
        if not self.on_work():
            self.call_soon(lambda: None)  # the process dies now, not when its next timer is due
            return
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # whoever waits for the work gets it
            future.set_exception(error)
        self.works += 1
        self.on_worked()

    def die(self) -> None:
        """Work that was not done yet will never be; and time stands still until `live_again`."""
        self.is_dead = True
        self._clock.tick = 0.0
        for handle in self._working.values():
            handle.cancel()
        self._working.clear()
        self._busy_until.clear()

    def live_again(self) -> None:
        self.is_dead = False
        self._clock.tick = TICK
