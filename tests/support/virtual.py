"""An event loop whose clock jumps to the next thing that is due: hours pass in milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

TICK = 1e-6
"""Seconds that every turn of the loop takes at least; code that waits for time to pass would
otherwise turn for ever at one instant."""


class _NoSelector(selectors.BaseSelector):
    """No file is ever ready; instead of waiting it moves the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tick = TICK
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Any:
        return self._keys

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        self.now += max(timeout, self.tick)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 0, in seconds. Threads are refused: the clock would run away from them."""

    def __init__(self) -> None:
        self._clock = _NoSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(self, *_: Any) -> Any:  # type: ignore[override]  # it never runs anything
        raise RuntimeError("no threads in virtual time")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
