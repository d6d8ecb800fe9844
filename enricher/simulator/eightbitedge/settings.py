"""What a simulated 8bitedge account is like: chosen once, never changed."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from enricher.simulator.account import Account

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
class Settings(Account):
    """One simulated account.

    The figure of the limit is not documented. The request of a batch is held while it is worked
    on. Half of the items that fail do so every time, with 422, and half this time, with 500.
    """

    token: str = DEFAULT_TOKEN
    plan: Plan = Plan.PRO
    scopes: frozenset[str] = ALL_SCOPES
    stub: bool = True
    """Live answers are stubs today; without it items get made-up data of an undocumented shape."""

    poison: frozenset[str] = frozenset()
    """Values that make a whole batch `validation_failed` when an item holds one of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.token:
            raise ValueError("the token must not be empty")
