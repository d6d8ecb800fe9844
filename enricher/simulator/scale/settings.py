"""What a simulated Scale account is like: chosen once, never changed."""

from dataclasses import dataclass
from enum import Enum

from enricher.simulator.account import Account
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
class Settings(Account):
    """One simulated account. No limit is documented; sessions fail in all documented ways."""

    api_key: str = DEFAULT_API_KEY
    account_id: str = DEFAULT_ACCOUNT_ID
    workflows: tuple[Workflow, ...] = WORKFLOWS
    unready: Unready = Unready.EMPTY

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.api_key and self.account_id):
            raise ValueError("the API key and the account id must not be empty")
