"""What a simulated workspace is like: chosen once, never changed."""

from dataclasses import dataclass
from enum import Enum

from enricher.simulator.account import Account
from enricher.simulator.grids import GRIDS, Grid
from enricher.simulator.routes import Endpoint

DEFAULT_API_KEY = "sk-sim-b1755ca1e0000000000000000000cafe"
DOCUMENTED_BASE_URL = "https://api.bitscale.ai/api/v1"


class Access(Enum):
    """Whether the plan includes the API.

    The document says of all endpoints that they fail without it (head of the page), and lists
    FEATURE_DISABLED for the run endpoint alone (BitScale API v1, 5.5): both readings are here.
    """

    FULL = "every endpoint answers"
    NO_RUNS = "only the run endpoint answers FEATURE_DISABLED"
    NONE = "every endpoint answers FEATURE_DISABLED"


@dataclass(frozen=True)
class Settings(Account):
    """One simulated workspace."""

    api_key: str = DEFAULT_API_KEY
    workspace_id: str = "ws-5eed0000"
    grids: tuple[Grid, ...] = GRIDS
    credits_per_run: int = 2
    plan_credits: int = 50_000
    access: Access = Access.FULL
    workspace_exists: bool = True
    """If not, the workspace endpoint answers WORKSPACE_NOT_FOUND."""

    broken: frozenset[Endpoint] = frozenset()
    """Endpoints that always answer 500 (INTERNAL_ERROR, or ROTATE_FAILED), doing nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.api_key:
            raise ValueError("the API key must not be empty")
