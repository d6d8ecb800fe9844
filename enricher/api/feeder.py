"""The thread that reads the input, so that a slow disk never holds up a request."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from enricher.feed import Lookup
from enricher.record import Record

Args = TypeVarTuple("Args")
Result = TypeVar("Result")


class Feeder:
    """The thread that reads the input; closed, it ends at its next batch."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "input")
        self._closed = threading.Event()

    def __enter__(self) -> "Feeder":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._executor.shutdown(cancel_futures=True)

    async def run(self, function: Callable[[*Args], Result], *args: *Args) -> Result:
        """Call `function` in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)

    def checked(self, lookup: Lookup) -> Lookup:
        """The same lookup, which every batch needs, and which is refused after the end."""

        def look_up(keys: Sequence[bytes]) -> Mapping[bytes, Record]:
            if self._closed.is_set():
                raise CancelledError
            return lookup(keys)

        return look_up
