"""What a scheduler keeps for enricher: who works at which shard, and the budgets of all.

What is said here is plain: numbers, texts, lists and dicts. There is no key in it, and no row.
"""

import dataclasses
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enricher.budget import Said
from enricher.cluster.budgets import Budgets
from enricher.cluster.ledger import Ledger

VERBS = ("open", "watch", "stop", "close", "begin", "beat", "allowed", "exchange", "end")
"""What can be said, as methods; the first four by clients, the others by attempts."""


class Office:
    """The ledger and the budgets behind one counter.

    Args:
        clock: seconds that all processes of the host count alike.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = Ledger()
        self._budgets = Budgets(clock)
        self._attempts: dict[str, set[str]] = {}
        """Those that have not ended, by worker; stale ones too, for they have budgets open."""

    def client_left(self, client: str) -> None:
        """Its connection is gone."""
        self._ledger.client_left(client, signal.SIGTERM)

    async def worker_left(self, worker: str) -> None:
        """Its connection is gone, or it was not heard of for too long."""
        self._ledger.worker_left(worker)
        for attempt in self._attempts.pop(worker, ()):
            await self._budgets.leave(attempt)

    async def open(self, job: str, client: str) -> bool:
        return self._ledger.open(job, client)

    async def watch(self, job: str) -> dict[str, Any]:
        return self._ledger.watch(job)

    async def stop(self, job: str, signal: int, reason: str) -> None:
        self._ledger.stop(job, signal, reason)

    async def close(self, job: str) -> None:
        self._ledger.close(job)

    async def begin(self, job: str, shard: int, worker: str) -> dict[str, Any]:
        attempt, orders = self._ledger.begin(job, shard, worker)
        self._attempts.setdefault(worker, set()).add(attempt)
        return {"attempt": attempt, "orders": dataclasses.asdict(orders)}

    async def beat(
        self,
        job: str,
        shard: int,
        attempt: str,
        summary: Mapping[str, Any] | None,
        lines: Sequence[Sequence[str]],
    ) -> dict[str, Any]:
        return dataclasses.asdict(self._ledger.beat(job, shard, attempt, summary, lines))

    async def allowed(self, job: str, shard: int, attempt: str) -> bool:
        return self._ledger.is_current(job, shard, attempt)

    async def exchange(
        self, job: str, shard: int, attempt: str, name: str, alone: bool, said: Mapping[str, Any]
    ) -> dict[str, Any]:
        """First whether it may send at all, then the budget: nothing can come in between."""
        if not self._ledger.is_current(job, shard, attempt):
            return {"stale": True}
        return await self._budgets.exchange(attempt, name, job if alone else "", Said(**said))

    async def end(self, job: str, shard: int, attempt: str) -> None:
        for attempts in self._attempts.values():
            attempts.discard(attempt)
        await self._budgets.leave(attempt)
