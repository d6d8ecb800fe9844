"""Who sees every request leave and every answer arrive, and looks at the disk at that moment."""

import json
import math
import sqlite3
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enricher.simulator import Request, Response
from tests.simulation.disaster import KEYS, Disaster
from tests.simulation.faults import Effect, Fault
from tests.simulation.server import inputs_of

_A_MOMENT = 1e-3
"""Seconds that the client may need to take note of an answer."""

DURABLE_AFTER = 1.0
"""Seconds after which the id that an answer brought is on disk, however slow the disk is."""

_DEFAULT_LIMIT = 5.0

IN_A_STORM, IN_A_STORM_BY_LATENCY = 12, 30.0
"""Five faults open the breaker; meanwhile more are under way, most where answers take long."""


@dataclass
class Submission:
    """One that left, and what came of it; times in seconds of the story."""

    inputs: str
    life: int
    sent_at: float
    fault: str
    effect: Effect
    answered_at: float = math.inf
    got_id: bool = False


@dataclass
class Witness:
    """Knows what happened; blames what must not.

    Attributes:
        life: the number of the present one.
        moments: told of each submission and each answer to one.
    """

    disaster: Disaster
    checkpoint: Path
    asked_rate: float | str
    clock: Callable[[], float]
    life: int = 0
    violations: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    in_storms: Counter[float] = field(default_factory=Counter)
    """Submissions that left in a storm and got no answer, by its beginning."""
    may_fail: dict[str, set[str]] = field(default_factory=dict)
    on_submission: Callable[[], None] = lambda: None
    on_answer: Callable[[], None] = lambda: None
    requests: int = 0
    _open: dict[int, tuple[Request, Submission]] = field(default_factory=dict)
    _sends: deque[float] = field(default_factory=deque)
    _limits: deque[tuple[float, float]] = field(default_factory=deque)
    _quiet_from: float = 0.0
    _quiet_until: float = 0.0
    _sql: sqlite3.Connection | None = None

    def blame(self, what: str) -> None:
        """Something that must never happen."""
        text = f"life {self.life}, {self.clock():.3f} s: {what}"
        self.tell(f"VIOLATION {what}")
        if len(self.violations) < 20:
            self.violations.append(text)

    def tell(self, what: str) -> None:
        self.story.append(f"{self.clock():10.3f}  {what}")

    # --- lives -------------------------------------------------------------------------------

    def begin_life(self) -> None:
        """A new process: it knows the limit of the document, or what it was told to keep."""
        self.life += 1
        asked = _DEFAULT_LIMIT if isinstance(self.asked_rate, str) else self.asked_rate
        self._limits = deque([(-math.inf, asked)])
        self._quiet_until = 0.0

    def end_life(self) -> None:
        self._open.clear()
        self.look_away()

    def look_away(self) -> None:
        """Close the checkpoint."""
        if self._sql is not None:
            self._sql.close()
            self._sql = None

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """What is durable at this moment."""
        if self._sql is None:
            self._sql = sqlite3.connect(f"{self.checkpoint.as_uri()}?mode=ro", uri=True)
        return self._sql.execute(sql, arguments).fetchall()

    @property
    def _on_the_way(self) -> float:
        """Seconds that a request with a permission may need until it leaves."""
        return self.disaster.connecting + self.disaster.latency + _A_MOMENT

    # --- requests ----------------------------------------------------------------------------

    def sent(self, request: Request, fault_name: str, fault: Fault | None) -> None:
        """A request left the client."""
        self.requests += 1
        self._check_pace()
        if request.headers.get("x-api-key") not in KEYS:
            self.blame("a request carries no key of ours")
        if request.method == "POST":
            self._submitted(request, fault_name, fault)
        else:
            self.tell(f"GET {request.path} {fault_name}")
            if request.path.startswith("/run/status/"):
                self._check_look(request.path.rpartition("/")[2])

    def _submitted(self, request: Request, fault_name: str, fault: Fault | None) -> None:
        inputs = inputs_of(request)
        self.tell(f"POST {inputs} {fault_name}")
        self._check_submission(inputs)
        effect = fault.effect if fault else Effect.NONE
        submission = Submission(inputs, self.life, self.clock(), fault_name, effect)
        self.submissions.append(submission)
        self._open[id(request)] = request, submission
        if fault and fault.effect is Effect.FAILS:
            self.may_fail.setdefault(inputs, set()).add(fault.code)
        self._check_storm(effect)
        self.on_submission()

    def answered(self, request: Request, response: Response, *, whole: bool) -> None:
        """The client has an answer."""
        now = self.clock()
        headers = {name.lower(): text for name, text in response.headers.items()}
        limit = headers.get("x-ratelimit-limit")
        if limit and whole:
            self._limits.append((now, self._ceiling(float(limit))))
        wait = headers.get("retry-after", "")
        if whole and response.status in (429, 503) and wait.replace(".", "").isdigit():
            self._quiet_from = now + self._on_the_way
            self._quiet_until = max(self._quiet_until, now + float(wait))
        if id(request) in self._open:
            _, submission = self._open.pop(id(request))
            submission.answered_at = now if whole else math.inf
            submission.got_id = whole and _has_id(response)
            self.tell(
                f"  answered {response.status}{'' if whole else ', cut'}: {submission.inputs}"
            )
            self.on_answer()

    def _ceiling(self, limit: float) -> float:
        return limit if isinstance(self.asked_rate, str) else min(limit, self.asked_rate)

    # --- what must hold whenever a request leaves --------------------------------------------

    def _check_pace(self) -> None:
        now = self.clock()
        span, allowed = self._allowed(now)
        self._sends.append(now)
        while self._sends[0] <= now - span:
            self._sends.popleft()
        if len(self._sends) > allowed:
            self.blame(f"{len(self._sends)} requests within {span:g} s; {allowed} are allowed")
        if self._quiet_from < now < self._quiet_until - _A_MOMENT:
            self.blame(
                f"a request left {self._quiet_until - now:.2f} s before it may (Retry-After)"
            )

    def _allowed(self, now: float) -> tuple[float, int]:
        """The window that ends now: its seconds, and the requests that are allowed in it."""
        while len(self._limits) > 1 and self._limits[1][0] < now - 1.0 - self._on_the_way:
            self._limits.popleft()
        highest = max(limit for _, limit in self._limits)
        return 1.0, max(1, math.floor(highest))

    def _check_submission(self, inputs: str) -> None:
        text = json.dumps(json.loads(inputs), ensure_ascii=False, separators=(",", ":"))
        states = self.query("SELECT state, run_id FROM items WHERE inputs = ?", text)
        if not states:
            self.blame(f"submitted before the intent is on disk: {inputs}")
        elif states[0][0] != 1:
            self.blame(f"submitted in state {states[0][0]}, run {states[0][1]}: {inputs}")

    def _check_storm(self, effect: Effect) -> None:
        """An outage must not turn a file into doubt; held submissions are exposed, as was said."""
        if self.disaster.options["mode"] != "async":
            return
        now = self.clock()
        storms = (s for s in self.disaster.storms if s.begins <= now < s.begins + s.lasts)
        storm = next(storms, None)
        if storm is None or effect is not Effect.DOUBT:
            return
        self.in_storms[storm.begins] += 1
        most = int(IN_A_STORM + IN_A_STORM_BY_LATENCY * self.disaster.latency)
        if self.in_storms[storm.begins] == most + 1:
            self.blame(f"more than {most} submissions into a dead server")

    def _check_look(self, run_id: str) -> None:
        if not self.query("SELECT 1 FROM items WHERE run_id = ?", run_id):
            self.blame(f"looked at {run_id} before its id is on disk")


def _has_id(response: Response) -> bool:
    try:
        body = json.loads(response.body)
    except ValueError:
        return False
    return response.status == 200 and isinstance(body, dict) and bool(body.get("request_id"))
