"""The worker of Dask that a shard runs in.

A shard is worked off in an event loop of its own, in a thread of the worker; what it says goes
through the worker's loop and its connection.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from distributed import Worker, get_worker
from distributed.core import Status

from enricher.budget import BudgetAway
from enricher.cluster.plugin import NAME

_PATIENCE = 5.0
"""Seconds to wait for an answer; what was given in one that is lost is used up with its lease."""


class Workplace:
    """The worker of the task that is executed by this thread."""

    def __init__(self) -> None:
        self._worker: Worker = get_worker()

    @property
    def address(self) -> str:
        return self._worker.address

    @property
    def folder(self) -> str:
        """Where it keeps files, which go with it."""
        return self._worker.local_directory

    @property
    def closes(self) -> bool:
        """Whether the worker is about to end, and will not hand on what the task brings."""
        return self._worker.status not in (Status.running, Status.paused)

    async def say(self, verb: str, told: Mapping[str, Any]) -> Any:
        """A word to the scheduler's `Office`.

        Raises:
            BudgetAway: it does not answer.
        """
        ask = getattr(self._worker.scheduler, f"{NAME}_{verb}")
        loop = self._worker.loop.asyncio_loop  # type: ignore[attr-defined]
        asking = asyncio.run_coroutine_threadsafe(ask(**told), loop)
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.wrap_future(asking)
        except (OSError, RuntimeError) as error:  # also TimeoutError, and a loop that is closed
            why = str(error) or "no answer"
            raise BudgetAway(f"the scheduler does not answer ({why})") from None
