"""Several workspaces of one API: the key of a request says whose it is."""

from collections.abc import Sequence
from http import HTTPStatus

from enricher.simulator.messages import Held, Request, Response
from enricher.simulator.rules import Workspace


class Workspaces:
    """Hands each request to the workspace of its key; one with no such key to the first."""

    def __init__(self, each: Sequence[Workspace]) -> None:
        self._each = each
        self._holds: dict[str, Workspace] = {}

    def handle(self, request: Request, now: float) -> Response | Held:
        """See `Rules.handle`."""
        key = request.headers.get("x-api-key")
        workspace = next((one for one in self._each if one.api_key == key), self._each[0])
        answer = workspace.handle(request, now)
        if isinstance(answer, Held):
            self._holds[answer.request_id] = workspace
        return answer

    def finish_held(self, request_id: str, now: float) -> Response:
        """See `Rules.finish_held`."""
        return self._holds.pop(request_id).finish_held(request_id, now)

    def trouble(self, status: HTTPStatus, now: float) -> Response:
        """See `Rules.trouble`."""
        return self._each[0].trouble(status, now)
