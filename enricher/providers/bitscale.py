"""BitScale External API v1: asynchronous runs of a grid.

What each answer means follows the API's own document, silences and contradictions included:
errors are told by their `code` where it is known and by the HTTP status where it is not.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from enricher.model import Credits, Inputs, Json, OnSent, unheard
from enricher.providers.base import (
    Ask,
    Briefing,
    Hold,
    message_of,
    parsed_error,
    text_in,
)
from enricher.providers.bitscale_facts import (
    check_source,
    credits_of,
    labels_of,
    outputs_of,
    remarks_of,
    resolve,
    revision_of,
    rows_of,
    safe,
)
from enricher.providers.bitscale_line import Line, refusal
from enricher.providers.ids import SAFE_ID
from enricher.providers.keyed import DEADLINE
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import (
    Accepted,
    Alive,
    Done,
    Facts,
    Malformed,
    Reply,
    RowRejected,
    RunFailed,
    StillRunning,
    Verdict,
)

NAME = "bitscale"
BASE_URL = "https://api.bitscale.ai/api/v1"
KEY_VARIABLE = "BITSCALE_API_KEY"
BASE_URL_VARIABLE = "BITSCALE_BASE_URL"

HOLD, HOLD_DEADLINE = 120.0, 135.0
"""Seconds for which a sync submission is held (section 6), and after which it counts as lost."""

_MOST_OUTPUTS = 1000
"""Outputs of one run; beyond, it is no answer of a grid, and each would be a column."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to run: a grid, its source (empty: the first available), and outputs by name or id."""

    grid: str
    source: str = ""
    output_columns: tuple[str, ...] = ()


class BitScale:
    """The provider `bitscale`."""

    name = NAME
    holds = Hold.SUBMIT
    hold = HOLD

    def __init__(self, transport: Transport, key: ApiKey, target: Target) -> None:
        self._transport = transport
        self._line = Line(transport, key)
        self._target = target
        self._asked: tuple[str, ...] | None = None

    async def aclose(self) -> None:
        await self._transport.aclose()

    # --- before money ------------------------------------------------------------------------

    async def brief(self, ask: Ask) -> Briefing:
        """Free requests: `/workspace`, `/grids/:id` and `/grids/:id/curl` (5.1, 5.3, 5.4).

        Fewer outputs may need fewer inputs. All that the file can feed are sent all the same: the
        content stays the same, and with it the key under which a result is found.
        """
        grid_path = f"/grids/{safe(self._target.grid, 'grid')}"
        workspace = await ask(partial(self._line.fetch, "/workspace", "id"))
        grid = await ask(partial(self._line.fetch, grid_path, "columns"))
        announced = outputs_of(grid)
        self._asked = resolve(self._target.output_columns, announced)
        fetch_contract = partial(self._line.fetch, f"{grid_path}/curl", "request_body")
        labels = labels_of(await ask(fetch_contract))
        needed = labels
        if self._asked:
            params = {"output_columns": ",".join(self._asked)}
            needed = labels_of(await ask(partial(fetch_contract, params=params)))
        check_source(self._target.source, grid)
        return Briefing(
            account=text_in(workspace, "id"),
            labels=labels or needed,
            optional=frozenset(labels) - frozenset(needed),
            outputs=tuple(o for o in announced if self._asked is None or o.id in self._asked),
            asked=self._asked,
            title=text_in(grid, "name"),
            credits=credits_of(workspace),
            remarks=remarks_of(grid),
            rows=rows_of(grid),
            revision=revision_of(grid),
        )

    async def balance(self, ask: Ask) -> Credits | None:
        return credits_of(await ask(partial(self._line.fetch, "/workspace", "id")))

    async def rows(self, ask: Ask) -> int | None:
        return rows_of(
            await ask(partial(self._line.fetch, f"/grids/{self._target.grid}", "columns"))
        )

    async def probe(self, on_sent: OnSent = unheard) -> Reply:
        """`GET /workspace` (5.1): the cheapest request that needs the key."""
        reply = await self._line.fetch("/workspace", "id", on_sent)
        match reply.verdict:
            case Facts(data):
                return replace(reply, verdict=Alive(credits_of(data)))
        return reply

    # --- runs --------------------------------------------------------------------------------

    async def submit(
        self, inputs: Inputs, on_sent: OnSent = unheard, *, hold: bool = False
    ) -> Reply:
        """`POST /grids/:id/run` (5.5). `mode` is always sent: left out it means sync."""
        body: dict[str, Any] = {"mode": "sync" if hold else "async", "inputs": dict(inputs)}
        if self._asked is not None:
            body["output_columns"] = list(self._asked)
        if self._target.source:
            body["source_id"] = self._target.source
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        path, deadline = f"/grids/{self._target.grid}/run", HOLD_DEADLINE if hold else DEADLINE
        return await self._line.send(
            "POST", path, _of_submission, on_sent, content=content, deadline=deadline
        )

    async def look(self, run_id: str, on_sent: OnSent = unheard, *, stage: str = "") -> Reply:
        """`GET /run/status/:id` (5.6). Built from our own base: a `poll_url` is never followed."""
        if not SAFE_ID.fullmatch(run_id):  # from a checkpoint that somebody else wrote
            return Reply(
                RowRejected("REQUEST_NOT_FOUND", "what is stored is not the form of an id")
            )
        return await self._line.send("GET", f"/run/status/{run_id}", _of_look, on_sent)


# --- what an answer means: pure functions ---------------------------------------------------


def _of_submission(answer: Answer, body: Json) -> Verdict:
    if answer.status >= 400:
        code, message = parsed_error(body)
        return RowRejected(
            code or f"HTTP_{answer.status}",
            message or "the server refused these inputs",
            suspicious=code != "INVALID_INPUTS",
        )
    verdict = _of_run(body)
    run_id = body.get("request_id") if isinstance(body, dict) else None
    if not isinstance(verdict, StillRunning):
        return verdict
    if isinstance(run_id, str) and SAFE_ID.fullmatch(run_id):
        return Accepted(run_id)
    return Malformed("the answer has no usable request_id")


def _of_look(answer: Answer, body: Json) -> Verdict:
    code, message = parsed_error(body)
    if answer.status == 404 and code in ("REQUEST_NOT_FOUND", ""):
        return RowRejected("REQUEST_NOT_FOUND", message or "no run under this id")
    return refusal(answer, body) if answer.status >= 400 else _of_run(body)


def _of_run(body: Json) -> Verdict:
    """A 200 of 5.5 or 5.6; `mode` says nothing reliable and is not read."""
    if isinstance(body, Malformed):
        return body
    status = body.get("status") if isinstance(body, dict) else None
    if not isinstance(status, str):
        return Malformed("the answer has no status")
    if status == "completed":
        return _done(body.get("outputs"))
    if status == "failed":
        code, message = parsed_error(body)
        return RunFailed(code or "RUN_FAILED", message or message_of(body))
    return StillRunning("" if status == "running" else f"unknown status {status[:40]!r}")


def _done(outputs: Json) -> Verdict:
    if not isinstance(outputs, dict):
        return Malformed("completed, but without outputs")
    if len(outputs) > _MOST_OUTPUTS:
        return Malformed(f"completed, with {len(outputs)} outputs")
    values: dict[str, Json] = {}
    names: dict[str, str] = {}
    for id_, output in outputs.items():
        if not isinstance(output, dict) or "value" not in output:
            return Malformed(f"output {id_[:40]!r} has no value")
        values[id_] = output["value"]
        names[id_] = text_in(output, "name") or id_
    return Done(values, names)
