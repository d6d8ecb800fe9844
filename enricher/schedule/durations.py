"""How long runs take, as far as looks can tell, and when a look pays off. Pure.

A look tells only that a run had ended, or had not, at the age at which it was asked about: what is
known of a duration is an interval. `Durations` estimates the distribution from such intervals by
Turnbull's self-consistent estimator ("The Empirical Distribution Function with Arbitrarily Grouped,
Censored and Truncated Data", J. R. Stat. Soc. B 38, 1976). `looks_for` then plans the ages at which
to look by dynamic programming over the same steps of age: each look costs `price` seconds, and so
does each second in which a result lies waiting.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

LEAST_INTERVAL = 2.0
"""Seconds between two looks at one run, and before the first (BitScale API, 5.6: 2 to 5)."""

_STEP = 1.15
_EDGES = (0.0, *(_STEP**n for n in range(65)))
"""Ages in seconds, to two hours; a duration is known no finer than the step it falls in."""

_STEPS = len(_EDGES) - 1
_BEYOND = 8
"""Steps past the age at which a run was last seen alive over which its end is expected: a factor of
three. More would let a few slow runs speak for hours."""

_REMEMBERED = 1000
_PRIOR = 0.3
"""Weight of knowing nothing, in runs."""

_ROUNDS = 20
_LATER = 1.25
"""Beyond the last step each look comes so much later than the one before."""


@dataclass(frozen=True, slots=True)
class LookPlan:
    """When to look.

    Attributes:
        looks: expected for a run from its submission on.
        age: expected age in seconds at which its end is seen.
    """

    looks: float
    age: float
    _next: tuple[int, ...]

    def after(self, age: float) -> float:
        """At what age to look at a run that was going on at `age`, in seconds; 0 for a new one."""
        step = bisect_right(_EDGES, age) - 1
        if step >= _STEPS:
            return age * _LATER
        return max(_EDGES[self._next[step]], age + LEAST_INTERVAL)

    def most_rate(self, in_flight: int) -> float:
        """Requests a second of so many runs, each followed by another when its end is seen."""
        return in_flight / self.age * (1 + self.looks)


class Durations:
    """What is known of the durations of one job's runs."""

    def __init__(self) -> None:
        self._seen = deque[tuple[int, int]](maxlen=_REMEMBERED)
        self._shares = [1.0 / _STEPS] * _STEPS
        self._learnt = [0.0] * _STEPS

    @property
    def seen(self) -> int:
        """How many runs tell of their durations; old ones are forgotten."""
        return len(self._seen)

    def ended(self, after: float, by: float) -> None:
        """A run was going on at the age `after` and had ended at the age `by`, in seconds."""
        self._seen.append(_steps_of(after, by))

    def learn(self, alive: Iterable[float]) -> None:
        """Estimate anew. `alive` are the ages at which runs under way were last seen going on."""
        intervals = Counter(self._seen)
        for age in alive:
            first, _ = _steps_of(age, age)
            intervals[first, min(first + _BEYOND, _STEPS)] += 1
        total = _PRIOR + intervals.total()
        for _ in range(_ROUNDS):
            self._learnt = self._spread(intervals)
            self._shares = [(_PRIOR / _STEPS + weight) / total for weight in self._learnt]

    def _spread(self, intervals: Counter[tuple[int, int]]) -> list[float]:
        """Each interval's runs over its steps, in the proportions estimated so far."""
        weights = [0.0] * _STEPS
        for (first, end), runs in intervals.items():
            share = runs / sum(self._shares[first:end])
            for step in range(first, end):
                weights[step] += share * self._shares[step]
        return weights

    def quantile(self, share: float) -> float:
        """The age in seconds by which this share of the runs has ended; 0 if none is known."""
        wanted = share * sum(self._learnt)
        for step, weight in enumerate(self._learnt):
            wanted -= weight
            if wanted <= 0:
                return _EDGES[step + 1] if weight else 0.0
        return _EDGES[-1]

    def waited(self, after: float, by: float) -> float:
        """Expected seconds from the end of a run, somewhere between these ages, to the later."""
        first, end = _steps_of(after, by)
        shares = self._shares[first:end]
        middles = (
            min(by, max(after, (_EDGES[step] + _EDGES[step + 1]) / 2)) for step in range(first, end)
        )
        mean = sum(share * at for share, at in zip(shares, middles, strict=True)) / sum(shares)
        return by - mean

    def share_within(self, age: float) -> float:
        """The share of the runs that end by this age in seconds."""
        return sum(self._shares[: bisect_right(_EDGES, age) - 1])

    def mean_within(self, most: float) -> float:
        """The mean of the durations in seconds, longer ones counted as `most`."""
        ends = zip(self._shares, _EDGES[1:], strict=True)
        return sum(share * min(edge, most) for share, edge in ends)

    def looks_for(self, price: float) -> LookPlan:
        """The ages to look at that cost the least, if a look costs as much as `price` seconds."""
        alive = [0.0] * (_STEPS + 1)
        for step in reversed(range(_STEPS)):
            alive[step] = alive[step + 1] + self._shares[step]
        ages = [0.0] * (_STEPS + 1)
        for step in range(_STEPS):
            middle = (_EDGES[step] + _EDGES[step + 1]) / 2
            ages[step + 1] = ages[step] + self._shares[step] * middle
        costs = [price] * (_STEPS + 1)
        next_ = [_STEPS] * (_STEPS + 1)
        for step in reversed(range(_STEPS)):
            costs[step] = math.inf
            for look in range(bisect_left(_EDGES, _EDGES[step] + LEAST_INTERVAL), _STEPS + 1):
                waited = _EDGES[look] * (alive[step] - alive[look]) - (ages[look] - ages[step])
                if waited / alive[step] > costs[step]:
                    break
                cost = price + (waited + alive[look] * costs[look]) / alive[step]
                if cost < costs[step]:
                    costs[step], next_[step] = cost, look
            costs[step] = min(costs[step], price + _EDGES[-1])
        return _expected(alive, next_)


def _steps_of(after: float, by: float) -> tuple[int, int]:
    """The first step of an interval of ages, and the one after its last."""
    first = min(bisect_right(_EDGES, after) - 1, _STEPS - 1)
    return first, min(max(bisect_left(_EDGES, by), first + 1), _STEPS)


def _expected(alive: list[float], next_: list[int]) -> LookPlan:
    looks, age = [1.0] * (_STEPS + 1), [_EDGES[-1] * _LATER] * (_STEPS + 1)
    for step in reversed(range(_STEPS)):
        look = next_[step]
        still = alive[look] / alive[step]
        looks[step] = 1 + still * looks[look]
        age[step] = (1 - still) * _EDGES[look] + still * age[look]
    return LookPlan(looks[0], age[0], tuple(next_))
