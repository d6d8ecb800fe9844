"""Items that wait to be submitted: read ahead from the feed, or taken back after a refusal."""

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from enricher.model import Item

READ_AHEAD = 1000
"""Items taken from the feed before they are needed."""


class Intake:
    """The queue in front of the engine.

    Args:
        changed: called when there is something new to take, or the feed has ended.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._fed = deque[Item]()
        self._taken_back: list[tuple[float, int, Item]] = []
        self._order = itertools.count()
        self._room = asyncio.Event()
        self._ended = False

    async def pump(self, feed: AsyncIterator[Sequence[Item]]) -> None:
        """Read the feed to its end, never far ahead."""
        async for items in feed:
            self._fed.extend(items)
            self._changed()
            while len(self._fed) >= READ_AHEAD:
                self._room.clear()
                await self._room.wait()
        self._ended = True
        self._changed()

    def __len__(self) -> int:
        return len(self._fed) + len(self._taken_back)

    @property
    def left(self) -> float:
        """Items still to be taken; `math.inf` until the feed has ended."""
        return len(self) if self._ended else math.inf

    def take_back(self, item: Item, until: float) -> None:
        """Give `item` out again, not before `until`."""
        heapq.heappush(self._taken_back, (until, next(self._order), item))

    def due_at(self, now: float) -> float:
        """When an item that was taken back can be given out, if not now; else `math.inf`."""
        due = self._taken_back[0][0] if self._taken_back else math.inf
        return due if due > now else math.inf

    def next(self, now: float) -> Item | None:
        """Take an item, those that were taken back first; `None` if there is none now."""
        if self._taken_back and self._taken_back[0][0] <= now:
            return heapq.heappop(self._taken_back)[2]
        self._room.set()
        return self._fed.popleft() if self._fed else None
