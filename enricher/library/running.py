"""A job in a thread with an event loop of its own.

So a caller's event loop is never held up by files, and the pace never by the caller; a call works
in a notebook, whose loop runs already; and there is one way to stop a job, whoever waits for it.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from queue import SimpleQueue
from types import FrameType
from typing import Generic, TypeVar

from enricher.api import EventName, Hooks, Stop, StopCode, Summary, describe, event_of
from enricher.errors import TryLater
from enricher.library.events import Event, Hear

T = TypeVar("T")

Work = Callable[[Hooks], Awaitable[T]]

CANCELLED = Stop(StopCode.SIGNAL, "cancelled", signal.SIGINT)


class Running(Generic[T]):
    """Begins `work` in its thread.

    Args:
        deliver: called in that thread with each event, and with `None` at the end.
    """

    def __init__(self, work: Work[T], deliver: Callable[[Event | None], None]) -> None:
        self._work = work
        self._deliver = deliver
        self._task: asyncio.Task[T] | None = None
        self._stop: Callable[[Stop], None] | None = None
        self._cancelled = False
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = runner.get_loop()
        executor = ThreadPoolExecutor(1, "enricher")
        self._ended = executor.submit(self._live, runner)
        executor.shutdown(wait=False)
        self._ended.add_done_callback(lambda _: deliver(None))

    def _live(self, runner: asyncio.Runner) -> T:
        with runner:
            return runner.run(self._main())

    async def _main(self) -> T:
        if self._cancelled:
            raise asyncio.CancelledError
        self._task = asyncio.current_task()
        hooks = Hooks(
            warn=self._tell, detail=self._tell, progress=self._progress, ready=self._ready
        )
        result = await self._work(hooks)
        if isinstance(result, Summary):
            self._deliver(Event(EventName.ENDED, describe(result), result))
        return result

    def _tell(self, line: str) -> None:
        self._deliver(Event(event_of(line), str(line)))

    def _progress(self, summary: Summary) -> None:
        self._deliver(Event(EventName.PROGRESS, describe(summary), summary))

    def _ready(self, stop: Callable[[Stop], None]) -> None:
        self._stop = stop

    def stop(self, stop: Stop = CANCELLED) -> None:
        """Stop and save: the first time as the first Ctrl-C, then as the second. From any thread.

        What has not begun to submit is just cancelled.
        """
        with suppress(RuntimeError):  # the loop is closed: it has ended
            self._loop.call_soon_threadsafe(self._obey, stop)

    def _obey(self, stop: Stop) -> None:
        self._cancelled = True
        if self._stop is not None:
            self._stop(stop)
        elif self._task is not None:
            self._task.cancel()

    def wait(self) -> None:
        """Block until it has ended."""
        wait([self._ended])

    def result(self) -> T:
        """What it brought, once it has ended.

        Raises:
            EnricherError: it could not be done.
            TryLater: it was cancelled before it could submit anything.
        """
        try:
            return self._ended.result()
        except asyncio.CancelledError:
            raise TryLater("Stopped before anything was submitted.", code="stopped") from None


def attended(work: Work[T], hear: Hear, *, stop_signals: bool = False) -> T:
    """Do `work`, blocking; Ctrl-C stops it, saves, and is raised then."""
    events: SimpleQueue[Event | None] = SimpleQueue()
    running = Running(work, events.put)
    over = False
    try:
        with _stopped_by_signals(running) if stop_signals else nullcontext():
            while (event := events.get()) is not None:
                hear(event)
        over = True
    finally:
        if not over:
            _save(running)
    return running.result()


def _save(running: Running[T]) -> None:
    """Stop it and wait for its end; the second Ctrl-C waits for no more answers."""
    for _ in range(2):
        running.stop()
        with suppress(KeyboardInterrupt):
            running.wait()
            return


async def streamed(work: Work[T], kept: list[T]) -> AsyncGenerator[Event, None]:
    """The events of `work`, and at the end its result in `kept`.

    Whoever is cancelled here, or closes this, stops the job, and goes on when it has saved.
    """
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    running = Running(work, lambda event: _post(loop, events, event))
    over = False
    try:
        while (event := await events.get()) is not None:
            yield event
        over = True
    finally:
        if not over:
            await _saved(running, events)
    kept.append(running.result())


def _post(
    loop: asyncio.AbstractEventLoop, events: "asyncio.Queue[Event | None]", event: Event | None
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody listens any more
        loop.call_soon_threadsafe(events.put_nowait, event)


async def _saved(running: Running[T], events: "asyncio.Queue[Event | None]") -> None:
    for _ in range(2):
        running.stop()
        with suppress(asyncio.CancelledError):
            while await events.get() is not None:
                pass
            return


@contextmanager
def _stopped_by_signals(running: Running[T]) -> Iterator[None]:
    """SIGINT and SIGTERM stop the job as they do on the command line; only in the main thread."""

    def received(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        running.stop(Stop(StopCode.SIGNAL, f"stopped by {name}", number))

    before = {n: signal.signal(n, received) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
