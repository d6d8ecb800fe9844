"""A small job, killed at each of its moments; and killed again while it recovers."""

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.campaign import Report, played
from tests.simulation.disaster import Disaster, End, Moment
from tests.simulation.story import Life, told

SMALL = Disaster(
    seed=12,
    rows=tuple((f"{n:02}", f"Company {n % 11}", f"c{n % 11}.example") for n in range(12)),
    batch=5,
    options={"mode": "async"},
    duration="uniform:0:2",
    fail_rate=0.2,
)
"""Twelve rows, the last of them equal to the first; nothing goes wrong but what kills it."""


def life_of(disaster: Disaster) -> Life:
    """The life after those that `disaster.ends` ends; it tells how many moments there are."""
    with told(disaster) as story:
        for end in disaster.ends:
            story.live(end)
        return story.live()


def killed_at(*ends: End) -> Disaster:
    """The small job with lives that end so, one right after another."""
    return replace(SMALL, ends=ends, gaps=(0.0,) * len(ends))


def commits(*before: End) -> Iterator[Disaster]:
    """Killed before and after each piece of work on the disk, after lives that ended so."""
    for count in range(1, life_of(killed_at(*before)).works + 1):
        for moment in (Moment.BEFORE_WORK, Moment.AFTER_WORK):
            yield killed_at(*before, End(moment, count))


def awaits(*before: End, every: int = 1, first: int = 0) -> Iterator[Disaster]:
    """Killed at every so many-th step from one `await` to the next."""
    for count in range(first, life_of(killed_at(*before)).steps, every):
        yield killed_at(*before, End(Moment.STEP, count))


def commits_of_recovery(every: int = 1, first: int = 1) -> Iterator[Disaster]:
    """Killed after some work on the disk, and in the next life around each of its own."""
    for count in range(first, life_of(SMALL).works + 1, every):
        yield from commits(End(Moment.AFTER_WORK, count))


def all_moments() -> Iterator[Disaster]:
    """Every commit, every await, and every commit of each recovery from each commit."""
    yield from commits()
    yield from awaits()
    yield from commits_of_recovery()


def report_of(disaster: Disaster) -> Report:
    """Play it; its name is in its `ends`, not in its seed."""
    return played(disaster)
