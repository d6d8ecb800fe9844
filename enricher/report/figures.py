"""Figures of a job, counted from a stream of any length in little memory. Pure.

Times are seconds since 1970, durations seconds.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

MOST_SLICES = 64
"""Slices of a timeline: enough to see a shape, few enough for a table."""

MOST_CODES = 40
EXAMPLES = 3
OTHER_CODES = "other codes"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WIDTHS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 91, 182, 364)),
)
_FINE = math.log(1.02)
"""Durations are kept to 2 %."""
_STEPS = (0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, math.inf)


@dataclass(slots=True)
class Timeline:
    """How many submissions and ends each slice of the time from `start` to `end` saw.

    Attributes:
        width: seconds of a slice.
        outside: attempts whose times lie before `start` or after `end` (a clock that jumped).
    """

    start: float
    end: float
    width: float = 0.0
    submitted: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    outside: int = 0

    def __post_init__(self) -> None:
        length = max(1.0, self.end - self.start)
        fitting = (width for width in _WIDTHS if length / width <= MOST_SLICES)
        self.width = float(next(fitting, length / MOST_SLICES))
        slices = max(1, math.ceil(length / self.width))
        self.submitted, self.ended = [0] * slices, [0] * slices

    def add(self, submitted_at: float, ended_at: float | None) -> None:
        self._count(self.submitted, submitted_at)
        if ended_at is not None:
            self._count(self.ended, ended_at)

    def _count(self, counts: list[int], moment: float) -> None:
        number = math.floor((moment - self.start) / self.width)
        if 0 <= number < len(counts):
            counts[number] += 1
        else:
            self.outside += 1

    def slices(self) -> list[tuple[float, int, int]]:
        """Start, submissions and ends of each slice."""
        starts = [self.start + number * self.width for number in range(len(self.submitted))]
        return list(zip(starts, self.submitted, self.ended, strict=True))

    def seconds_of(self, number: int) -> float:
        """How much of a slice has passed: the last one may be cut short."""
        return max(1.0, min(self.width, self.end - self.start - number * self.width))


@dataclass(slots=True)
class Durations:
    """How long runs took, to 2 %."""

    count: int = 0
    longest: float = 0.0
    _fine: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:  # a clock that jumped
            return
        self.count += 1
        self.longest = max(self.longest, seconds)
        self._fine[math.ceil(math.log(max(seconds, 0.01)) / _FINE)] += 1

    def quantile(self, share: float) -> float:
        """The duration that this share of the runs did not pass; 0 without any."""
        left = share * self.count
        for step in sorted(self._fine):
            left -= self._fine[step]
            if left <= 1e-9:
                return min(math.exp(step * _FINE), self.longest)
        return self.longest

    def steps(self) -> list[tuple[float, float, int]]:
        """From, to, and how many; without the empty ones at both ends."""
        counts = [(low, high, self._between(low, high)) for low, high in pairwise(_STEPS)]
        while counts and not counts[-1][2]:
            counts.pop()
        while counts and not counts[0][2]:
            counts.pop(0)
        return counts

    def _between(self, low: float, high: float) -> int:
        return sum(n for step, n in self._fine.items() if low < math.exp(step * _FINE) <= high)


@dataclass(slots=True)
class Failure:
    """A code, how often it stands, and some of the runs that have it."""

    code: str
    count: int = 0
    examples: list[tuple[Mapping[str, str], str]] = field(default_factory=list)


@dataclass(slots=True)
class Failures:
    """What failed, by code; codes are a server's words, so that there may be any number."""

    by_code: dict[str, Failure] = field(default_factory=dict)

    def add(self, code: str, message: str, inputs: Mapping[str, str]) -> None:
        code = code or "RUN_FAILED"
        if code not in self.by_code and len(self.by_code) >= MOST_CODES:
            code = OTHER_CODES
        failure = self.by_code.setdefault(code, Failure(code))
        failure.count += 1
        if len(failure.examples) < EXAMPLES:
            failure.examples.append((inputs, message))

    def sorted(self) -> list[Failure]:
        return sorted(self.by_code.values(), key=lambda failure: (-failure.count, failure.code))

    @property
    def total(self) -> int:
        return sum(failure.count for failure in self.by_code.values())


@dataclass(slots=True)
class Fill:
    """How many results hold something in each output.

    Attributes:
        capped: whether there are more results than were looked at.
    """

    names: Mapping[str, str]
    results: int = 0
    capped: bool = False
    _filled: Counter[str] = field(default_factory=Counter)
    _asked: Counter[str] = field(default_factory=Counter)

    def add(self, asked: Iterable[str] | None, outputs: Mapping[str, Any]) -> None:
        self.results += 1
        self._asked.update(list(self.names) if asked is None else asked)
        self._filled.update(id_ for id_, value in outputs.items() if not _is_blank(value))

    def rates(self) -> Sequence[tuple[str, int, int]]:
        """Name, filled, and of how many, in the order of the output."""
        return [(name, self._filled[id_], self._asked[id_]) for id_, name in self.names.items()]


def _is_blank(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())
