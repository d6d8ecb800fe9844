"""The bodies of the answers: the documented fields, and no others."""

import json
from collections.abc import Sequence

from enricher.simulator.grids import Column, Grid, Source
from enricher.simulator.runs import Mode, Run, RunStatus
from enricher.simulator.settings import Settings
from enricher.simulator.values import outputs_for

Body = dict[str, object]

_ROLLOVER_CREDITS = 2_000
_CREDITS_USED_BEFORE = 12_400
_KEY_PLACEHOLDER = "YOUR_WORKSPACE_API_KEY"


def workspace(settings: Settings, runs: int) -> Body:
    """GET /workspace (BitScale API v1, 5.1). Every run spends a fixed number of credits.

    What happens when they run out is not documented: runs go on, and `remaining` stays at 0.
    """
    total = settings.plan_credits + _ROLLOVER_CREDITS
    used = _CREDITS_USED_BEFORE + runs * settings.credits_per_run
    return {
        "id": settings.workspace_id,
        "name": "Simulated Workspace",
        "created_at": "2024-06-01T10:00:00Z",
        "created_by": {
            "id": "5eed0000-0000-4000-8000-000000000001",
            "name": "Sam Simulator",
            "email": "sam@simulator.example",
        },
        "plan": {
            "name": "Enterprise",
            "credits_included": settings.plan_credits,
            "billing_interval": "monthly",
            "next_billing_date": "2026-04-01T00:00:00Z",
            "price": 499.0,
            "currency": "USD",
        },
        "credits": {
            "total": total,
            "used": used,
            "remaining": max(0, total - used),
            "plan_credits": settings.plan_credits,
            "rollover": _ROLLOVER_CREDITS,
            "topup": 0,
        },
        "people_company_searches": {
            "limit": 1000,
            "used": 230,
            "remaining": 770,
            "next_renewal_date": "2026-04-11T00:00:00Z",
        },
        "members": {"total": 8, "owners": 1, "admins": 2, "editors": 5},
    }


def grid_summary(grid: Grid, row_count: int) -> Body:
    """A grid in GET /grids (BitScale API v1, 5.2): runnable columns only, with dependencies."""
    return {
        "id": grid.id,
        "name": grid.name,
        "description": grid.description,
        "row_count": row_count,
        "column_count": len(grid.columns),
        "created_at": grid.created_at,
        "updated_at": grid.updated_at,
        "columns": [
            {**_column(column), "dependencies": list(column.dependencies)}
            for column in grid.outputs
        ],
    }


def grid_details(grid: Grid, row_count: int) -> Body:
    """GET /grids/:gridId (BitScale API v1, 5.3): all columns, without dependencies."""
    return {
        "id": grid.id,
        "name": grid.name,
        "description": grid.description,
        "row_count": row_count,
        "created_at": grid.created_at,
        "updated_at": grid.updated_at,
        "settings": _grid_settings(grid),
        "columns": [_column(column) for column in grid.columns],
        "sources": [_source(source) for source in grid.sources],
    }


def contract(grid: Grid, base_url: str, requested: Sequence[Column] | None) -> Body:
    """GET /grids/:gridId/curl (BitScale API v1, 5.4)."""
    labels = grid.labels if requested is None else grid.labels_for(requested)
    inputs = dict.fromkeys(labels, "value")
    run_url = f"{base_url}/grids/{grid.id}/run"
    body: Body = {"mode": "sync", "inputs": inputs}
    asked: Body = {}
    if requested is not None:
        body["output_columns"] = [column.id for column in requested]
        asked["output_columns"] = [_column(column) for column in requested]
    return {
        "grid_id": grid.id,
        "grid_name": grid.name,
        "run_url": run_url,
        "method": "POST",
        "headers": {"Content-Type": "application/json", "X-API-KEY": _KEY_PLACEHOLDER},
        "request_body": body,
        **asked,
        "curl": _curl(run_url, body),
    }


def run_started(run: Run, base_url: str) -> Body:
    """An async run that began, or a sync run that was handed over (BitScale API v1, 5.5).

    The mode is "async" for both, as the document has it.
    """
    return {
        "mode": Mode.ASYNC,
        "status": RunStatus.RUNNING,
        "request_id": run.request_id,
        "poll_url": f"{base_url}/run/status/{run.request_id}",
        "message": "Row is still running. Poll the poll_url for results.",
    }


def sync_result(run: Run, status: RunStatus) -> Body:
    """A sync run that ended in time (BitScale API v1, 5.5)."""
    return {"mode": Mode.SYNC, "status": status, **_outputs(run, status)}


def run_status(run: Run, status: RunStatus) -> Body:
    """GET /run/status/:requestId (BitScale API v1, 5.6): the mode is that of the start."""
    body: Body = {"mode": run.mode, "status": status, "grid_id": run.grid_id}
    return {**body, **_outputs(run, status)}


def _outputs(run: Run, status: RunStatus) -> Body:
    """Outputs are there only when the run is completed (BitScale API v1, 5.6)."""
    if status is not RunStatus.COMPLETED:
        return {}
    return {"outputs": outputs_for(run.grid, run.inputs, run.output_columns)}


def _column(column: Column) -> Body:
    return {"id": column.id, "name": column.name, "type": column.type}


def _grid_settings(grid: Grid) -> Body:
    settings: Body = {
        "auto_run": False,
        "auto_dedupe": grid.dedupe_column_id is not None,
        "visibility": "workspace",
    }
    if grid.dedupe_column_id is not None:
        settings["dedupe_column_id"] = grid.dedupe_column_id
    return settings


def _source(source: Source) -> Body:
    """`schedule` is null when there is none, as the example has it (the table leaves it out)."""
    scheduled = source.cron_schedule is not None
    return {
        "id": source.id,
        "display_name": source.display_name,
        "type": source.type,
        "is_scheduled": scheduled,
        "status": "active",
        "last_run_at": source.last_run_at,
        "next_run_at": source.next_run_at,
        "schedule": {"cron_schedule": source.cron_schedule, "next_run_at": source.next_run_at}
        if scheduled
        else None,
    }


def _curl(run_url: str, body: Body) -> str:
    """Two-space indent and sorted names, unlike `request_body` (BitScale API v1, 5.4)."""
    data = json.dumps(body, ensure_ascii=False, indent=2, sort_keys=True)
    return (
        f"curl -X POST '{run_url}' \\\n"
        f"  -H 'X-API-KEY: {_KEY_PLACEHOLDER}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{data}'"
    )
