"""What every simulated account has, whoever's API it is."""

import math
from dataclasses import dataclass, field

from enricher.simulator.durations import Duration, Uniform
from enricher.simulator.limits import Window


@dataclass(frozen=True)
class Account:
    """How fast and how well it answers. Equal settings and equal requests give equal answers."""

    rate: float | None = 5.0
    """Requests per second over all endpoints; None is no limit."""

    window: Window = Window.SLIDING
    duration: Duration = field(default_factory=lambda: Uniform(1, 5))
    """How long a run lasts, or a batch is worked on."""

    fail_rate: float = 0.0
    """The share of runs, sessions or items that fail, from 0 to 1."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate is not None and not (self.rate > 0 and math.isfinite(self.rate)):
            raise ValueError("the rate must be a number above 0, or None for no limit")
        if not 0 <= self.fail_rate <= 1:
            raise ValueError("the fail rate must lie between 0 and 1")
