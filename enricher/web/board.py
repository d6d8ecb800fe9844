"""The latest that there is to see, and who waits for it to change."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from enricher.web.shown import Shown

INTERVAL = 1.0
"""Seconds between two looks."""


class Board:
    """Looks again and again, once for all who watch.

    Args:
        look: takes a look, in a thread; it may take its time.
    """

    def __init__(self, look: Callable[[], Shown]) -> None:
        self._look = look
        self._changed = asyncio.Condition()
        self.shown = Shown("", "", "")
        self.watchers = 0

    async def refresh(self) -> None:
        """Take one look.

        Raises:
            EnricherError: what is looked at is not there any more.
        """
        shown = await asyncio.to_thread(self._look)
        async with self._changed:
            self.shown = shown
            self._changed.notify_all()

    async def keep_looking(self) -> None:
        """Until it is cancelled, or a look fails."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.refresh()

    async def parts(self, patience: float) -> AsyncGenerator[str | None]:
        """The changing part now, and whenever it is another; `None` after `patience` of silence."""
        told: str | None = None
        self.watchers += 1
        try:
            while True:
                told = await self._next(told, patience)
                yield told
                told = told or self.shown.part
        finally:
            self.watchers -= 1

    async def _next(self, told: str | None, patience: float) -> str | None:
        try:
            async with asyncio.timeout(patience), self._changed:
                await self._changed.wait_for(lambda: self.shown.part != told)
                return self.shown.part
        except TimeoutError:
            return None
