"""Plays disasters, one after another or on several cores, and says what came of them."""

import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from enricher.model import State
from tests.simulation import oracle
from tests.simulation.disaster import Disaster, drawn
from tests.simulation.invariants import Judge, kept_in
from tests.simulation.story import MOST_LIVES, Story, digest_of, told

_LATER = 7200.0
"""Seconds after which the slowest run has ended, and given-up ones are looked at once more."""


_LIVES_IN_BAD_WEATHER = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one disaster; `seconds` are virtual, `cpu` are not."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    lives: tuple[str, ...]
    requests: int
    bought: int
    doubts: int
    seconds: float
    cpu: float
    story: tuple[str, ...] = ()

    @property
    def kills(self) -> int:
        return self.lives.count("killed")


def played(disaster: Disaster, *, with_story: bool = False) -> Report:
    """Play one disaster to its end, however many lives it takes."""
    began = time.process_time()
    expected = oracle.output_of(disaster)
    with told(disaster) as story:
        judge = Judge(story, expected)
        _live_through(story, judge)
        judge.at_the_end()
        kept = kept_in(story.job.checkpoint).values()
        return Report(
            seed=disaster.seed,
            violations=tuple(story.witness.violations),
            digest=digest_of(story),
            lives=tuple(life.how for life in story.lives),
            requests=story.witness.requests,
            bought=sum(len(runs) for runs in story.server.bought.values()),
            doubts=sum(one.state is State.IN_DOUBT for one in kept),
            seconds=story.loop.time(),
            cpu=time.process_time() - began,
            story=tuple(story.witness.story) if with_story or story.witness.violations else (),
        )


def left_alone(disaster: Disaster) -> bytes:
    """The output of the same job when nothing happens. The oracle must tell the same."""
    with told(disaster, clean=True) as story:
        life = story.live()
        if not life.is_finished or story.witness.violations:
            raise AssertionError(f"even left alone: {life.how}, {story.witness.violations}")
        return story.job.output.read_bytes()


def _live_through(story: Story, judge: Judge) -> None:
    disaster = story.disaster
    story.plan_keys()
    for end, gap in zip(disaster.ends, disaster.gaps, strict=True):
        if _is_over(story, judge, story.live(end)):
            break
        story.wait(gap)
    else:
        _is_over(story, judge, story.live())
    while not _is_over_by_now(story) and len(story.lives) < MOST_LIVES:
        story.mend()
        if len(story.lives) > len(disaster.ends) + _LIVES_IN_BAD_WEATHER:
            story.calm_down()
        story.wait(1.0)
        _is_over(story, judge, story.live())
    stalled = State.STALLED in {one.state for one in kept_in(story.job.checkpoint).values()}
    if _is_over_by_now(story) and (disaster.once_more or stalled):
        story.wait(_LATER)
        story.calm_down()  # a key that was changed meanwhile is in the file by then
        _is_over(story, judge, story.live())


def _is_over(story: Story, judge: Judge, life: object) -> bool:
    judge.after(story.lives[-1])
    return _is_over_by_now(story)


def _is_over_by_now(story: Story) -> bool:
    return story.lives[-1].is_finished or bool(story.witness.violations)


# --- many ----------------------------------------------------------------------------------------


def campaign(seeds: Iterable[int], jobs: int = 1) -> Iterator[Report]:
    """The reports of all seeds, in their order."""
    if jobs == 1:
        yield from map(play_seed, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(play_seed, seeds, chunksize=5)


def play_seed(seed: int) -> Report:
    """Play the disaster of this seed."""
    return played(drawn(seed))


def digest_of_all(reports: Iterable[Report]) -> str:
    """Equal for two campaigns in which exactly the same happened."""
    text = itertools.chain.from_iterable((f"{r.seed}:{r.digest}\n") for r in reports)
    return hashlib.sha256("".join(text).encode()).hexdigest()[:16]


def how_to_repeat(seed: int) -> str:
    return f"python -m tests.simulation --seed {seed} -v"
