"""The checkpoint while an invocation works: whatever is written is written in one thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Concatenate, ParamSpec

from enricher.api.outside import Outside
from enricher.checkpoint import Committer, JobSpec, Pass, Reader, Store, Watch, in_thread
from enricher.report.summary import Summary

Args = ParamSpec("Args")
Write = Callable[Concatenate[Store, Args], None]
"""A method of `Store` that writes."""


class OpenCheckpoint:
    """A checkpoint, and the thread that writes to it; the caller holds its lock.

    Attributes:
        reader: for the event loop.
        feeder_reader: for the thread that reads the input.
    """

    def __init__(self, path: Path, outside: Outside) -> None:
        self._outside = outside
        with ExitStack() as opened:
            self._store = opened.enter_context(closing(Store.open(path, outside.clock)))
            self.reader = opened.enter_context(Reader(path))
            self.feeder_reader = opened.enter_context(Reader(path))
            self._files = opened.pop_all()
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._posted: list[asyncio.Future[None]] = []
        self._invocation = 0

    def __enter__(self) -> "OpenCheckpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._files.close()

    @property
    def this_pass(self) -> Pass:
        """The pass that this invocation began, or continues."""
        return self._store.this_pass

    def begin(self, job: JobSpec) -> Pass:
        """Register the job and this invocation of it; returns the pass it begins or continues."""
        self._invocation = self._store.begin(job)
        return self._store.this_pass

    def journal(self, heard: Watch) -> Committer:
        """The engine's journal; `heard` is called for every event that is on disk."""
        return Committer(self._outside.through(self._store), in_thread(self._thread), heard)

    async def save(self, summary: Summary) -> None:
        """Keep the summary of this moment, for `status`."""
        await self.write(Store.save_summary, self._invocation, summary.to_stored())

    async def write(self, write: Write[Args], *args: Args.args, **kwargs: Args.kwargs) -> None:
        """Write in the checkpoint's thread: one connection must not be used by two at once."""
        await self._write(write, *args, **kwargs)

    def post(self, write: Write[Args], *args: Args.args, **kwargs: Args.kwargs) -> None:
        """The same without waiting; see `written`."""
        self._posted.append(self._write(write, *args, **kwargs))

    async def written(self) -> None:
        """Return when all that was posted is on disk.

        Raises:
            CheckpointError: something could not be written.
        """
        while self._posted:
            await self._posted.pop()

    def _write(
        self, write: Write[Args], *args: Args.args, **kwargs: Args.kwargs
    ) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, lambda: write(self._store, *args, **kwargs))
