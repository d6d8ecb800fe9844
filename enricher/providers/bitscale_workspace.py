"""BitScale for one who asks: the workspace, its grids, their contracts, one run, a new key.

Every method but the last gives the API's own object, the key blackened in it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from enricher.model import Json, OnSent
from enricher.providers.base import Ask, objects_in, text_in
from enricher.providers.bitscale_facts import outputs_of, resolve, safe
from enricher.providers.bitscale_line import Line, refusal
from enricher.providers.ids import SAFE_ID
from enricher.providers.keys import ApiKey, fit_for_a_header
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import Facts, JobStops, Malformed, MaybeSent, Reply, RunFailed, Verdict

MOST_GRIDS = 100
"""Grids that one page can hold (5.2)."""

ANSWER_LOST = "ANSWER_LOST"
"""The code of what may have been done, and whose result is not here: a rotation, a paid run."""

Meaning = Callable[[Answer, Json], Verdict]


class Workspace:
    """One workspace, reached with one key.

    Every method raises:
        ProviderRefused: the key, the grid or an output column is not valid, or the plan is not
            the right one.
        ServerGone: no usable answer came for too long.
    """

    def __init__(self, transport: Transport, key: ApiKey, ask: Ask) -> None:
        self._line = Line(transport, key)
        self._ask = ask

    async def details(self) -> Mapping[str, Any]:
        """`GET /workspace` (5.1)."""
        return await self._fetch("/workspace", "id")

    async def grids(self, search: str = "", page: int = 1, limit: int = 20) -> Mapping[str, Any]:
        """One page of `GET /grids` (5.2)."""
        params = {"page": str(page), "limit": str(limit)}
        return await self._fetch(
            "/grids", "grids", {"search": search, **params} if search else params
        )

    async def every_grid(self, search: str = "", limit: int = MOST_GRIDS) -> Mapping[str, Any]:
        """The grids of all pages: `{"grids": […], "total": n}`, each of them once.

        Grids may come and go between two pages, and a server may not know of pages: the end is a
        page that brings nothing new, or the last one that the answers name.
        """
        found: dict[str, Any] = {}
        page, pages = 0, 1
        while page < pages:
            page += 1
            answer = await self.grids(search, page, limit)
            fresh = [g for g in objects_in(answer.get("grids")) if text_in(g, "id") not in found]
            found |= {text_in(grid, "id"): grid for grid in fresh}
            told = answer.get("total_pages")
            pages = told if isinstance(told, int) and fresh else page
        return {"grids": list(found.values()), "total": len(found)}

    async def grid(self, grid_id: str) -> Mapping[str, Any]:
        """`GET /grids/:id` (5.3)."""
        return await self._fetch(f"/grids/{safe(grid_id, 'grid')}", "columns")

    async def contract(self, grid_id: str, outputs: Sequence[str] = ()) -> Mapping[str, Any]:
        """`GET /grids/:id/curl` (5.4).

        Args:
            outputs: names or ids; where there are any, the grid is asked for their ids first.
        """
        ids = resolve(outputs, outputs_of(await self.grid(grid_id))) if outputs else None
        params = {"output_columns": ",".join(ids)} if ids else None
        return await self._fetch(f"/grids/{safe(grid_id, 'grid')}/curl", "request_body", params)

    async def start_run(
        self,
        grid_id: str,
        inputs: Mapping[str, str],
        outputs: Sequence[str] = (),
        source: str = "",
    ) -> Mapping[str, Any]:
        """`POST /grids/:id/run` (5.5), asynchronous: one paid run.

        Sent again only where it was not taken: it did not leave, or was told to wait. Without a
        checkpoint nobody else will ever look for it, so a lost answer is told at once.

        Args:
            outputs: names or ids; where there are any, the grid is asked for their ids first.

        Raises:
            ProviderRefused: with the code `ANSWER_LOST` if the run may have been paid.
        """
        body: dict[str, Any] = {"mode": "async", "inputs": dict(inputs)}
        if outputs:
            body["output_columns"] = resolve(outputs, outputs_of(await self.grid(grid_id)))
        if source:
            body["source_id"] = source
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        path = f"/grids/{safe(grid_id, 'grid')}/run"
        return await self._ask(partial(self._once, path, _of_run, content))

    async def run_status(self, run_id: str) -> Mapping[str, Any]:
        """`GET /run/status/:id` (5.6). A run that failed is an answer too: `status` `failed`."""
        return await self._ask(partial(self._looked, f"/run/status/{safe(run_id, 'run')}"))

    async def rotated_key(self) -> str:
        """`POST /api-key/rotate` (5.7): the new key; the old one is void at once.

        Sent again only where it was not taken: it did not leave, or was told to wait.

        Raises:
            ProviderRefused: with the code `ANSWER_LOST` if the key may have been rotated.
        """
        answer = await self._ask(partial(self._once, "/api-key/rotate", _of_rotation, b""))
        key: str = answer["api_key"]
        return key

    async def _fetch(
        self, path: str, named: str, params: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        return await self._ask(partial(self._line.fetch, path, named, params=params))

    async def _looked(self, path: str, on_sent: OnSent) -> Reply:
        return _with_failure(await self._line.send("GET", path, _of_status, on_sent))

    async def _once(self, path: str, meaning: Meaning, content: bytes, on_sent: OnSent) -> Reply:
        """A request that does something: what may have been done is not asked for again."""
        reply = await self._line.send("POST", path, meaning, on_sent, content=content)
        match reply.verdict:
            case MaybeSent(reason) | Malformed(reason):
                return replace(reply, verdict=JobStops(ANSWER_LOST, reason))
        return _with_failure(reply)


def _with_failure(reply: Reply) -> Reply:
    """A run that failed, in the shape of the other statuses, with the API's own words."""
    match reply.verdict:
        case RunFailed(code, message):
            error = {"code": code, "message": message}
            told = {"mode": "async", "status": "failed", "error": error}
            return replace(reply, verdict=Facts(told))
    return reply


def _of_run(answer: Answer, body: Json) -> Verdict:
    """A run is known by its id, or has ended already."""
    verdict = _of_status(answer, body)
    if isinstance(verdict, Facts) and verdict.data["status"] not in ("completed", "failed"):
        run_id = text_in(verdict.data, "request_id")
        return verdict if SAFE_ID.fullmatch(run_id) else Malformed("no usable request_id")
    return verdict


def _of_status(answer: Answer, body: Json) -> Verdict:
    if answer.status >= 400:
        return refusal(answer, body)
    if not isinstance(body, dict) or not text_in(body, "status"):
        return body if isinstance(body, Malformed) else Malformed("the answer has no status")
    return Facts(body)


def _of_rotation(answer: Answer, body: Json) -> Verdict:
    if answer.status >= 400:
        return refusal(answer, body)
    # The body as it came: a new key may hold the old one, which is blackened in `body`.
    whole = answer.json()
    key = whole.get("api_key") if isinstance(whole, dict) else None
    if not isinstance(key, str) or not fit_for_a_header(key):
        return Malformed("the answer holds no usable key")
    return Facts({"api_key": key})
