"""What a simulated 8bitedge account is like: chosen once, never changed."""

import math
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from enricher.simulator.durations import Duration, Uniform
from enricher.simulator.limits import Window

DEFAULT_TOKEN = "8be-sim-0b17ed9e00000000000000000000cafe"  # noqa: S105 - a stand-in's
PREFIX = "/8bitedge/api/v1"
"""BitScale's documented path ends alike, so that one port needs two prefixes."""


class Endpoint(StrEnum):
    """The batch endpoints ("Available batch endpoints")."""

    INTELLIGENCE = "intelligence"
    SIGNALS = "signals"
    ENRICHMENT = "enrichment"

    @property
    def path(self) -> str:
        return f"/{self.value}/batch"

    @property
    def scope(self) -> str:
        return f"{self.value}.read"


ALL_SCOPES = frozenset(endpoint.scope for endpoint in Endpoint)


class Plan(Enum):
    """A plan, with the items that a batch may hold ("Batch size limits")."""

    FREE = 10
    STARTER = 50
    PRO = 100
    ENTERPRISE = 250


@dataclass(frozen=True)
class Settings:
    """One simulated account. Equal settings and equal requests give equal answers."""

    rate: float | None = 5.0
    """Requests per second over all endpoints; None is no limit. The figure is not documented."""

    window: Window = Window.SLIDING
    duration: Duration = field(default_factory=lambda: Uniform(1, 5))
    """How long a batch is worked on; its request is held for so long."""

    fail_rate: float = 0.0
    """The share of items that fail: half of them every time with 422, half with 500 this time."""

    seed: int = 0
    token: str = DEFAULT_TOKEN
    plan: Plan = Plan.PRO
    scopes: frozenset[str] = ALL_SCOPES
    stub: bool = True
    """Live answers are stubs today; without it items get made-up data of an undocumented shape."""

    poison: frozenset[str] = frozenset()
    """Values that make a whole batch `validation_failed` when an item holds one of them."""

    def __post_init__(self) -> None:
        if self.rate is not None and not (self.rate > 0 and math.isfinite(self.rate)):
            raise ValueError("the rate must be a number above 0, or None for no limit")
        if not 0 <= self.fail_rate <= 1:
            raise ValueError("the fail rate must lie between 0 and 1")
        if not self.token:
            raise ValueError("the token must not be empty")
