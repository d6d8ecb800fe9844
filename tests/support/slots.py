"""A schedule at work without an engine: one request a slot, answered at once. Pure."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from enricher.model import Item
from enricher.schedule import Look, Run, Schedule, Submit


@dataclass
class Worked:
    """What became of a list of runs; times in seconds.

    Attributes:
        looks: for each run, in the order of submission, the ages at which it was looked at.
        most_open: how many were open at once, from before the submission to the end seen.
        seconds: until the last end was seen.
    """

    looks: list[list[float]] = field(default_factory=list)
    most_open: int = 0
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return len(self.looks) + sum(map(len, self.looks))

    @property
    def requests_per_run(self) -> float:
        return self.requests / len(self.looks)


Watch = Callable[[float, int, int], None]
"""Told in each slot: the time in seconds, the requests so far, and how many are to come."""


def work_off(
    schedule: Schedule, durations: Sequence[float], watch: Watch = lambda *_: None
) -> Worked:
    """Submit runs of these durations, and look at them until every end is seen."""
    worked = Worked()
    now = 0.0
    coming = deque(range(len(durations)))
    while coming or schedule.in_flight:
        schedule.to_come = len(coming)
        while coming and schedule.room(0.1) > 0:
            item = Item(coming.popleft().to_bytes(4), {})
            schedule.opened(item.key)
            schedule.prepared.append(item)
        watch(now, worked.requests, len(coming))
        worked.most_open = max(worked.most_open, schedule.in_flight)
        match schedule.next(now):
            case Submit(item):
                schedule.sent(item.key, now)
                schedule.answered(item.key, now)
                schedule.accepted(Run(item.key, item.key.hex(), now))
                worked.looks.append([])
            case Look(run):
                number = int.from_bytes(run.key)
                worked.looks[number].append(now - run.submitted_at)
                ended = run.submitted_at + durations[number] <= now
                schedule.looked(run, ended=ended, on=not ended, now=now)
                if ended:
                    schedule.closed(run.key)
                    worked.seconds = now
            case None:
                now = max(now, schedule.due_at())
                continue
        now += 1 / schedule.rate
    return worked
