"""The tasks of an engine, and the bell that wakes whoever waits for one of them."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

ANSWER_GRACE = 10.0
"""Seconds that a stop waits for the answers to what was sent; held submissions have longer."""

Group = set[asyncio.Task[None]]
"""Tasks that are under way; one that ends leaves its group."""


class Tasks:
    """Starts tasks and hears of their ends; the first failure counts.

    Args:
        failed: called at the first failure.
    """

    def __init__(self, failed: Callable[[], None]) -> None:
        self._failed = failed
        self._bell = asyncio.Event()
        self.failure: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None], group: Group) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        group.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, group))
        return task

    def _ended(self, task: asyncio.Task[None], group: Group) -> None:
        group.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self.failure is None:
            self.failure = error
            self._failed()
        self.ring()

    def ring(self) -> None:
        """Wake everyone who waits for a change."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def wait(self, until: float) -> None:
        """Wait for something to happen, or until a time of the loop's clock."""
        try:
            async with asyncio.timeout_at(None if math.isinf(until) else until):
                await self._bell.wait()
        except TimeoutError:
            pass


async def ended(group: Group) -> None:
    """Cancel the tasks and wait for their ends."""
    tasks = tuple(group)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
