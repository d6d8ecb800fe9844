"""The provider's side: the simulator's rules, with a key and a limit that change meanwhile."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from enricher.simulator import GRIDS, Held, Request, Response, Settings, Workspace, parse_duration
from enricher.simulator.runs import Run
from tests.simulation.disaster import KEYS, Disaster

BASE_URL = "http://127.0.0.1/api/v1"
HOST = "127.0.0.1"
ELSEWHERE = "http://elsewhere.example/api/v1"
"""What the server calls its own address; nobody may ever go there."""

GRID = GRIDS[0]


def canonical(inputs: Mapping[str, Any]) -> str:
    """One text for equal inputs."""
    return json.dumps(inputs, ensure_ascii=False, sort_keys=True)


def inputs_of(request: Request) -> str:
    """The inputs that a submission carries, as one text."""
    return canonical(json.loads(request.body)["inputs"])


def settings_of(disaster: Disaster) -> Settings:
    """The workspace. Its limit is not enforced: to break it is a violation."""
    return Settings(
        rate=None,
        duration=parse_duration(disaster.duration),
        fail_rate=disaster.fail_rate,
        seed=disaster.seed,
        api_key=KEYS[0],
    )


@dataclass
class Server:
    """Outlives every client, and is the only one that knows what was bought."""

    disaster: Disaster
    clean: bool = False
    bought: dict[str, list[Run]] = field(default_factory=dict)
    """Runs by inputs: more than one is money spent twice."""

    def __post_init__(self) -> None:
        settings = settings_of(self.disaster)
        if self.clean:
            settings = replace(settings, duration=parse_duration("constant:0"))
        self._rules = Workspace(settings, ELSEWHERE)
        self.runs_by_request: dict[int, Run] = {}

    @property
    def key(self) -> str:
        """The key that is good now."""
        return self._rules.api_key

    def change_key(self) -> None:
        self._rules.api_key = KEYS[KEYS.index(self.key) + 1]

    def handle(self, request: Request, now: float) -> Response | Held:
        """See `Workspace.handle`."""
        before = len(self._rules.runs) if request.method == "POST" else 0
        answer = self._rules.handle(request, now)
        if request.method == "POST" and len(self._rules.runs) > before:
            run = self._rules.runs[-1]
            self.bought.setdefault(inputs_of(request), []).append(run)
            self.runs_by_request[id(request)] = run
        if isinstance(answer, Held):
            return answer
        if self._is_unknown_yet(request, now):
            body = b'{"error": {"code": "REQUEST_NOT_FOUND", "message": "not yet"}}'
            answer = Response(404, answer.headers, body)
        return self._with_limit(answer, now)

    def finish_held(self, request_id: str, now: float) -> Response:
        """See `Workspace.finish_held`."""
        return self._with_limit(self._rules.finish_held(request_id, now), now)

    def _is_unknown_yet(self, request: Request, now: float) -> bool:
        """A run may be unknown for a moment after it was accepted (read after write)."""
        if not request.path.startswith("/run/status/"):
            return False
        id_ = request.path.rpartition("/")[2]
        found = (run for runs in self.bought.values() for run in runs if run.request_id == id_)
        return any(now - run.submitted_at < self.disaster.unknown_for for run in found)

    def _with_limit(self, answer: Response, now: float) -> Response:
        limit = 1_000_000 if self.clean else self.disaster.limit_at(now)
        return Response(
            answer.status, {**answer.headers, "x-ratelimit-limit": f"{limit:g}"}, answer.body
        )
