"""Every kind of trouble that an answer can be, and what it means by the API's document.

A fault of a submission is told by its effect: what the client must make of it. The faults of looks
need no such word, for every look can be repeated; those few that speak of the whole job stop it.
"""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from enricher.simulator import Response
from tests.support.network import Altered, Canned, Happening, Trouble


class Effect(enum.Enum):
    """What a fault of a submission leads to."""

    DOUBT = "it may have been processed, and nothing tells"
    WAIT = "not processed: submitted again"
    FAILS = "the row fails"
    NONE = "the answer is odd and good"
    STOPS = "the job stops"


YOUR_KEY = "<the key of this request>"
"""Stands in the words of a server that repeats what it was sent."""

Make = Callable[[Random], Happening]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of trouble.

    Attributes:
        make: one of its kind.
        weight: how often it may come, against the others.
        code: of the row that it fails.
    """

    effect: Effect
    make: Make
    weight: float = 1.0
    code: str = ""


def _error(code: str, message: str = "as the simulation wants it") -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def _answer(status: int, body: bytes, *headers: tuple[str, str]) -> Make:
    """This answer, and the request is not processed."""
    return lambda _: Canned(status, body, headers)


def _after(status: int, body: bytes) -> Make:
    """The request is processed, and this is answered."""
    response = Response(status, {"content-type": "application/json"}, body)
    return lambda _: Altered(lambda _: response)


def _either(status: int, body: bytes) -> Make:
    """Processed or not: the client cannot know."""
    return lambda chance: (_after if chance.random() < 0.5 else _answer)(status, body)(chance)


def _trouble(*kinds: Trouble) -> Make:
    return lambda chance: chance.choice(kinds)


def _edited(**fields: Any) -> Make:
    """Processed, and fields of the answer's object are replaced; `None` takes one away."""

    def edit(response: Response) -> Response:
        body = json.loads(response.body)
        if response.status != 200 or body.get("status") != "running":
            return response
        body = {k: v for k, v in {**body, **fields}.items() if v is not None}
        return Response(response.status, response.headers, json.dumps(body).encode())

    return lambda _: Altered(edit)


def _told_to_wait(chance: Random) -> Happening:
    words = chance.choice(("1", "2", "7", "0", "0.5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"))
    return Canned(429, _error("RATE_LIMIT_EXCEEDED"), (("Retry-After", words),))


def _unavailable(chance: Random) -> Happening:
    words = (("Retry-After", chance.choice(("1", "3", "20"))),)
    return Canned(503, _error("UNAVAILABLE"), words)


_HTML = b"<html><body>Bad gateway</body></html>"
_INTERNAL = _error("INTERNAL_ERROR")

_WAITING = {
    "429 and for how long": Fault(Effect.WAIT, _told_to_wait),
    "429 without a word": Fault(Effect.WAIT, _answer(429, _error("RATE_LIMIT_EXCEEDED"))),
    "503 and for how long": Fault(Effect.WAIT, _unavailable),
}
_STOPPING = {
    "redirect": Fault(
        Effect.STOPS, _answer(302, b"", ("Location", "http://elsewhere.example/api/v1")), 0.5
    ),
    "402": Fault(Effect.STOPS, _answer(402, _error("CREDITS_EXHAUSTED")), 0.2),
    "feature disabled": Fault(Effect.STOPS, _answer(403, _error("FEATURE_DISABLED")), 0.2),
    "grid gone": Fault(Effect.STOPS, _answer(404, _error("GRID_NOT_FOUND")), 0.2),
}
_SERVER_ERRORS = {
    "500": Fault(Effect.DOUBT, _either(500, _INTERNAL)),
    "502 HTML": Fault(Effect.DOUBT, _either(502, _HTML)),
    "503 without a word": Fault(Effect.DOUBT, _either(503, b"{}")),
    "504 empty": Fault(Effect.DOUBT, _either(504, b"")),
}
_LOST = {
    "lost before": Fault(Effect.DOUBT, _trouble(Trouble.LOST_BEFORE)),
    "lost after": Fault(Effect.DOUBT, _trouble(Trouble.LOST_AFTER)),
    "cut": Fault(Effect.DOUBT, _trouble(Trouble.CUT)),
    "hang": Fault(Effect.DOUBT, _trouble(Trouble.HANG, Trouble.SWALLOWED), 0.5),
}
_SENSELESS = {
    "200 HTML": Fault(Effect.DOUBT, _after(200, _HTML)),
    "200 list": Fault(Effect.DOUBT, _after(200, b"[1, 2]")),
    "200 not UTF-8": Fault(Effect.DOUBT, _after(200, b'{"status": "\xff\xfe"}')),
    "200 completed without outputs": Fault(Effect.DOUBT, _after(200, b'{"status": "completed"}')),
    "200 NaN": Fault(
        Effect.DOUBT, _after(200, b'{"status": "completed", "outputs": {"a": {"value": NaN}}}')
    ),
}

SUBMISSION_FAULTS: dict[str, Fault] = {
    **_LOST,
    **_SERVER_ERRORS,
    **_SENSELESS,
    **_WAITING,
    **_STOPPING,
    "200 without id": Fault(Effect.DOUBT, _after(200, b'{"status": "running"}')),
    "200 with an id that is a path": Fault(
        Effect.DOUBT, _after(200, b'{"status": "running", "request_id": "../../workspace"}')
    ),
    "200 with an unknown status": Fault(Effect.NONE, _edited(status="queued")),
    "run failed": Fault(Effect.FAILS, _after(500, _error("RUN_FAILED")), code="RUN_FAILED"),
    "200 failed": Fault(Effect.FAILS, _after(200, b'{"status": "failed"}'), code="RUN_FAILED"),
    "invalid inputs": Fault(
        Effect.FAILS, _answer(400, _error("INVALID_INPUTS")), code="INVALID_INPUTS"
    ),
    "repeats the key": Fault(
        Effect.FAILS,
        _answer(400, _error("INVALID_INPUTS", f"not with {YOUR_KEY}")),
        0.5,
        code="INVALID_INPUTS",
    ),
    "too large": Fault(Effect.FAILS, _answer(413, b"too large"), 0.3, code="HTTP_413"),
}

LOOK_FAULTS: dict[str, Fault] = {
    **_LOST,
    **_SERVER_ERRORS,
    **_SENSELESS,
    **_WAITING,
    **_STOPPING,
    "200 with an unknown status": Fault(Effect.NONE, _answer(200, b'{"status": "thinking"}')),
    "not found": Fault(Effect.NONE, _answer(404, _error("REQUEST_NOT_FOUND")), 0.5),
}

ROW_FAULTS: dict[str, Fault] = {
    "invalid inputs": SUBMISSION_FAULTS["invalid inputs"],
    "too large": SUBMISSION_FAULTS["too large"],
    "no such field": Fault(Effect.FAILS, _answer(422, _error("NO_SUCH_FIELD")), 1, "NO_SUCH_FIELD"),
}
"""What the server says of poison inputs, every time."""

NO_CONNECTION = "no connection"
STORMS = (
    NO_CONNECTION,
    "lost before",
    "502 HTML",
    "429 without a word",
    "hang",
    "503 without a word",
)
"""What may happen to all requests for a while: `NO_CONNECTION`, or a fault."""
