"""Taking turns at a checkpoint: `--retry-lock`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from enricher.errors import CheckpointInUse
from enricher.model import Warn
from enricher.report.text import duration

Result = TypeVar("Result")

_BETWEEN = 0.5
"""Seconds between two tries, each of which takes half a second itself."""


async def in_turn(work: Callable[[], Awaitable[Result]], patience: float, warn: Warn) -> Result:
    """Do `work` once no other process holds its checkpoint, begun anew each time that one does.

    Begun anew, since what it read of input and checkpoint is old when the other one has left.

    Args:
        patience: seconds to wait for the other process.

    Raises:
        CheckpointInUse: it did not leave in time.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    told = False
    while True:
        try:
            return await work()
        except CheckpointInUse as error:
            if (left := until - loop.time()) <= 0:
                raise
            if not told:
                warn(f"{error.message} Waiting up to {duration(patience)} for it to leave.")
            told = True
        await asyncio.sleep(min(_BETWEEN, left))
