"""Who works at which shard: kept in the scheduler, by its plugin.

Each attempt at a shard has a mark of its own, and only the newest one counts. An older one, of a
worker that was thought dead and is still alive, is told that it is stale whatever it asks. So is
one that nobody knows: a scheduler that was started anew has forgotten everything.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_LINES = 1000
"""Lines for people that are kept until the client fetches them."""

CLIENT_GONE = "the command that started it is gone"


@dataclass(frozen=True, slots=True)
class Orders:
    """What an attempt hears.

    Attributes:
        stale: another attempt has its shard.
        stops: how often it is told to stop: once, or the second time without waiting.
        signal: the signal that came to the client.
        reason: why it must stop.
    """

    stale: bool = False
    stops: int = 0
    signal: int = 0
    reason: str = ""


STALE = Orders(stale=True)


@dataclass(slots=True)
class _Job:
    client: str
    attempts: dict[int, str] = field(default_factory=dict)
    workers: dict[str, str] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    summaries: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    lines: list[Sequence[str]] = field(default_factory=list)
    orders: Orders = field(default_factory=Orders)


class Ledger:
    """The jobs of a scheduler, each known by where its state is kept."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}

    def open(self, job: str, client: str) -> bool:
        """Begin an invocation of `job`; false while another client is at work on it.

        Whatever worked for an earlier client is stale from here on.
        """
        known = self._jobs.get(job)
        if known is not None and known.client not in ("", client):
            return False
        self._jobs[job] = _Job(client)
        return True

    def begin(self, job: str, shard: int, worker: str) -> tuple[str, Orders]:
        """Hand out a new attempt at a shard: its mark, and what it has to know."""
        known = self._jobs.get(job)
        if known is None:
            return "", STALE
        mark = uuid.uuid4().hex
        known.attempts[shard] = mark
        known.workers[mark] = worker
        known.begun[shard] = known.begun.get(shard, 0) + 1
        return mark, known.orders

    def is_current(self, job: str, shard: int, attempt: str) -> bool:
        """Whether this attempt may send."""
        known = self._jobs.get(job)
        return known is not None and known.attempts.get(shard) == attempt

    def beat(
        self,
        job: str,
        shard: int,
        attempt: str,
        summary: Mapping[str, Any] | None,
        lines: Sequence[Sequence[str]],
    ) -> Orders:
        """Take down what an attempt tells, and tell it how to go on."""
        if not self.is_current(job, shard, attempt):
            return STALE
        known = self._jobs[job]
        if summary is not None:
            known.summaries[shard] = summary
        known.lines = [*known.lines, *lines][-MOST_LINES:]
        return known.orders

    def watch(self, job: str) -> dict[str, Any]:
        """What the shards have told: the last summary of each, and lines, each of these once."""
        known = self._jobs.get(job)
        if known is None:
            return {"known": False, "shards": [], "lines": [], "again": []}
        lines, known.lines = known.lines, []
        again = [shard for shard, begun in known.begun.items() if begun > 1]
        told = sorted(known.summaries.items())
        return {"known": True, "shards": told, "lines": lines, "again": again}

    def stop(self, job: str, signal: int, reason: str) -> None:
        """Let all shards stop, and those that are still to begin."""
        if known := self._jobs.get(job):
            known.orders = Orders(stops=known.orders.stops + 1, signal=signal, reason=reason)

    def close(self, job: str) -> None:
        """The invocation is over: who still works at it is stale."""
        self._jobs.pop(job, None)

    def worker_left(self, worker: str) -> None:
        """It is thought dead: its attempts are stale from now on, should it be alive after all."""
        for known in self._jobs.values():
            for shard, mark in list(known.attempts.items()):
                if known.workers[mark] == worker:
                    del known.attempts[shard]

    def client_left(self, client: str, signal: int) -> None:
        """Nobody waits for its jobs any more: they stop as by `signal`, and the next may come."""
        for known in self._jobs.values():
            if known.client == client:
                known.client = ""
                known.orders = Orders(stops=1, signal=signal, reason=CLIENT_GONE)
