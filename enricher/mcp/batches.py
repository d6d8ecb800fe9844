"""The tools of one who has a list: plan, start, watch, cancel, and fetch."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from enricher import api
from enricher.api import JobOutcome, RowStatus, RowTold, Summary
from enricher.errors import CheckpointError, TryLater, UsageError
from enricher.library.job import Job
from enricher.mcp import processes
from enricher.mcp.desk import FREE_RUNS, Desk
from enricher.mcp.shapes import BatchShape, PlanShape, RowsShape
from enricher.mcp.telling import told
from enricher.mcp.workspace import FREE, SPENDS, SPENDS_CREDITS

LOCAL = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

_LOOK = 1.0
"""Seconds between two looks at a checkpoint; its process saves its counts as often."""

LONGEST_WAIT = 55
"""Seconds of a long poll: most clients give a call a minute."""


class Order(BaseModel):
    """What a batch is made of; the same for plan_batch and start_batch."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(
        description="The data file with a header: .csv, .tsv, .ndjson, .jsonl (.gz, .zst) or"
        " .parquet, below the server's directories. It is never changed."
    )
    grid_id: str = Field(min_length=1, description="Id of the grid to run for each row.")
    inputs: dict[str, str | dict[str, str]] | None = Field(
        default=None,
        description='What feeds each input LABEL: a column\'s name, or {"template":'
        ' "https://{Domain}"}, or {"value": "US"}. Labels left out are matched to columns of the'
        " same name; without a match it is an error that lists both.",
    )
    output: str | None = Field(
        default=None,
        description="The enriched file; its format by its extension. Default: beside the input,"
        " leads.csv gives leads.enriched.csv.",
    )
    checkpoint: str | None = Field(
        default=None,
        description="The file that keeps what was paid. Give the same one for the same list, or it"
        " is bought again. Default: <output>.checkpoint.db.",
    )
    output_columns: list[str] | None = Field(
        default=None, description="Only these outputs, by column id or exact name; all if left out."
    )
    source_id: str | None = Field(
        default=None, description="A BitScale API source of the grid; the first if left out."
    )
    where: str | None = Field(
        default=None,
        description="Only rows for which this SQL condition over the input's columns is true:"
        " CAST(n AS INT) > 50, \"Company Size\" = '11-50'. Cells of CSV are text.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Only the first so many of those rows. Try 5 first."
    )
    retry_failed: bool = Field(
        default=False, description="Pay again for what failed earlier, at most 3 times a row."
    )
    in_doubt: Literal["hold", "retry", "fail"] = Field(
        default="hold",
        description="Submissions whose answer was lost, which may be paid: leave them (hold), send"
        " them again (retry, may pay twice), or close them as failed (fail). Ask a person.",
    )
    max_runs: int | None = Field(
        default=None, ge=1, description="Submit at most so many paid runs in this start; exact."
    )
    max_credits: float | None = Field(
        default=None,
        gt=0,
        description="Stop before this batch has used more than so many credits of the workspace.",
    )

    def job(self, desk: Desk) -> Job:
        """The job, all its files below the roots.

        Raises:
            EnricherError: an option is wrong, or a file is outside.
        """
        return Job.from_options(desk.roots.file(self.input), **self._options(desk))

    def _options(self, desk: Desk) -> Any:
        given = self.model_dump(exclude={"input", "grid_id", "output", "checkpoint"})
        given |= {"grid": self.grid_id, **desk.options}
        for name in ("output", "checkpoint"):
            text = getattr(self, name)
            given |= {name: desk.roots.path(text)} if text is not None else {}
        job = Job.from_options(desk.roots.file(self.input), **given)
        for path in (job.output, job.checkpoint):  # the default ones may be links
            desk.roots.path(str(path))
        return {**given, "output": job.output, "checkpoint": job.checkpoint}

    def process_options(self, desk: Desk) -> dict[str, Any]:
        """The same as options for the process of the batch."""
        options = self._options(desk)
        return {name: value for name, value in options.items() if value is not None}


BatchOrder = Annotated[Order, Field(description="What to run, over what, and how far.")]
BatchId = Annotated[str, Field(min_length=1, description="The batch_id that start_batch returned.")]
Limit = Annotated[int, Field(ge=1, le=500, description="At most so many rows, 500 at most.")]
Offset = Annotated[int, Field(ge=0, description="Pass over so many of them first.")]
Wait = Annotated[
    int,
    Field(
        ge=0,
        le=LONGEST_WAIT,
        description="Wait up to so many seconds for its end, with progress notifications.",
    ),
]


class BatchTools:
    """These tools."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, server: MCPServer[Any]) -> None:
        """Add them to the server."""
        server.add_tool(self.plan_batch, annotations=FREE)
        server.add_tool(self.start_batch, annotations=SPENDS, meta=SPENDS_CREDITS)
        server.add_tool(self.batch_status, annotations=LOCAL)
        server.add_tool(self.batch_failures, annotations=LOCAL)
        server.add_tool(self.cancel_batch, annotations=WRITES)
        server.add_tool(self.batch_result, annotations=WRITES)

    @told(PlanShape)
    async def plan_batch(self, batch: BatchOrder) -> Mapping[str, Any]:
        """What start_batch with the same parameters would do and about cost. Free, submits nothing.

        Call it first: it finds every mistake in the file and the mapping, shows samples of what
        would be sent, and returns the token that start_batch needs above 100 new runs. Show the
        figures to the person who pays.
        """
        job = batch.job(self._desk)
        plan = await self._desk.session.plan(job, lambda _: None)
        new_runs = _new_runs(plan, job)
        return {
            **plan.to_json(),
            "new_runs": new_runs,
            "samples": {label: list(texts) for label, texts in plan.samples.items()},
            "remarks": list(plan.remarks),
            "output": str(job.output),
            "checkpoint": str(job.checkpoint),
            "token": self._desk.tokens.of(job, new_runs),
        }

    @told(BatchShape)
    async def start_batch(
        self,
        batch: BatchOrder,
        token: Annotated[
            str | None,
            Field(description=f"From plan_batch; needed above {FREE_RUNS} new runs."),
        ] = None,
    ) -> Mapping[str, Any]:
        """Run a grid for every row of a file. COSTS CREDITS for each new run. Returns at once.

        The batch works on in a process of its own, whatever becomes of this server, and keeps
        everything that was paid in its checkpoint. Rows with equal inputs share one run, and what
        the checkpoint holds is not paid again: call it with the same parameters to go on after a
        stop. Set max_credits or max_runs, or `limit` for a try. Then call batch_status.
        """
        job = batch.job(self._desk)
        await asyncio.to_thread(_check_idle, job.checkpoint)
        plan = await self._desk.session.plan(job, lambda _: None)
        self._desk.tokens.check(token, job, _new_runs(plan, job))
        begun = await processes.start(
            str(job.source), batch.process_options(self._desk), job.checkpoint
        )
        batch_id = f"{job.checkpoint}#{job.id}"
        if begun:
            return await _status(batch_id, job.checkpoint, job.id)
        return {
            "batch_id": batch_id,
            "outcome": "running",
            "reason": "It still counts its rows.",
            "output": str(job.output),
            "checkpoint": str(job.checkpoint),
            "notes": [],
        }

    @told(BatchShape)
    async def batch_status(
        self, batch_id: BatchId, ctx: Context[Any, Any], wait_seconds: Wait = 0
    ) -> Mapping[str, Any]:
        """Where a batch stands. Free, and asks the API nothing.

        With wait_seconds it returns when the batch has ended, or after that time; call it again
        while `outcome` is running. It works after a restart of the server too.
        """
        checkpoint, job_id = self._desk.checkpoint_of(batch_id)
        return await _waited(batch_id, checkpoint, job_id, wait_seconds, ctx)

    @told(RowsShape)
    async def batch_failures(
        self, batch_id: BatchId, limit: Limit = 50, offset: Offset = 0
    ) -> Mapping[str, Any]:
        """The rows of a batch that failed or are in doubt, with the API's code and message. Free.

        failed: the run ended without outputs; start_batch with retry_failed pays for it again.
        in_doubt: it may have been paid and its answer was lost; a person decides.
        """
        checkpoint, job_id = self._desk.checkpoint_of(batch_id)
        statuses = (RowStatus.FAILED, RowStatus.IN_DOUBT)
        return await _rows(batch_id, checkpoint, job_id, statuses, limit, offset)

    @told(BatchShape)
    async def cancel_batch(
        self, batch_id: BatchId, ctx: Context[Any, Any], wait_seconds: Wait = 30
    ) -> Mapping[str, Any]:
        """Stop a batch: nothing more is submitted, everything paid is kept. Free.

        start_batch with the same parameters goes on later. A batch that does not run is left as it
        is; one that was started elsewhere goes on, and is stopped where it was started.
        """
        checkpoint, job_id = self._desk.checkpoint_of(batch_id)
        status = await _status(batch_id, checkpoint, job_id)
        if status["outcome"] != JobOutcome.RUNNING:
            return status
        processes.ask_to_stop(checkpoint)
        status = await _waited(batch_id, checkpoint, job_id, wait_seconds, ctx)
        if status["outcome"] != JobOutcome.RUNNING:
            processes.stop_file_of(checkpoint).unlink(missing_ok=True)
        return status

    @told(RowsShape)
    async def batch_result(
        self,
        batch_id: BatchId,
        output: Annotated[
            str | None,
            Field(description="Write all rows to this file, its format by its extension, too."),
        ] = None,
        limit: Limit = 20,
        offset: Offset = 0,
    ) -> Mapping[str, Any]:
        """Completed rows of a batch with their outputs, and the file that holds all rows. Free.

        While it runs, and after a stop, `path` is null unless you name an `output`: then what there
        is so far is written there.
        """
        checkpoint, job_id = self._desk.checkpoint_of(batch_id)
        path = None if output is None else self._desk.roots.path(output)
        if path is not None:
            await asyncio.to_thread(api.export, checkpoint, path, job_id=job_id)
        rows = await _rows(batch_id, checkpoint, job_id, (RowStatus.COMPLETED,), limit, offset)
        finished = rows["outcome"].startswith(JobOutcome.FINISHED)
        written = str(path) if path else rows["output"] if finished else None
        return {**{k: v for k, v in rows.items() if k != "output"}, "path": written}


def _check_idle(checkpoint: Path) -> None:
    """Raise `TryLater` if a batch is at work already; its own lock has the last word."""
    if not checkpoint.exists():
        return
    if any(summary.outcome is JobOutcome.RUNNING for summary in api.statuses(checkpoint)):
        raise TryLater(
            f"{checkpoint} is in use by another batch, or another process of enricher.",
            mend="Wait for its end with batch_status, or stop it with cancel_batch.",
            code="checkpoint_in_use",
        )


def _new_runs(plan: api.Plan, job: api.Job) -> int:
    return min(plan.census.new_runs, job.max_runs or plan.census.new_runs)


async def _waited(
    batch_id: str, checkpoint: Path, job_id: str, seconds: int, ctx: Context[Any, Any]
) -> Mapping[str, Any]:
    """The status once it has ended, or after so many seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    done = -1
    while True:
        status = await _status(batch_id, checkpoint, job_id)
        left = until - loop.time()
        if status["outcome"] != JobOutcome.RUNNING or left <= 0:
            return status
        rows = status["rows"]
        if rows["total"] - rows["pending"] > done:  # it only rises, as the protocol asks
            done = rows["total"] - rows["pending"]
            await ctx.report_progress(done, rows["total"], f"{done} of {rows['total']} rows")
        await asyncio.sleep(min(_LOOK, left))


async def _status(batch_id: str, checkpoint: Path, job_id: str) -> Mapping[str, Any]:
    try:
        status = await asyncio.to_thread(api.status, checkpoint, job_id=job_id)
    except CheckpointError as error:
        raise processes.last_error(checkpoint) or error from None
    return {
        **_facts(status.summary),
        "batch_id": batch_id,
        "notes": [*processes.notes_of(checkpoint)],
    }


def _facts(summary: Summary) -> dict[str, Any]:
    known = ("outcome", "reason_code", "reason", "rows", "runs", "requests", "credits", "seconds")
    data = summary.to_json()
    return {name: data[name] for name in (*known, "eta_seconds", "output", "checkpoint")}


async def _rows(
    batch_id: str,
    checkpoint: Path,
    job_id: str,
    statuses: tuple[RowStatus, ...],
    limit: int,
    offset: int,
) -> dict[str, Any]:
    if offset > 10**9:
        raise UsageError("There are no so many rows.", mend="Give a smaller offset.")
    status = await _status(batch_id, checkpoint, job_id)
    page = await asyncio.to_thread(
        api.rows_told, checkpoint, job_id, statuses, offset=offset, limit=limit
    )
    return {
        "batch_id": batch_id,
        "outcome": str(status["outcome"]),
        "output": status["output"],
        "matching": page.matching,
        "rows": [_row(row) for row in page.rows],
    }


def _row(row: RowTold) -> dict[str, Any]:
    return {
        "row": row.number,
        "status": str(row.status),
        "error": row.error,
        "inputs": dict(row.inputs),
        "outputs": dict(row.outputs),
    }
