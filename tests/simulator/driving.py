"""Driving the rules in a time of the test's own: nothing sleeps, nothing listens."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enricher.simulator import Held, Request, Response, Settings, Workspace
from enricher.simulator.durations import Constant
from enricher.simulator.grids import COMPANIES, Grid

ACME = {"company_name": "Acme Corp", "website": "acme.com"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


class Driver:
    """A workspace and its clock. Runs last 3 s and nothing is limited, unless a test says so."""

    def __init__(self, **settings: Any) -> None:
        chosen: dict[str, Any] = {"rate": None, "duration": Constant(3), **settings}
        self.settings = Settings(**chosen)
        self.workspace = Workspace(self.settings, "http://127.0.0.1:1/api/v1")
        self.key: str | None = self.settings.api_key
        self.now = 1000.0

    def send(
        self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> Response | Held:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if self.key is None else {"x-api-key": self.key}
        return self.workspace.handle(Request(method, path, query or {}, headers, content), self.now)

    def get(self, path: str, **query: str) -> Answer:
        return answer(self.send("GET", path, query=query))

    def post(self, path: str, body: object = None) -> Answer:
        """Send, and wait as long as the rules hold the request."""
        sent = self.send("POST", path, body)
        if isinstance(sent, Held):
            self.now = sent.until
            sent = self.workspace.finish_held(sent.request_id, self.now)
        return answer(sent)

    def run(
        self, inputs: Mapping[str, Any] = ACME, grid: Grid = COMPANIES, **fields: Any
    ) -> Answer:
        return self.post(f"/grids/{grid.id}/run", {"inputs": inputs, **fields})

    def start(self, inputs: Mapping[str, Any] = ACME, **fields: Any) -> str:
        """Start an async run; its id."""
        return str(self.run(inputs, mode="async", **fields).body["request_id"])

    def status(self, request_id: str) -> Answer:
        return self.get(f"/run/status/{request_id}")


def answer(response: Response | Held) -> Answer:
    assert isinstance(response, Response), "the request is held"
    assert response.headers["content-type"] == "application/json"
    return Answer(response.status, response.headers, json.loads(response.body))
