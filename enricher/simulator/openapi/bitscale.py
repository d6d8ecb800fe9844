"""BitScale External API v1 as an OpenAPI document; numbers are sections of the vendor's page."""

from collections.abc import Mapping

from enricher.simulator.openapi.parts import (
    ANY,
    FLAG,
    NUMBER,
    TEXT,
    WHOLE,
    Schema,
    answer,
    body,
    dictionary,
    exactly,
    listed,
    one_of,
    operation,
    or_null,
    parameter,
    record,
    ref,
    whole,
)

_RATE_HEADERS: Mapping[str, Schema] = {"X-RateLimit-Limit": TEXT, "X-RateLimit-Remaining": TEXT}

_RUNNABLE = one_of("enrichment", "formula", "merge")

_SCHEMAS: Mapping[str, Schema] = {
    "Error": record({"error": record({"code": TEXT, "message": TEXT})}),
    "Workspace": record(
        {
            "id": TEXT,
            "name": TEXT,
            "created_at": TEXT,
            "created_by": record({"id": TEXT, "name": TEXT, "email": TEXT}),
            "plan": record(
                {
                    "name": TEXT,
                    "credits_included": WHOLE,
                    "billing_interval": one_of("monthly", "yearly", "quarterly"),
                    "next_billing_date": or_null(TEXT),
                    "price": or_null(NUMBER),
                    "currency": or_null(TEXT),
                }
            ),
            "credits": record(
                dict.fromkeys(
                    ("total", "used", "remaining", "plan_credits", "rollover", "topup"), WHOLE
                )
            ),
            "people_company_searches": record(
                {"limit": WHOLE, "used": WHOLE, "remaining": WHOLE, "next_renewal_date": TEXT}
            ),
            "members": record(dict.fromkeys(("total", "owners", "admins", "editors"), WHOLE)),
        }
    ),
    "Grids": record(
        {
            "grids": listed(ref("GridSummary")),
            "total": WHOLE,
            "page": WHOLE,
            "limit": WHOLE,
            "total_pages": WHOLE,
        }
    ),
    "GridSummary": record(
        {
            "id": TEXT,
            "name": TEXT,
            "description": TEXT,
            "row_count": WHOLE,
            "column_count": WHOLE,
            "created_at": TEXT,
            "updated_at": TEXT,
            "columns": listed(
                record({"id": TEXT, "name": TEXT, "type": _RUNNABLE, "dependencies": listed(TEXT)})
            ),
        }
    ),
    "Grid": record(
        {
            "id": TEXT,
            "name": TEXT,
            "description": TEXT,
            "row_count": WHOLE,
            "created_at": TEXT,
            "updated_at": TEXT,
            "settings": record(
                {
                    "auto_run": FLAG,
                    "auto_dedupe": FLAG,
                    "visibility": one_of("workspace", "private"),
                    "dedupe_column_id": TEXT,
                },
                optional=("dedupe_column_id",),
            ),
            "columns": listed(
                record(
                    {
                        "id": TEXT,
                        "name": TEXT,
                        "type": one_of("text", "enrichment", "formula", "merge"),
                    }
                )
            ),
            "sources": listed(ref("Source")),
        }
    ),
    "Source": record(
        {
            "id": TEXT,
            "display_name": TEXT,
            "type": TEXT,
            "is_scheduled": FLAG,
            "status": TEXT,
            "last_run_at": or_null(TEXT),
            "next_run_at": or_null(TEXT),
            # Null in the example, absent in the table where nothing is scheduled (5.3).
            "schedule": or_null(record({"cron_schedule": TEXT, "next_run_at": TEXT})),
        },
        optional=("schedule",),
    ),
    "Contract": record(
        {
            "grid_id": TEXT,
            "grid_name": TEXT,
            "run_url": TEXT,
            "method": exactly("POST"),
            "headers": dictionary(TEXT),
            "request_body": record(
                {
                    "mode": exactly("sync"),
                    "inputs": dictionary(exactly("value")),
                    "output_columns": listed(TEXT),
                },
                optional=("output_columns",),
            ),
            "output_columns": listed(record({"id": TEXT, "name": TEXT, "type": _RUNNABLE})),
            "curl": TEXT,
        },
        optional=("output_columns",),
    ),
    "RunRequest": record(
        {
            "mode": one_of("sync", "async"),
            "inputs": dictionary(ANY),
            "output_columns": listed(TEXT),
            "source_id": TEXT,
            "webhook_url": TEXT,
        },
        optional=("mode", "output_columns", "source_id", "webhook_url"),
        closed=False,
    ),
    "Outputs": dictionary(record({"value": ANY, "name": TEXT})),
    "RunStarted": record(
        {
            "mode": exactly("async"),
            "status": exactly("running"),
            "request_id": TEXT,
            "poll_url": TEXT,
            "message": TEXT,
        }
    ),
    "SyncResult": record(
        {
            "mode": exactly("sync"),
            "status": one_of("completed", "failed"),
            "outputs": ref("Outputs"),
        },
        optional=("outputs",),
    ),
    "RunStatus": record(
        {
            "mode": one_of("sync", "async"),
            "status": one_of("running", "completed", "failed"),
            "grid_id": TEXT,
            "outputs": ref("Outputs"),
        },
        optional=("outputs",),
    ),
    "NewKey": record({"api_key": TEXT}),
}

_MEANINGS = {
    "400": "The request, the grid or the source is not fit for it.",
    "401": "INVALID_API_KEY",
    "403": "GRID_NOT_FOUND: it belongs to another workspace. FEATURE_DISABLED: not on this plan.",
    "404": "Not found in this workspace.",
    "500": "RUN_FAILED, ROTATE_FAILED or INTERNAL_ERROR",
}


def _responses(schema: Schema, *errors: str) -> dict[str, Schema]:
    """The 200, the errors of one endpoint, and those of all (2 and 3)."""
    return {
        "200": answer("As asked.", schema, _RATE_HEADERS),
        **{
            status: answer(_MEANINGS[status], ref("Error"), _RATE_HEADERS)
            for status in sorted({"401", *errors})
        },
        "429": answer("RATE_LIMIT_EXCEEDED", ref("Error"), {**_RATE_HEADERS, "Retry-After": TEXT}),
    }


_GRID_ID = parameter("gridId", "path", TEXT, "UUID of the grid.")
_REQUEST_ID = parameter("requestId", "path", TEXT, "UUID of the run.")
_LIST = (
    parameter("search", "query", TEXT, "Part of a name."),
    parameter("page", "query", {**WHOLE, "minimum": 1, "default": 1}, "From 1."),
    parameter(
        "limit", "query", {**WHOLE, "minimum": 1, "maximum": 100, "default": 20}, "Grids a page."
    ),
)
_COLUMNS = parameter("output_columns", "query", TEXT, "Column ids, separated by commas.")


def document(prefix: str) -> Schema:
    """The whole document, for an API that is served below `prefix`."""
    run: Schema = {"anyOf": [ref("RunStarted"), ref("SyncResult")]}
    paths: dict[str, Schema] = {
        "/workspace": {
            "get": operation("workspace", "5.1", _responses(ref("Workspace"), "403", "404"))
        },
        "/grids": {"get": operation("grids", "5.2", _responses(ref("Grids"), "403", "500"), _LIST)},
        "/grids/{gridId}": {
            "get": operation(
                "grid", "5.3", _responses(ref("Grid"), "403", "404", "500"), [_GRID_ID]
            )
        },
        "/grids/{gridId}/curl": {
            "get": operation(
                "contract",
                "5.4",
                _responses(ref("Contract"), "400", "403", "404"),
                [_GRID_ID, _COLUMNS],
            )
        },
        "/grids/{gridId}/run": {
            "post": operation(
                "run",
                "5.5; spends credits",
                _responses(run, "400", "403", "404", "500"),
                [_GRID_ID],
                body(ref("RunRequest")),
            )
        },
        "/run/status/{requestId}": {
            "get": operation(
                "runStatus", "5.6", _responses(ref("RunStatus"), "404", "500"), [_REQUEST_ID]
            )
        },
        "/api-key/rotate": {
            "post": operation("rotateKey", "5.7", _responses(ref("NewKey"), "500"))
        },
    }
    key: Schema = {"type": "apiKey", "in": "header", "name": "X-API-KEY"}
    return whole("BitScale External API v1", prefix, paths, _SCHEMAS, {"workspaceKey": key})
