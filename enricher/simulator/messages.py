"""What goes into the rules and what comes out, free of any HTTP library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]


@dataclass(frozen=True)
class Request:
    """One request. `path` begins below the base URL; names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """One whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Held:
    """No answer yet: wait until then, and ask `Rules.finish_held` for it."""

    request_id: str
    until: float


class Rules(Protocol):
    """One API. Times are seconds of one clock that never runs backwards."""

    def handle(self, request: Request, now: float) -> Response | Held:
        """Answer a request, or say until when it is held."""

    def finish_held(self, request_id: str, now: float) -> Response:
        """The answer to a held request."""

    def trouble(self, status: HTTPStatus, now: float) -> Response:
        """A 429, 500 or 503 in this API's own words, for a request that deserved better."""


def json_text(value: Json) -> str:
    """The one canonical text of a JSON value: sorted names, no spaces, letters as they are.

    ValueError means that it has none, such as an infinite number.
    """
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def json_response(status: int, headers: Mapping[str, str], body: Mapping[str, object]) -> Response:
    """An answer with a JSON body; text is sent as it is, not as escapes."""
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(status, {"content-type": "application/json", **headers}, content)


def error_body(code: str, message: str) -> dict[str, object]:
    """The one shape of all errors (BitScale API v1, 4)."""
    return {"error": {"code": code, "message": message}}
