"""The world of one BitScale workspace: requests and the time in, answers out.

The order of the checks (key, rate limit, path, plan, grid, body) is not documented.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping
from http import HTTPStatus

from enricher.simulator import bodies, draws
from enricher.simulator.errors import ErrorCode, Refused
from enricher.simulator.grids import Column, Grid
from enricher.simulator.limits import limit_text, rate_limit
from enricher.simulator.messages import Held, Request, Response, error_body, json_response
from enricher.simulator.routes import Endpoint, find_endpoint
from enricher.simulator.runs import Fate, Mode, Run, RunBook, RunStatus
from enricher.simulator.settings import DOCUMENTED_BASE_URL, Access, Settings
from enricher.simulator.submissions import read_submission

SYNC_SECONDS = 120.0
"""How long a sync request is held at most (BitScale API v1, 6)."""

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
ACCEPTED_TIMES_KEPT = 100_000


class Workspace:
    """One workspace. All times are seconds of one clock that never runs backwards."""

    def __init__(self, settings: Settings, base_url: str = DOCUMENTED_BASE_URL) -> None:
        self._settings = settings
        self._base_url = base_url
        self._grids = {grid.id: grid for grid in settings.grids}
        self._own_grids = tuple(grid for grid in settings.grids if not grid.foreign)
        self._limit = rate_limit(settings.rate, settings.window)
        self._limit_text = limit_text(settings.rate)
        self._book = RunBook(settings)
        self._rotations = 0
        self._accepted_at: deque[float] = deque(maxlen=ACCEPTED_TIMES_KEPT)
        self.api_key = settings.api_key
        self.requests: Counter[Endpoint] = Counter()
        """Accepted requests by endpoint: those with a good key and within the limit."""

        self.rate_limited = 0
        """Requests that were answered 429."""

        self.unauthorized = 0
        """Requests that were answered 401. They belong to no workspace, so no limit counts them."""

    def edit(self, grid: Grid) -> None:
        """Put `grid` in the place of the one of the same id, as somebody does in the app."""
        self._grids[grid.id] = grid

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, in the order of submission."""
        return self._book.all()

    @property
    def accepted_at(self) -> tuple[float, ...]:
        """The times of the accepted requests (of the last 100,000)."""
        return tuple(self._accepted_at)

    def row_count(self, grid: Grid) -> int:
        """The rows of a grid by now."""
        return self._book.row_count(grid)

    def handle(self, request: Request, now: float) -> Response | Held:
        """Answer a request, or say until when it is held."""
        try:
            result = self._serve(request, now)
        except Refused as refusal:
            return self._refusal(refusal, now)
        return result if isinstance(result, Held) else self._success(result, now)

    def finish_held(self, request_id: str, now: float) -> Response:
        """The answer to a held request: its run's result, or the hand-over to polling."""
        try:
            body = self._sync_answer(self._run(request_id), now)
        except Refused as refusal:
            return self._refusal(refusal, now)
        return self._success(body, now)

    def trouble(self, status: HTTPStatus, now: float) -> Response:
        """See `Rules.trouble`."""
        limited = status is HTTPStatus.TOO_MANY_REQUESTS
        code = ErrorCode.RATE_LIMIT_EXCEEDED if limited else ErrorCode.INTERNAL_ERROR
        return self._refusal(Refused(code, self._limit_text, status=status), now)

    def _success(self, body: bodies.Body, now: float) -> Response:
        return json_response(HTTPStatus.OK, self._headers(now), body)

    def _refusal(self, refusal: Refused, now: float) -> Response:
        headers = self._headers(now)
        if refusal.code is ErrorCode.RATE_LIMIT_EXCEEDED:
            headers["retry-after"] = "1"
        if refusal.code is ErrorCode.METHOD_NOT_ALLOWED:
            headers["allow"] = refusal.detail
        body = error_body(refusal.code.name, refusal.message)
        return json_response(refusal.status, headers, body)

    def _headers(self, now: float) -> dict[str, str]:
        """On every answer (BitScale API v1, 3)."""
        return {
            "x-ratelimit-limit": self._limit_text,
            "x-ratelimit-remaining": str(self._limit.remaining(now)),
        }

    def _serve(self, request: Request, now: float) -> bodies.Body | Held:
        self._authenticate(request.headers)
        self._admit(now)
        endpoint, identifier = find_endpoint(request.method, request.path)
        self.requests[endpoint] += 1
        self._check_access(endpoint)
        match endpoint:
            case Endpoint.WORKSPACE:
                return self._workspace()
            case Endpoint.GRIDS:
                return self._list_grids(request.query)
            case Endpoint.GRID:
                grid = self._grid(identifier)
                return bodies.grid_details(grid, self.row_count(grid))
            case Endpoint.CURL:
                return self._contract(self._grid(identifier), request.query)
            case Endpoint.RUN:
                return self._start_run(self._grid(identifier), request.body, now)
            case Endpoint.STATUS:
                run = self._run(identifier)
                return bodies.run_status(run, _status(run, now))
            case Endpoint.ROTATE:
                return self._rotate()

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        """BitScale API v1, 2."""
        if headers.get("x-api-key") != self.api_key:
            self.unauthorized += 1
            raise Refused(ErrorCode.INVALID_API_KEY)

    def _admit(self, now: float) -> None:
        """BitScale API v1, 3: one limit for all endpoints."""
        if not self._limit.admit(now):
            self.rate_limited += 1
            raise Refused(ErrorCode.RATE_LIMIT_EXCEEDED, self._limit_text)
        self._accepted_at.append(now)

    def _check_access(self, endpoint: Endpoint) -> None:
        access = self._settings.access
        if access is Access.NONE or (access is Access.NO_RUNS and endpoint is Endpoint.RUN):
            raise Refused(ErrorCode.FEATURE_DISABLED)
        if endpoint in self._settings.broken:
            rotating = endpoint is Endpoint.ROTATE
            raise Refused(ErrorCode.ROTATE_FAILED if rotating else ErrorCode.INTERNAL_ERROR)

    def _workspace(self) -> bodies.Body:
        """BitScale API v1, 5.1, the only endpoint that lists WORKSPACE_NOT_FOUND."""
        if not self._settings.workspace_exists:
            raise Refused(ErrorCode.WORKSPACE_NOT_FOUND)
        return bodies.workspace(self._settings, len(self._book))

    def _list_grids(self, query: Mapping[str, str]) -> bodies.Body:
        """BitScale API v1, 5.2. It lists no 400: what is no sensible number is the default."""
        search = query.get("search", "").lower()
        page = _positive(query.get("page"), 1)
        limit = min(_positive(query.get("limit"), DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE)
        found = [grid for grid in self._own_grids if search in grid.name.lower()]
        shown = found[(page - 1) * limit : page * limit]
        return {
            "grids": [bodies.grid_summary(grid, self.row_count(grid)) for grid in shown],
            "total": len(found),
            "page": page,
            "limit": limit,
            "total_pages": math.ceil(len(found) / limit),
        }

    def _grid(self, grid_id: str) -> Grid:
        """BitScale API v1, 5.3: one code for two statuses."""
        grid = self._grids.get(grid_id)
        if grid is None:
            raise Refused(ErrorCode.GRID_NOT_FOUND, grid_id)
        if grid.foreign:
            raise Refused(ErrorCode.GRID_NOT_FOUND, grid_id, status=HTTPStatus.FORBIDDEN)
        return grid

    def _contract(self, grid: Grid, query: Mapping[str, str]) -> bodies.Body:
        """BitScale API v1, 5.4."""
        if not grid.api_sources:
            raise Refused(ErrorCode.MISSING_SOURCE, grid.id)
        asked = [part.strip() for part in query.get("output_columns", "").split(",")]
        requested = [_output_column(grid, column_id) for column_id in asked if column_id]
        return bodies.contract(grid, self._base_url, requested or None)

    def _start_run(self, grid: Grid, body: bytes, now: float) -> bodies.Body | Held:
        """BitScale API v1, 5.5 and 6."""
        run = self._book.start(grid, read_submission(body, grid), now)
        if run.mode is Mode.SYNC:
            return Held(run.request_id, until=min(run.ends_at, now + SYNC_SECONDS))
        return bodies.run_started(run, self._base_url)

    def _sync_answer(self, run: Run, now: float) -> bodies.Body:
        status = _status(run, now)
        if status is RunStatus.RUNNING:
            return bodies.run_started(run, self._base_url)
        return bodies.sync_result(run, status)

    def _run(self, request_id: str) -> Run:
        run = self._book.find(request_id)
        if run is None:
            raise Refused(ErrorCode.REQUEST_NOT_FOUND, request_id)
        return run

    def _rotate(self) -> bodies.Body:
        """BitScale API v1, 5.7: the old key is invalid at once."""
        self._rotations += 1
        secret = draws.digest("api key", self._settings.seed, self._rotations)
        self.api_key = f"sk-sim-{secret.hex()}"
        return {"api_key": self.api_key}


def _status(run: Run, now: float) -> RunStatus:
    """Where a run stands; half of the failed ones answer with an error instead."""
    if now < run.ends_at:
        return RunStatus.RUNNING
    if run.fate is Fate.FAILED_AS_ERROR:
        raise Refused(ErrorCode.RUN_FAILED, _failed_column(run))
    return RunStatus.COMPLETED if run.fate is Fate.COMPLETED else RunStatus.FAILED


def _failed_column(run: Run) -> str:
    return draws.pick(run.grid.outputs, "failed column", run.request_id).name


def _output_column(grid: Grid, column_id: str) -> Column:
    column = grid.column(column_id)
    if column is None or not column.runnable:
        raise Refused(ErrorCode.INVALID_OUTPUT_COLUMN, column_id)
    return column


def _positive(text: str | None, default: int) -> int:
    """ASCII digits only, and few enough for an integer."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10):
        return default
    return int(text) or default
