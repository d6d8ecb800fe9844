"""One request to BitScale, and what its answer means whatever was asked (API v1, 2 to 4 and 7)."""

from collections.abc import Callable, Mapping
from functools import partial

from enricher.model import Json, OnSent
from enricher.providers.base import parsed_error
from enricher.providers.keyed import DEADLINE, REDIRECTED, Keyed
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import (
    Facts,
    JobStops,
    Malformed,
    MaybeSent,
    Refused,
    Reply,
    RunFailed,
    Verdict,
)

WHERE_KEYS_STAND = "Settings → Accounts → API Keys"
"""Where the workspace shows its key to people (section 2)."""

STOPPING_CODES: Mapping[str, str] = {
    "FEATURE_DISABLED": "The API is part of the Enterprise plan: have the plan changed.",
    "GRID_NOT_FOUND": "Copy the id from the grid's address, app.bitscale.ai/grid/ID, and check"
    " that the key is of the same workspace.",
    "INVALID_OUTPUT_COLUMN": "Name output columns that the grid has with --output-column.",
    "INVALID_SOURCE": "Name a source of this grid with --source-id, or leave it out.",
    "MISSING_SOURCE": "Add a BitScale API source in the grid's settings.",
    "MISSING_SOURCE_COLUMN": "The grid is not set up for runs: open its data source column.",
    "ROTATE_FAILED": "Try the key with `enricher key test`, and rotate again. Where it is refused,"
    f" copy the new one from the workspace, {WHERE_KEYS_STAND}. If it stays so, ask BitScale's"
    " support.",
    "WORKSPACE_NOT_FOUND": "Check that the key is of a workspace that still exists.",
}
"""Errors that no repetition mends (section 7), whatever status they come with, and their mends."""


class Line:
    """Requests with one key over one transport."""

    def __init__(self, transport: Transport, key: ApiKey) -> None:
        self._requests = Keyed(transport, key, lambda value: {"X-API-KEY": value})

    async def fetch(
        self, path: str, named: str, on_sent: OnSent, params: Mapping[str, str] | None = None
    ) -> Reply:
        """`GET` an object. One without the field `named` is not the documented one.

        To take one for an answer could cost money: without the workspace's id, every content key
        would be another one, and everything would be bought again.
        """
        return await self.send("GET", path, partial(_facts, named), on_sent, params=params)

    async def send(
        self,
        method: str,
        path: str,
        meaning: Callable[[Answer, Json], Verdict],
        on_sent: OnSent,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline: float = DEADLINE,
    ) -> Reply:
        """One request; `meaning` reads what does not mean the same to every request.

        It gets the answer as it came, and its parsed body with the key blackened.
        """
        heard = await self._requests.send(
            method, path, on_sent, params=params, content=content, deadline=deadline
        )
        if isinstance(heard, Reply):
            return heard
        answer, body = heard.answer, heard.body
        code, message = parsed_error(body)
        if answer.status == 401 or (answer.status >= 400 and code == "INVALID_API_KEY"):
            return self._requests.rejected(heard, message or "Missing or invalid API key")
        return Reply(_of_any(answer, body) or meaning(answer, body), heard.signal)


# --- what an answer means: pure functions ---------------------------------------------------


def refusal(answer: Answer, body: Json) -> JobStops:
    """What an error means that no table names."""
    code, message = parsed_error(body)
    return JobStops(code or f"HTTP_{answer.status}", message or "the server refused the request")


def _of_any(answer: Answer, body: Json) -> Verdict | None:
    """Answers that mean the same to every request; `None` for all others."""
    code, message = parsed_error(body)
    status = answer.status
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        return Refused()
    if 300 <= status < 400:
        return JobStops(f"HTTP_{status}", REDIRECTED)
    if status < 400:
        return None
    if status == 402 or "CREDIT" in code.upper():
        return JobStops(code or f"HTTP_{status}", message or "the server asks for payment")
    if code in STOPPING_CODES:
        return JobStops(code, message, STOPPING_CODES[code])
    if status == 500 and code == "RUN_FAILED":
        return RunFailed(code, message)
    if status >= 500:
        return MaybeSent(f"HTTP {status} {code}".strip())
    return None


def _facts(named: str, answer: Answer, body: Json) -> Verdict:
    if answer.status >= 400:
        return refusal(answer, body)
    if isinstance(body, Malformed):
        return body
    if not isinstance(body, dict) or body.get(named) in (None, ""):
        return Malformed(f"the answer is no object with a field {named!r}")
    return Facts(body)
