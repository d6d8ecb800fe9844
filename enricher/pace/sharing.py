"""The gate's part in a limit that several processes keep together."""

import asyncio
from collections import deque
from dataclasses import dataclass

from enricher.budget import LEASE, Budget, BudgetAway, BudgetBroken, Heard, Said
from enricher.errors import ServerGone, Superseded
from enricher.model import Warn
from enricher.notice import EventName, Notice

LOOK_AGAIN = 0.25
"""Seconds after which a waiting process looks again: places are also given back unused."""

FLUSH = 0.05
"""Seconds after which what is batched is told at the latest."""

BETWEEN_TRIES = 0.5
"""Seconds between two tries to reach a budget that is away."""

TRIES_BEFORE_A_WORD = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """What the gate wants of the budget now.

    Attributes:
        rate: requests a second, finite; `vague` until the server has told it.
        margin: seconds beyond a second for which a place stays taken.
        batch: places to ask for at once; with more than one, what is told waits for the next one.
    """

    rate: float
    margin: float
    vague: bool
    batch: int


class Sharing:
    """Takes places out of a budget, and tells it what became of them.

    Args:
        patience: seconds to wait for a budget that is away.
        warn: told once that the limit is shared, and of each time that the budget is away.
    """

    def __init__(self, budget: Budget, patience: float, warn: Warn) -> None:
        self._budget = budget
        self._patience = patience
        self._warn = warn
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._pace = Pace(1.0, 0.0, vague=True, batch=1)
        self._stock = deque[int]()
        self._stock_until = 0.0
        self._open: set[int] = set()
        self._sent: list[tuple[int, float]] = []
        self._unused: list[int] = []
        self._paused_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._told_shared = False
        self.promised = 0.0
        """When the next place can be had, as far as is known."""
        self.used = 0
        """Places of all processes that were taken when this one was last given some."""

    async def place(self, pace: Pace) -> int:
        """Wait for a place.

        Raises:
            BudgetBroken: this process must keep its own limit.
            ServerGone: the budget was away for too long.
            Superseded: the budget gives this process nothing any more.
        """
        self._pace = pace
        self._put_back_old_stock()
        while not self._stock:
            heard = await self._patiently(pace.batch)
            if heard.places:
                self._open.update(heard.places)
                self._stock.extend(heard.places)
                self._stock_until = self._loop.time() + FLUSH
                self.used = heard.used
                self._tell_later(FLUSH if pace.batch > 1 else LEASE / 2)
            else:
                await asyncio.sleep(min(heard.wait, LOOK_AGAIN))
        return self._stock.popleft()

    def sent(self, place: int) -> None:
        """The request of this place leaves now."""
        self._open.discard(place)
        self._sent.append((place, self._loop.time()))
        self._tell()

    def give_back(self, place: int) -> None:
        """The request of this place will not leave."""
        self._open.discard(place)
        self._unused.append(place)
        self._tell()

    def pause(self, until: float) -> None:
        """Let no process send before `until`, a time of the loop's clock."""
        self._paused_until = max(self._paused_until, until)
        self._tell_now()

    async def aclose(self) -> None:
        """Tell what is left to tell, and leave."""
        if self._timer is not None:
            self._timer.cancel()
        if self._telling:
            await asyncio.wait(self._telling)
        self._unused += self._stock
        self._open.difference_update(self._stock)
        self._stock.clear()
        await self._try_to_tell(queue=False)
        await self._budget.aclose()

    # --- telling -----------------------------------------------------------------------------

    def _tell(self) -> None:
        """At once where each request counts; else with the next batch."""
        if self._pace.batch > 1:
            self._tell_later(FLUSH)
        else:
            self._tell_now()

    def _tell_later(self, seconds: float) -> None:
        if self._timer is None or self._timer.when() > self._loop.time() + seconds:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self._tell_now)

    def _tell_now(self) -> None:
        self._timer = None
        self._put_back_old_stock()
        task = self._loop.create_task(self._try_to_tell(queue=bool(self._sent)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _try_to_tell(self, *, queue: bool) -> None:
        """What cannot be told now is told with the next words; until then it is held."""
        try:
            if self._sent or self._unused or self._open or self._paused_until > self._loop.time():
                await self._exchange(1 if queue and self._pace.batch == 1 else 0, enter=False)
        except (BudgetAway, BudgetBroken, Superseded):  # whoever wants the next place hears of it
            return
        if self._open and self._timer is None:
            self._tell_later(LEASE / 2)

    def _put_back_old_stock(self) -> None:
        if self._stock and self._loop.time() >= self._stock_until:
            self._unused += self._stock
            self._open.difference_update(self._stock)
            self._stock.clear()

    # --- asking ------------------------------------------------------------------------------

    async def _patiently(self, want: int) -> Heard:
        began = self._loop.time()
        tries = 0
        while True:
            try:
                return await self._exchange(want, enter=True)
            except BudgetAway as away:
                tries += 1
                if tries == TRIES_BEFORE_A_WORD:
                    self._warn(f"{away}: nothing is sent until it answers")
                if self._loop.time() - began >= self._patience:
                    raise ServerGone(
                        f"{away}: it was away for too long, and nothing is sent without it.",
                        mend="The same command later goes on.",
                        code="limiter_gone",
                    ) from None
            await asyncio.sleep(BETWEEN_TRIES)

    async def _exchange(self, want: int, *, enter: bool) -> Heard:
        async with self._turn:
            now = self._loop.time()
            sent, unused = self._sent, self._unused
            self._sent, self._unused = [], []
            said = Said(
                rate=self._pace.rate,
                margin=self._pace.margin,
                vague=self._pace.vague,
                sent=[(place, now - at) for place, at in sent],
                unused=unused,
                held=tuple(self._open),
                pause=max(0.0, self._paused_until - now),
                want=want,
                enter=enter,
            )
            try:
                heard = await self._budget.exchange(said)
            except BudgetAway:
                self._sent, self._unused = sent + self._sent, unused + self._unused
                raise
        self.promised = self._loop.time() + heard.wait
        if heard.shared and not self._told_shared:
            self._told_shared = True
            self._warn(
                Notice(
                    EventName.RATE_SHARED,
                    "another enricher process sends with this key: both keep one rate limit"
                    " together, and each goes slower",
                )
            )
        return heard
