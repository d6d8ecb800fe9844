"""Scale GP Workflows as an OpenAPI document."""

from collections.abc import Mapping

from enricher.simulator.openapi.parts import (
    ANY,
    TEXT,
    WHOLE,
    Schema,
    answer,
    body,
    dictionary,
    listed,
    one_of,
    operation,
    parameter,
    record,
    ref,
    whole,
)

_SESSION = one_of("starting", "pending_work", "processing", "idle", "errored", "inactive")
_CARD = one_of("idle", "pending", "processing", "completed", "errored")

_SCHEMAS: Mapping[str, Schema] = {
    "Error": record({"error": TEXT, "status_code": WHOLE}),
    "Unauthorized": record({"error": TEXT, "message": TEXT}),
    "RunRequest": record(
        {"workflowId": {**TEXT, "minLength": 1}, "variables": dictionary(TEXT)},
        optional=("variables",),
        closed=False,
    ),
    "Run": record({"sessionId": TEXT}),
    "Session": record({"sessionState": record({"status": _SESSION, "cards": listed(ref("Card"))})}),
    "Card": record(
        {
            "id": TEXT,
            "context": record({"cardType": TEXT}, closed=False),
            "status": _CARD,
            "output": dictionary(ANY),
            "errorMessage": TEXT,
        },
        optional=("output", "errorMessage"),
    ),
    "Result": record(
        {
            "data": listed(dictionary(ANY)),
            "schema": listed(
                record({"id": TEXT, "header": TEXT, "type": one_of("string", "number")})
            ),
            "start": WHOLE,
            "end": WHOLE,
            "result": record(
                {"summary": record({"totalNumberOfRows": WHOLE, "executionDurationMillis": WHOLE})}
            ),
        }
    ),
}

_ERRORS = {
    "400": answer("Malformed request.", ref("Error")),
    "401": answer("Missing or invalid API key or account id.", ref("Unauthorized")),
    "404": answer("Not found, or no access.", ref("Error")),
    "429": answer("Too many requests; not documented.", ref("Error"), {"Retry-After": TEXT}),
    "500": answer("Internal server error.", ref("Error")),
}
_SESSION_ID = parameter("sessionId", "path", TEXT, "From the start of the run.")
_TIMEOUT = parameter(
    "timeout",
    "query",
    {**WHOLE, "minimum": 0, "maximum": 999_999_999, "default": 600_000},
    "Milliseconds to wait.",
)


def document(prefix: str) -> Schema:
    """The whole document, for an API that is served below `prefix`."""
    paths: dict[str, Schema] = {
        "/v1/workflow/run": {
            "post": operation(
                "run",
                "Starts a session",
                {"200": answer("Started.", ref("Run")), **_ERRORS},
                request=body(ref("RunRequest")),
            )
        },
        "/v1/sessions/{sessionId}": {
            "get": operation(
                "session",
                "How a session stands",
                {"200": answer("Its state.", ref("Session")), **_ERRORS},
                [_SESSION_ID],
            )
        },
        "/v1/sessions/{sessionId}/result": {
            "get": operation(
                "result",
                "Waits for the final output",
                {"200": answer("The output.", ref("Result")), **_ERRORS},
                [_SESSION_ID, _TIMEOUT],
            )
        },
    }
    security: dict[str, Schema] = {
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-scale-api-key"},
        "account": {"type": "apiKey", "in": "header", "name": "x-selected-account-id"},
    }
    return whole("Scale GP Workflows", prefix, paths, _SCHEMAS, security)
