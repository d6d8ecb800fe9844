"""How long runs last: a distribution, written as a short text such as `uniform:1:5`.

The document gives no durations, only that some runs outlast the 120 seconds of a sync request
(BitScale API v1, 6), so they are a setting here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

SPEC_FORMS = "SECONDS, constant:SECONDS, uniform:LOW:HIGH, lognormal:MEDIAN[:SIGMA] or " + (
    "bimodal:FAST:SLOW[:P_SLOW]"
)
_NORMAL = NormalDist()


class Duration(Protocol):
    """A distribution of durations. Its `str` is the spec that makes it again."""

    def seconds(self, chance: float) -> float:
        """The duration at this quantile; `chance` lies strictly between 0 and 1."""


@dataclass(frozen=True)
class Constant:
    """Every run lasts the same."""

    value: float

    def __post_init__(self) -> None:
        _require(self.value >= 0, "a duration cannot be negative")

    def seconds(self, chance: float) -> float:
        return self.value

    def __str__(self) -> str:
        return f"constant:{self.value:g}"


@dataclass(frozen=True)
class Uniform:
    """Evenly spread between two durations."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _require(0 <= self.low <= self.high, "it needs 0 <= LOW <= HIGH")

    def seconds(self, chance: float) -> float:
        return self.low + (self.high - self.low) * chance

    def __str__(self) -> str:
        return f"uniform:{self.low:g}:{self.high:g}"


@dataclass(frozen=True)
class LogNormal:
    """Mostly near the median, with a long tail of slow runs."""

    median: float
    sigma: float = 0.6

    def __post_init__(self) -> None:
        _require(self.median > 0, "MEDIAN must be above 0")
        # Beyond 10 the slowest of a million runs would outlast the universe, and overflow.
        _require(0 <= self.sigma <= 10, "SIGMA must lie between 0 and 10")

    def seconds(self, chance: float) -> float:
        return self.median * math.exp(self.sigma * _NORMAL.inv_cdf(chance))

    def __str__(self) -> str:
        return f"lognormal:{self.median:g}:{self.sigma:g}"


@dataclass(frozen=True)
class Bimodal:
    """Fast, except for a share of slow runs."""

    fast: float
    slow: float
    slow_share: float = 0.1

    def __post_init__(self) -> None:
        _require(0 <= self.fast <= self.slow, "it needs 0 <= FAST <= SLOW")
        _require(0 <= self.slow_share <= 1, "P_SLOW must lie between 0 and 1")

    def seconds(self, chance: float) -> float:
        return self.slow if chance < self.slow_share else self.fast

    def __str__(self) -> str:
        return f"bimodal:{self.fast:g}:{self.slow:g}:{self.slow_share:g}"


@dataclass(frozen=True)
class _Kind:
    make: Callable[..., Duration]
    fewest: int
    most: int


_KINDS = {
    "constant": _Kind(Constant, 1, 1),
    "uniform": _Kind(Uniform, 2, 2),
    "lognormal": _Kind(LogNormal, 1, 2),
    "bimodal": _Kind(Bimodal, 2, 3),
}


def parse_duration(spec: str) -> Duration:
    """Read a spec such as `3` or `bimodal:4:120:0.1`; ValueError says what is wrong with it."""
    name, *texts = spec.strip().split(":")
    try:
        if name.lower() not in _KINDS:
            name, texts = "constant", [name, *texts]
        kind = _KINDS[name.lower()]
        _require(kind.fewest <= len(texts) <= kind.most, f"write {SPEC_FORMS}")
        return kind.make(*map(_number, texts))
    except ValueError as problem:
        raise ValueError(f"bad duration {spec!r}: {problem}") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; write {SPEC_FORMS}") from None
    _require(math.isfinite(value), f"{text!r} is not a finite number")
    return value


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
