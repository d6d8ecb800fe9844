"""8bitedge's batch endpoints as an OpenAPI document."""

from collections.abc import Mapping

from enricher.simulator.eightbitedge.settings import Endpoint
from enricher.simulator.openapi.parts import (
    ANY,
    TEXT,
    WHOLE,
    Schema,
    answer,
    body,
    dictionary,
    exactly,
    listed,
    operation,
    parameter,
    record,
    ref,
    whole,
)

_SCHEMAS: Mapping[str, Schema] = {
    "Problem": record({"code": TEXT, "message": TEXT, "details": dictionary(ANY)}),
    "Error": record({"error": ref("Problem")}),
    "BatchRequest": record(
        {"requests": {**listed(dictionary(ANY)), "minItems": 1, "maxItems": 250}}, closed=False
    ),
    "Batch": record(
        {
            "data": listed({"anyOf": [ref("Succeeded"), ref("Failed")]}),
            "meta": record(
                {"batch": record({"total": WHOLE, "succeeded": WHOLE, "failed": WHOLE})}
            ),
        }
    ),
    "Succeeded": record({"status": {"const": 200}, "data": dictionary(ANY)}),
    "Failed": record(
        {"status": {**WHOLE, "minimum": 400, "maximum": 599}, "error": ref("Problem")}
    ),
}

_KEY = parameter(
    "Idempotency-Key", "header", TEXT, "Unique for every logical batch; kept 24 hours."
)


def _responses() -> dict[str, Schema]:
    replayed = {"Idempotency-Replayed": exactly("true")}
    return {
        "200": answer("Every item succeeded.", ref("Batch"), replayed),
        "207": answer("At least one item failed.", ref("Batch"), replayed),
        "401": answer("No valid token. The code is not documented.", ref("Error")),
        "403": answer("insufficient_scope", ref("Error")),
        "409": answer("idempotency_conflict: the first is in flight.", ref("Error")),
        "422": answer("validation_failed, batch_too_large or idempotency_key_reuse", ref("Error")),
        "429": answer("Too many requests; not documented.", ref("Error"), {"Retry-After": TEXT}),
        "500": answer("Unexpected; not documented.", ref("Error")),
    }


def document(prefix: str) -> Schema:
    """The whole document, for an API that is served below `prefix`."""
    paths: dict[str, Schema] = {
        endpoint.path: {
            "post": operation(
                f"{endpoint.value}Batch",
                f"Needs the scope {endpoint.scope}; every item is metered",
                _responses(),
                [_KEY],
                body(ref("BatchRequest")),
            )
        }
        for endpoint in Endpoint
    }
    token: Schema = {"type": "http", "scheme": "bearer"}
    return whole("8bitedge batch endpoints", prefix, paths, _SCHEMAS, {"token": token})
