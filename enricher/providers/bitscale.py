"""BitScale External API v1: asynchronous runs of a grid.

What each answer means follows the API's own document, silences and contradictions included:
errors are told by their `code` where it is known and by the HTTP status where it is not.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from enricher.model import Credits, Inputs, Json, OnSent, unheard
from enricher.providers.base import (
    Ask,
    Briefing,
    message_of,
    parsed_error,
    text_in,
)
from enricher.providers.bitscale_facts import (
    SAFE_ID,
    check_source,
    credits_of,
    labels_of,
    outputs_of,
    remarks_of,
    resolve,
    rows_of,
    safe,
)
from enricher.providers.keys import ApiKey, blackened
from enricher.providers.rate import rate_signal
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import (
    Accepted,
    Alive,
    Done,
    Facts,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    Refused,
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
DEADLINE = 30.0
"""Seconds for one request: an asynchronous submission is answered at once (section 6)."""

HOLD, HOLD_DEADLINE = 120.0, 135.0
"""Seconds for which a sync submission is held (section 6), and after which it counts as lost."""

STOPPING_CODES: Mapping[str, str] = {
    "FEATURE_DISABLED": "The API is part of the Enterprise plan: have the plan changed.",
    "GRID_NOT_FOUND": "Copy the id from the grid's address, app.bitscale.ai/grid/ID, and check"
    " that the key is of the same workspace.",
    "INVALID_OUTPUT_COLUMN": "Name output columns that the grid has with --output-column.",
    "INVALID_SOURCE": "Name a source of this grid with --source-id, or leave it out.",
    "MISSING_SOURCE": "Add a BitScale API source in the grid's settings.",
    "MISSING_SOURCE_COLUMN": "The grid is not set up for runs: open its data source column.",
    "WORKSPACE_NOT_FOUND": "Check that the key is of a workspace that still exists.",
}
"""Errors that every run of the grid would meet (section 7), whatever status they come with, and
their mends."""


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
    hold = HOLD

    def __init__(self, transport: Transport, key: ApiKey, target: Target) -> None:
        self._transport = transport
        self._key = key
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
        workspace = await ask(partial(self._fetch, "/workspace", "id"))
        grid = await ask(partial(self._fetch, grid_path, "columns"))
        announced = outputs_of(grid)
        self._asked = resolve(self._target.output_columns, announced)
        fetch_contract = partial(self._fetch, f"{grid_path}/curl", "request_body")
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
        )

    async def balance(self, ask: Ask) -> Credits | None:
        return credits_of(await ask(partial(self._fetch, "/workspace", "id")))

    async def rows(self, ask: Ask) -> int | None:
        return rows_of(await ask(partial(self._fetch, f"/grids/{self._target.grid}", "columns")))

    async def probe(self, on_sent: OnSent = unheard) -> Reply:
        """`GET /workspace` (5.1): the cheapest request that needs the key."""
        reply = await self._fetch("/workspace", "id", on_sent)
        match reply.verdict:
            case Facts(data):
                return replace(reply, verdict=Alive(credits_of(data)))
        return reply

    async def _fetch(
        self, path: str, named: str, on_sent: OnSent, params: Mapping[str, str] | None = None
    ) -> Reply:
        """An object without the field `named` is not the documented one.

        To take one for an answer could cost money: without the workspace's id, every content key
        would be another one, and everything would be bought again.
        """
        return await self._request("GET", path, partial(_facts, named), on_sent, params=params)

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
        return await self._request(
            "POST", path, _of_submission, on_sent, content=content, deadline=deadline
        )

    async def look(self, run_id: str, on_sent: OnSent = unheard) -> Reply:
        """`GET /run/status/:id` (5.6). Built from our own base: a `poll_url` is never followed."""
        if not SAFE_ID.fullmatch(run_id):  # from a checkpoint that somebody else wrote
            return Reply(
                RowRejected("REQUEST_NOT_FOUND", "what is stored is not the form of an id")
            )
        return await self._request("GET", f"/run/status/{run_id}", _of_look, on_sent)

    async def _request(
        self,
        method: str,
        path: str,
        meaning: Callable[[Answer, Json], Verdict],
        on_sent: OnSent,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline: float = DEADLINE,
    ) -> Reply:
        carried = self._key.value
        headers = {"X-API-KEY": carried, "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        answer = await self._transport.exchange(
            method,
            path,
            headers=headers,
            deadline=deadline,
            params=params,
            content=content,
            on_sent=on_sent,
        )
        if not isinstance(answer, Answer):
            return Reply(replace(answer, reason=blackened(answer.reason, carried)))
        answer = replace(answer, headers=blackened(answer.headers, carried))
        signal = rate_signal(answer)
        body = blackened(answer.json(), carried)
        if answer.status == 401 or (
            answer.status >= 400 and parsed_error(body)[0] == "INVALID_API_KEY"
        ):
            return Reply(self._key_rejected(carried, body), signal)
        return Reply(_of_any(answer, body) or meaning(answer, body), signal)

    def _key_rejected(self, carried: str, body: Json) -> KeyRejected:
        """A 401 counts against the key that this request carried, not against a newer one."""
        renewed = self._key.value != carried or self._key.reload()
        return KeyRejected(parsed_error(body)[1] or "Missing or invalid API key", renewed)


# --- what an answer means: pure functions ---------------------------------------------------


def _of_any(answer: Answer, body: Json) -> Verdict | None:
    """Answers that mean the same to every request; `None` for all others."""
    code, message = parsed_error(body)
    status = answer.status
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        return Refused()
    if 300 <= status < 400:
        return JobStops(
            f"HTTP_{status}",
            "the server redirects; redirects are never followed: they may carry the key away",
        )
    if status < 400:
        return None
    if status == 402 or "CREDIT" in code.upper():
        return JobStops(code or f"HTTP_{status}", message or "the server asks for payment")
    if code in STOPPING_CODES:
        return JobStops(code, message, STOPPING_CODES[code])
    if status == 500 and code == "RUN_FAILED":
        return RunFailed(code, message)
    if status >= 500:
        return MaybeSent(f"HTTP {status} {code}".strip())
    return None


def _facts(named: str, answer: Answer, body: Json) -> Verdict:
    if answer.status >= 400:
        return _stop(answer, body)
    if isinstance(body, Malformed):
        return body
    if not isinstance(body, dict) or body.get(named) in (None, ""):
        return Malformed(f"the answer is no object with a field {named!r}")
    return Facts(body)


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
    return _stop(answer, body) if answer.status >= 400 else _of_run(body)


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


def _stop(answer: Answer, body: Json) -> JobStops:
    code, message = parsed_error(body)
    return JobStops(code or f"HTTP_{answer.status}", message or "the server refused the request")
