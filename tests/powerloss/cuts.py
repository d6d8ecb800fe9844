"""Power cuts at drawn positions of a trace, each with a drawn fate of what was not synced."""

import hashlib
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.powerloss.disk import Disk, Fate
from tests.powerloss.promises import Promises
from tests.powerloss.verdict import judged
from tests.powerloss.workload import as_it_is, recorded, short_log


@dataclass(frozen=True, slots=True)
class Lost:
    """A state that is not as was promised; `seed` and `number` find it again."""

    seed: int
    number: int
    position: int
    offences: tuple[str, ...]


@dataclass(slots=True)
class Findings:
    """What some power cuts came to; the digest is the same wherever they are repeated."""

    states: int = 0
    facts: int = 0
    different: set[str] = field(default_factory=set)
    lost: list[Lost] = field(default_factory=list)
    digest: str = ""

    def add(self, other: "Findings") -> None:
        self.states += other.states
        self.facts += other.facts
        self.different |= other.different
        self.lost += other.lost
        self.digest = _digest(self.digest, other.digest)


def cut_somewhere(promises: Promises, folder: Path, seed: int, states: int) -> Findings:
    """Cut the power `states` times at drawn positions; see `cut_at`."""
    draw = random.Random(seed)
    end = promises.trace.position
    return cut_at([draw.randint(0, end) for _ in range(states)], promises, folder, seed)


def cut_at(positions: Sequence[int], promises: Promises, folder: Path, seed: int) -> Findings:
    """Cut the power at each of `positions`, and judge what is left in a new place in `folder`."""
    disk = Disk(promises.trace)
    findings = Findings()
    for number, position in enumerate(sorted(positions)):
        disk.go_on(position)
        _judge_one(disk, promises, folder / f"{number}", findings, seed)
    return findings


def job_and_cuts(seed: int, states: int) -> Findings:
    """Record the job of `seed`, and cut its power `states` times."""
    with folders() as (work, places):
        promises = recorded(work, seed, short_log if seed % 2 else as_it_is)
        return cut_somewhere(promises, places, seed, states)


@contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """An empty folder for a job, and one for what is left of it.

    In memory, where there is a file system in memory: nothing here is to wait for a disk.
    """
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        work, places = Path(name).resolve() / "work", Path(name).resolve() / "places"
        work.mkdir()
        places.mkdir()
        yield work, places


def _judge_one(disk: Disk, promises: Promises, place: Path, findings: Findings, seed: int) -> None:
    number = findings.states
    draw = random.Random(f"{seed} {number}")
    left = disk.after(draw, Fate.drawn(draw))
    place.mkdir()
    verdict = judged(left, promises, disk.position, place, draw)
    shutil.rmtree(place)
    findings.states += 1
    findings.facts += verdict.facts
    sizes = sorted(len(content) for content in left.values())
    findings.different.add(_digest(*sorted(left), *left.values()))
    if verdict.offences:
        findings.lost.append(Lost(seed, number, disk.position, verdict.offences))
    findings.digest = _digest(
        findings.digest, disk.position, sizes, verdict.found, len(verdict.offences)
    )


def _digest(*parts: object) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()
