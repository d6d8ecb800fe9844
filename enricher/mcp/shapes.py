"""What the tools give back, with words for every field. Objects of the API may have more."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


def _about(text: str) -> Any:
    return Field(default=None, description=text)


class Shape(BaseModel):
    """An object whose fields may be missing, and which may have others."""

    model_config = ConfigDict(extra="allow")


Obj = dict[str, Any] | None
Text = str | None
Number = float | None
Objects = list[dict[str, Any]] | None


class WorkspaceShape(Shape):
    """GET /workspace."""

    id: Annotated[Text, _about("Identifier of the workspace.")]
    name: Annotated[Text, _about("Its display name.")]
    created_at: Annotated[Text, _about("When it was made, ISO 8601.")]
    created_by: Annotated[Obj, _about("Who made it: id, name, email.")]
    plan: Annotated[Obj, _about("name, credits_included, billing_interval, next_billing_date …")]
    credits: Annotated[
        Obj, _about("total, used in this billing period, remaining, plan_credits, rollover, topup.")
    ]
    people_company_searches: Annotated[Obj, _about("limit, used and remaining of this month.")]
    members: Annotated[Obj, _about("How many members there are, by role.")]


class GridsShape(Shape):
    """GET /grids."""

    grids: Annotated[
        Objects,
        _about(
            "Each with id (the grid_id of the other tools), name, description, row_count, and the"
            " columns that run: id (an output column), name, type, dependencies."
        ),
    ]
    total: Annotated[Number, _about("Grids that match, on all pages.")]
    page: Annotated[Number, _about("This page, from 1.")]
    limit: Annotated[Number, _about("Grids a page.")]
    total_pages: Annotated[Number, _about("How many pages there are.")]


class GridShape(Shape):
    """GET /grids/:id."""

    id: Annotated[Text, _about("The grid_id.")]
    name: Annotated[Text, _about("Its display name.")]
    description: Annotated[Text, _about("What it is for; may be empty.")]
    row_count: Annotated[Number, _about("Rows that it has now; every run adds one.")]
    created_at: Annotated[Text, _about("When it was made, ISO 8601.")]
    updated_at: Annotated[Text, _about("When it was changed last, ISO 8601.")]
    settings: Annotated[Obj, _about("auto_run, auto_dedupe, visibility, dedupe_column_id.")]
    columns: Annotated[
        Objects,
        _about(
            "All columns: id, name, type. Ids of those that run are output columns; text"
            " columns are fed by inputs, which go by label: see get_grid_curl."
        ),
    ]
    sources: Annotated[Objects, _about("Data sources: id (a source_id), display_name, status …")]


class CurlShape(Shape):
    """GET /grids/:id/curl."""

    grid_id: Annotated[Text, _about("The grid that was asked for.")]
    grid_name: Annotated[Text, _about("Its display name.")]
    run_url: Annotated[Text, _about("Where a run is posted; run_grid does that.")]
    method: Annotated[Text, _about("POST.")]
    headers: Annotated[Obj, _about("Headers, with a placeholder where the key belongs.")]
    request_body: Annotated[
        Obj, _about("mode, inputs and output_columns of a run. The names in inputs are the labels.")
    ]
    output_columns: Annotated[Objects, _about("The outputs of such a run: id, name, type.")]
    curl: Annotated[Text, _about("The same as a command, with a placeholder for the key.")]


class RunShape(Shape):
    """A run, as POST /grids/:id/run and GET /run/status/:id tell of it."""

    mode: Annotated[Text, _about("How it was asked for; tells nothing else.")]
    status: Annotated[Text, _about("running, completed or failed.")]
    request_id: Annotated[Text, _about("With running: what get_run_status takes.")]
    poll_url: Annotated[Text, _about("With running: the same as an address.")]
    message: Annotated[Text, _about("The API's remark.")]
    grid_id: Annotated[Text, _about("The grid that was run.")]
    outputs: Annotated[
        Obj, _about("With completed: {column id: {value, name}}; name is the column's label.")
    ]
    error: Annotated[
        Obj, _about("With failed: the API's code (RUN_FAILED …) and message. Never sent again.")
    ]


class RotatedShape(Shape):
    """A new key, which is not told."""

    stored_in: Annotated[Text, _about("The file that holds the new key, mode 0600.")]
    message: Annotated[Text, _about("What that means for others who use the key.")]


class PlanShape(Shape):
    """What start_batch with the same parameters would do."""

    rows: Annotated[Obj, _about("total, new (to be bought for), reused (known already), skipped.")]
    new_runs: Annotated[
        Number, _about("Paid runs that would be submitted; rows with equal inputs share one.")
    ]
    requests: Annotated[Number, _about("About how many requests that takes.")]
    seconds: Annotated[Number, _about("About how many seconds, at the workspace's rate limit.")]
    credits: Annotated[
        Obj, _about("before: what remains; estimate: credits needed, null if the cost is unknown.")
    ]
    mapping: Annotated[Obj, _about("What feeds each label: a column, a template or a value.")]
    samples: Annotated[Obj, _about("For each label the text of the first rows to be sent.")]
    remarks: Annotated[list[str] | None, _about("What a person should know before paying.")]
    output: Annotated[Text, _about("Where the enriched file would be written.")]
    checkpoint: Annotated[Text, _about("Where what was paid would be kept.")]
    token: Annotated[
        Text, _about("For start_batch with the same parameters; of this server process only.")
    ]


class BatchShape(Shape):
    """Where a batch stands."""

    batch_id: Annotated[Text, _about("What the other batch tools take; outlives this server.")]
    outcome: Annotated[
        Text,
        _about(
            "running; finished; finished_with_failures; stopped (by a cap or a cancel: start_batch"
            " with the same parameters goes on); interrupted (its process is gone: likewise)."
        ),
    ]
    reason_code: Annotated[Text, _about("Why it stopped: max_runs, max_credits, signal …")]
    reason: Annotated[Text, _about("The same for a person.")]
    rows: Annotated[
        Obj, _about("Rows now: total, completed, failed, skipped, pending, in_doubt, reused …")
    ]
    runs: Annotated[Obj, _about("Paid runs of this start: submitted, in_flight …")]
    requests: Annotated[Obj, _about("Requests of this start, by kind.")]
    credits: Annotated[Obj, _about("The workspace's remaining credits, before and after.")]
    seconds: Annotated[Number, _about("Seconds since its start.")]
    eta_seconds: Annotated[Number, _about("About how many seconds are left; null if not running.")]
    output: Annotated[Text, _about("The enriched file, written when the batch has finished.")]
    checkpoint: Annotated[Text, _about("The file that holds what was paid. Do not delete it.")]
    notes: Annotated[list[str] | None, _about("The latest remarks of its process.")]


class RowsShape(Shape):
    """Rows of a batch, a page at a time."""

    batch_id: Annotated[Text, _about("The batch.")]
    outcome: Annotated[Text, _about("Where it stands, as in batch_status.")]
    path: Annotated[Text, _about("With batch_result: the file that holds all rows.")]
    matching: Annotated[Number, _about("How many rows there are of this kind in all.")]
    rows: Annotated[
        Objects,
        _about(
            "row (from 1), status, error (CODE: message), inputs by label, outputs by column name."
        ),
    ]
