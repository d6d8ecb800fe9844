"""The tools of one who asks: the workspace, its grids, one run at a time, and the key.

Names, parameters and results are those of the published BitScale server.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field

from enricher.api.keys import rotate_key_there
from enricher.errors import KeyProblem, ProviderRefused, ServerGone
from enricher.mcp.desk import Desk
from enricher.mcp.shapes import (
    CurlShape,
    GridShape,
    GridsShape,
    RotatedShape,
    RunShape,
    WorkspaceShape,
)
from enricher.mcp.telling import told

SYNC_WAIT = 120.0
"""Seconds for which run_grid waits for a run in mode sync."""

_LOOKS = (1.0, 2.0, 3.0, 5.0)
"""Seconds before each look at a run; the last one again and again."""

FREE = ToolAnnotations(read_only_hint=True, open_world_hint=True)
SPENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
)
SPENDS_CREDITS = {"spends_credits": True}
"""`_meta` of a tool that may cost money."""

GridId = Annotated[
    str, Field(min_length=1, description="Id of the grid, from list_grids or its address.")
]
Inputs = Annotated[
    dict[str, str],
    Field(
        min_length=1,
        description="The input LABELS of the grid with their values, as get_grid_curl names them"
        ' under request_body.inputs: {"company_name": "Acme", "website": "acme.com"}. Labels, not'
        " column ids. A label that the grid does not have is refused before anything is paid.",
    ),
]
OutputColumns = Annotated[
    list[str] | None,
    Field(
        description="Return only these output columns, by column ID (or exact name) from"
        " get_grid_details; all of them if left out. Fewer outputs are not known to cost less."
    ),
]
SourceId = Annotated[
    str | None,
    Field(description="Id of one of the grid's BitScale API sources; the first if left out."),
]
MaxCredits = Annotated[
    float | None,
    Field(
        gt=0,
        description="Refuse if the workspace may use more than this many credits from this server's"
        " first run on, this run included at the highest cost seen. Whoever used them counts.",
    ),
]


class WorkspaceTools:
    """These tools."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add_to(self, server: MCPServer[Any]) -> None:
        """Add them to the server."""
        server.add_tool(self.get_workspace_details, annotations=FREE)
        server.add_tool(self.list_grids, annotations=FREE)
        server.add_tool(self.get_grid_details, annotations=FREE)
        server.add_tool(self.get_grid_curl, annotations=FREE)
        server.add_tool(self.run_grid, annotations=SPENDS, meta=SPENDS_CREDITS)
        server.add_tool(self.get_run_status, annotations=FREE)
        server.add_tool(
            self.rotate_api_key,
            annotations=ToolAnnotations(
                read_only_hint=False,
                destructive_hint=True,
                idempotent_hint=False,
                open_world_hint=True,
            ),
        )

    @told(WorkspaceShape)
    async def get_workspace_details(self) -> Mapping[str, Any]:
        """The workspace of the API key: plan, credits used and remaining, searches, members. Free.

        Use it to see what is left before a batch, or to check that the key works.
        """
        return await self._desk.session.workspace().details()

    @told(GridsShape)
    async def list_grids(
        self,
        search: Annotated[str, Field(description="Only grids with this text in their name.")] = "",
        page: Annotated[int, Field(ge=1, description="Which page, from 1.")] = 1,
        limit: Annotated[int, Field(ge=1, le=100, description="Grids a page, at most 100.")] = 20,
    ) -> Mapping[str, Any]:
        """The grids of the workspace with their ids and the columns that run. Free.

        Start here where the grid's id is not known; then get_grid_curl tells what a run takes.
        """
        return await self._desk.session.workspace().grids(search, page, limit)

    @told(GridShape)
    async def get_grid_details(self, grid_id: GridId) -> Mapping[str, Any]:
        """A grid: its settings, all columns with their ids, its sources. Free.

        The column ids are for `output_columns`. For the labels of `inputs` use get_grid_curl.
        """
        return await self._desk.session.workspace().grid(grid_id)

    @told(CurlShape)
    async def get_grid_curl(
        self,
        grid_id: GridId,
        output_columns: Annotated[
            str,
            Field(
                description="Column ids (or names), separated by commas: tell only the inputs that"
                " these outputs need. Empty for all."
            ),
        ] = "",
    ) -> Mapping[str, Any]:
        """What a run of a grid takes and gives: input labels, output columns, a curl command. Free.

        Call it before run_grid and plan_batch: its request_body.inputs has the exact labels.
        """
        names = [name for name in (part.strip() for part in output_columns.split(",")) if name]
        return await self._desk.session.workspace().contract(grid_id, names)

    @told(RunShape)
    async def run_grid(
        self,
        grid_id: GridId,
        inputs: Inputs,
        ctx: Context[Any, Any],
        mode: Annotated[
            Literal["sync", "async"],
            Field(
                description="sync: wait up to 120 seconds for the outputs. async: return a"
                " request_id at once, for get_run_status."
            ),
        ] = "sync",
        output_columns: OutputColumns = None,
        source_id: SourceId = None,
        max_credits: MaxCredits = None,
    ) -> Mapping[str, Any]:
        """Run a grid ONCE for one set of inputs. COSTS CREDITS, and adds a row to the grid.

        For one or a few records. For a file, or more than about ten records, use plan_batch and
        start_batch: they share equal rows, resume, and never pay twice.

        A result of status running is no failure: call get_run_status with its request_id. An error
        with the code in_doubt means that the run may have been paid: do not repeat it by yourself.
        An error of any other code means that nothing was submitted.
        """
        if max_credits is not None:
            used = (await self._desk.session.workspace().details()).get("credits", {}).get("used")
            self._desk.purse.check(used if isinstance(used, int | float) else None, max_credits)
        started = await self._desk.session.start_run(
            grid_id, inputs, output_columns or (), source_id or ""
        )
        if mode == "async" or started["status"] in ("completed", "failed"):
            return {**started, "mode": mode}
        return await _awaited(self._desk, ctx, started)

    @told(RunShape)
    async def get_run_status(
        self,
        request_id: Annotated[
            str, Field(min_length=1, description="The request_id that run_grid returned.")
        ],
    ) -> Mapping[str, Any]:
        """How a run of run_grid stands: running, completed with outputs, or failed. Free.

        Ask every 2 to 5 seconds until it is completed or failed. A failed run says why, with the
        API's code; it is not run again by asking.
        """
        return await self._desk.session.workspace().run_status(request_id)

    @told(RotatedShape)
    async def rotate_api_key(self) -> Mapping[str, Any]:
        """Have a new API key made. The old one is void AT ONCE, for everybody. Irreversible. Free.

        Only where a person asked for it. The new key goes into the key file that this server was
        started with, and is never shown; running batches read it from there. Without such a file
        nothing is done.
        """
        path = await rotate_key_there(self._desk.session)
        return {
            "stored_in": str(path),
            "message": "The old key is void. Whoever used it elsewhere needs the new one from this"
            " file; this server and its batches read it there.",
        }


async def _awaited(
    desk: Desk, ctx: Context[Any, Any], started: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Wait for a run whose id is known: whatever happens now, nothing of it is lost."""
    request_id = started["request_id"]
    loop = asyncio.get_running_loop()
    began, looks = loop.time(), 0
    await ctx.report_progress(0, SYNC_WAIT, f"accepted, request_id {request_id}")
    while (waited := loop.time() - began) < SYNC_WAIT:
        await asyncio.sleep(_LOOKS[min(looks, len(_LOOKS) - 1)])
        looks += 1
        try:
            status = await desk.session.workspace().run_status(request_id)
        except (KeyProblem, ProviderRefused, ServerGone):
            break  # an error would say that nothing was submitted
        if status["status"] in ("completed", "failed"):
            return {**status, "mode": "sync"}
        await ctx.report_progress(min(waited, SYNC_WAIT), SYNC_WAIT, f"running, {request_id}")
    return started
