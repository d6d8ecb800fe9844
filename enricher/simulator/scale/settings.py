"""What a simulated Scale account is like: chosen once, never changed."""

import math
from dataclasses import dataclass, field
from enum import Enum

from enricher.simulator.durations import Duration, Uniform
from enricher.simulator.limits import Window
from enricher.simulator.scale.workflows import WORKFLOWS, Workflow

DEFAULT_API_KEY = "scale-sim-5ca1e000000000000000000000cafe"
DEFAULT_ACCOUNT_ID = "acct-5eed0000"
PREFIX = "/corp-api/compass/api"


class Unready(Enum):
    """What `…/result` answers when there is no output: the document does not say.

    That is so when its timeout has elapsed, and when the session ended without a result.
    """

    EMPTY = "200 with no rows"
    ERROR = "500 in the usual shape"


@dataclass(frozen=True)
class Settings:
    """One simulated account. Equal settings and equal requests give equal answers."""

    rate: float | None = 5.0
    """Requests per second over all endpoints; None is no limit. No limit is documented."""

    window: Window = Window.SLIDING
    duration: Duration = field(default_factory=lambda: Uniform(1, 5))
    fail_rate: float = 0.0
    """The share of sessions that fail, evenly in the three documented ways."""

    seed: int = 0
    api_key: str = DEFAULT_API_KEY
    account_id: str = DEFAULT_ACCOUNT_ID
    workflows: tuple[Workflow, ...] = WORKFLOWS
    unready: Unready = Unready.EMPTY

    def __post_init__(self) -> None:
        if self.rate is not None and not (self.rate > 0 and math.isfinite(self.rate)):
            raise ValueError("the rate must be a number above 0, or None for no limit")
        if not 0 <= self.fail_rate <= 1:
            raise ValueError("the fail rate must lie between 0 and 1")
        if not (self.api_key and self.account_id):
            raise ValueError("the API key and the account id must not be empty")
