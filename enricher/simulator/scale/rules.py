"""The world of one Scale account: requests and the time in, answers out.

The order of the checks (headers, rate limit, path, body) is not documented.
"""

import json
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus

from enricher.simulator.limits import rate_limit
from enricher.simulator.messages import (
    Held,
    JsonObject,
    Request,
    Response,
    json_response,
    json_text,
)
from enricher.simulator.scale.sessions import Session, new_session
from enricher.simulator.scale.settings import Settings, Unready
from enricher.simulator.scale.workflows import Workflow

DEFAULT_TIMEOUT_MS = 600_000
_LONGEST_TIMEOUT_DIGITS = 9

_NOT_FOUND = "Workflow not found or you do not have access."
_NO_SESSION = "Session not found or you do not have access."


class Endpoint(Enum):
    """The three endpoints ("API reference")."""

    RUN = "POST /v1/workflow/run"
    SESSION = "GET /v1/sessions/:sessionId"
    RESULT = "GET /v1/sessions/:sessionId/result"


class Refused(Exception):
    """A request that is answered with an error, in the first of the two documented shapes."""

    def __init__(self, status: HTTPStatus, error: str) -> None:
        super().__init__(status, error)
        self.status = status
        self.body: JsonObject = {"error": error, "status_code": int(status)}


class Unauthorized(Refused):
    """Authentication failures have both `error` and `message` ("Error handling")."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        self.body = {"error": "Unauthorized", "message": message}


class WorkflowService:
    """One account. All times are seconds of one clock that never runs backwards."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = rate_limit(settings.rate, settings.window)
        self._workflows = {flow.id: flow for flow in settings.workflows}
        self._sessions: dict[str, Session] = {}
        self.api_key = settings.api_key
        self.requests: Counter[Endpoint] = Counter()
        """Requests with good headers and within the limit."""

        self.rate_limited = 0
        """Requests that were answered 429."""

        self.unauthorized = 0
        """Requests that were answered 401."""

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions, in the order of their start: one for each run that was processed."""
        return tuple(self._sessions.values())

    @property
    def processed(self) -> Counter[tuple[str, str]]:
        """How often each workflow was run with the same variables (their canonical text)."""
        return Counter(
            (session.workflow.id, json_text(dict(session.variables))) for session in self.sessions
        )

    def handle(self, request: Request, now: float) -> Response | Held:
        """See `Rules.handle`."""
        try:
            return self._serve(request, now)
        except Refused as refusal:
            return _refusal(refusal)

    def finish_held(self, request_id: str, now: float) -> Response:
        """See `Rules.finish_held`: the result of a session, or that there is none."""
        session = self._sessions[request_id]
        if session.has_result(now) or self._settings.unready is Unready.EMPTY:
            return json_response(HTTPStatus.OK, {}, _result(session, now))
        return _refusal(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "The session has no result."))

    def trouble(self, status: HTTPStatus, now: float) -> Response:
        """See `Rules.trouble`."""
        return _refusal(Refused(status, status.phrase))

    def _serve(self, request: Request, now: float) -> Response | Held:
        self._authenticate(request.headers)
        if not self._limit.admit(now):
            self.rate_limited += 1
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.")
        match request.path.split("/")[1:]:
            case ["v1", "workflow", "run"]:
                self._count(Endpoint.RUN, request)
                return self._run(request.body, now)
            case ["v1", "sessions", session_id]:
                self._count(Endpoint.SESSION, request)
                return self._state(self._session(session_id), now)
            case ["v1", "sessions", session_id, "result"]:
                self._count(Endpoint.RESULT, request)
                return self._wait(self._session(session_id), request.query, now)
        raise Refused(HTTPStatus.NOT_FOUND, "Not found.")

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        for name, expected in (
            ("x-scale-api-key", self.api_key),
            ("x-selected-account-id", self._settings.account_id),
        ):
            if headers.get(name) != expected:
                self.unauthorized += 1
                missing = "Missing authentication header."
                raise Unauthorized("Invalid API key or account ID." if name in headers else missing)

    def _count(self, endpoint: Endpoint, request: Request) -> None:
        method = endpoint.value.split()[0]
        if request.method != method:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"This path takes {method} only.")
        self.requests[endpoint] += 1

    def _run(self, body: bytes, now: float) -> Response:
        workflow_id, variables = _read_run(body)
        workflow = self._workflows.get(workflow_id)
        if workflow is None or workflow.foreign:
            raise Refused(HTTPStatus.NOT_FOUND, _NOT_FOUND)
        session = new_session(
            self._settings, workflow, variables, number=len(self._sessions) + 1, now=now
        )
        self._sessions[session.id] = session
        return json_response(HTTPStatus.OK, {}, {"sessionId": session.id})

    def _session(self, session_id: str) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise Refused(HTTPStatus.NOT_FOUND, _NO_SESSION)
        return session

    def _state(self, session: Session, now: float) -> Response:
        state = {"status": session.status(now).value, "cards": session.cards(now)}
        return json_response(HTTPStatus.OK, {}, {"sessionState": state})

    def _wait(self, session: Session, query: Mapping[str, str], now: float) -> Held:
        text = query.get("timeout", str(DEFAULT_TIMEOUT_MS))
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIMEOUT_DIGITS):
            raise Refused(HTTPStatus.BAD_REQUEST, "timeout must be a number of milliseconds.")
        until = min(session.result_waits_until, now + int(text) / 1000)
        return Held(session.id, max(now, until))


def _refusal(refusal: Refused) -> Response:
    limited = refusal.status is HTTPStatus.TOO_MANY_REQUESTS
    return json_response(refusal.status, {"retry-after": "1"} if limited else {}, refusal.body)


def _read_run(body: bytes) -> tuple[str, dict[str, str]]:
    """`workflowId` and `variables`, which are flat and text ("POST /v1/workflow/run")."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is no JSON.") from None
    workflow_id = fields.get("workflowId") if isinstance(fields, dict) else None
    if not isinstance(workflow_id, str) or not workflow_id:
        raise Refused(HTTPStatus.BAD_REQUEST, "workflowId is required.")
    variables = fields.get("variables", {})
    if not isinstance(variables, dict) or not all(map(_is_text, variables.values())):
        raise Refused(HTTPStatus.BAD_REQUEST, "variables must be flat string values.")
    if not all(map(_is_text, variables)):
        raise Refused(HTTPStatus.BAD_REQUEST, "A variable's name is no valid text.")
    return workflow_id, variables


def _is_text(value: object) -> bool:
    """A lone surrogate can be read as JSON, and cannot be written again."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _result(session: Session, now: float) -> dict[str, object]:
    workflow = session.workflow
    rows = workflow.rows(session.variables) if session.has_result(now) else []
    shown = rows[: workflow.rows_returned]
    lasted = min(now, session.ends_at) - session.started_at
    return {
        "data": shown,
        "schema": [
            {"id": column.id, "header": column.header, "type": column.type.value}
            for column in workflow.columns
        ],
        "start": 0,
        "end": len(shown),
        "result": {
            "summary": {
                "totalNumberOfRows": len(rows),
                "executionDurationMillis": round(lasted * 1000),
            }
        },
    }


def own_workflows(settings: Settings) -> list[Workflow]:
    """The workflows that this account may run."""
    return [workflow for workflow in settings.workflows if not workflow.foreign]
