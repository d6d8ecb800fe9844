"""Group commit: while one group is being written, the next one gathers.

The grouping rule stands here once; what runs the transaction is given: a thread in a real job
(`in_thread`), the loop itself after a seeded delay where time is virtual (`inline`), because a
thread would let a virtual clock jump while it waits for the disk.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from enricher.model import Event

Apply = Callable[[Sequence[Event]], list[bool]]
"""One synchronous transaction; true for each event that took effect."""

Watch = Callable[[Event], None]
"""Called on the loop for every event that is on disk and took effect, in order."""


Entry = tuple[Event, asyncio.Future[bool] | None]


class Runner(Protocol):
    """Runs one transaction and gives what it returned."""

    def __call__(self, transaction: Callable[[], list[bool]]) -> Awaitable[list[bool]]: ...


def in_thread(executor: ThreadPoolExecutor) -> Runner:
    """Transactions run in `executor`, which must have one worker."""

    async def run(transaction: Callable[[], list[bool]]) -> list[bool]:
        return await asyncio.get_running_loop().run_in_executor(executor, transaction)

    return run


def inline(delay: Callable[[], float]) -> Runner:
    """Transactions run on the loop after `delay()` seconds, in which a group gathers."""

    async def run(transaction: Callable[[], list[bool]]) -> list[bool]:
        await asyncio.sleep(delay())
        return transaction()

    return run


class Committer:
    """The `Journal` over a transaction function. After a failure it takes nothing more."""

    def __init__(self, apply: Apply, run: Runner, watch: Watch = lambda _: None) -> None:
        self._apply = apply
        self._run = run
        self._watch = watch
        self._gathering: list[Entry] = []
        self._writing: list[Entry] = []
        self._pump: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    async def write(self, event: Event) -> bool:
        """See `Journal.write`."""
        durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._take(event, durable)
        return await durable

    def post(self, event: Event) -> None:
        """See `Journal.post`."""
        self._take(event, None)

    async def close(self) -> None:
        """Return when everything given is on disk.

        Raises:
            CheckpointError: something could not be written.
        """
        while self._pump is not None:
            await asyncio.wait([self._pump])
        if self._failure is not None:
            raise self._failure

    def _take(self, event: Event, durable: asyncio.Future[bool] | None) -> None:
        if self._failure is not None:
            raise self._failure
        self._gathering.append((event, durable))
        if self._pump is None:
            self._start_pump()

    def _start_pump(self) -> None:
        self._pump = asyncio.get_running_loop().create_task(self._commit_groups())
        self._pump.add_done_callback(self._pump_ended)

    async def _commit_groups(self) -> None:
        while self._gathering:
            group, self._gathering = self._gathering, []
            events = [event for event, _ in group]
            self._writing = group
            took_effect = await self._run(partial(self._apply, events))
            self._settle(group, took_effect)

    def _settle(self, group: list[Entry], took_effect: list[bool]) -> None:
        for (event, durable), took in zip(group, took_effect, strict=True):
            if took:
                self._watch(event)
            if durable is not None and not durable.done():
                durable.set_result(took)

    def _pump_ended(self, pump: asyncio.Task[None]) -> None:
        self._pump = None
        self._failure = None if pump.cancelled() else pump.exception()
        if self._failure is None:
            if self._gathering:  # given after the pump's last look and before this call
                self._start_pump()
            return
        for _, durable in [*self._writing, *self._gathering]:
            if durable is not None and not durable.done():
                durable.set_exception(self._failure)
        self._gathering = []
