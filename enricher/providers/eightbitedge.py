"""8bitedge batch endpoints: many items a request, an answer for each.

What each answer means follows the API's own document. Nothing on it is free: what a token may do
is learnt from the first batch, and a batch that is refused as a whole meters nothing ("Metering").
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from enricher.model import Credits, Inputs, Json, OnSent, unheard
from enricher.providers.base import Ask, Briefing, Hold, parsed_error
from enricher.providers.keyed import REDIRECTED, Keyed
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import (
    Alive,
    BatchAnswered,
    BatchRejected,
    BatchTooLarge,
    Broken,
    Done,
    InProgress,
    ItemVerdict,
    JobStops,
    Malformed,
    MaybeSent,
    Refused,
    Reply,
    RowRejected,
    Verdict,
)

NAME = "8bitedge"
BASE_URL = "https://api.8bitedge.com/api/v1"
KEY_VARIABLE = "EIGHTBITEDGE_TOKEN"
BASE_URL_VARIABLE = "EIGHTBITEDGE_BASE_URL"
ENDPOINTS = ("enrichment", "signals", "intelligence")

DEADLINE = 120.0
"""Seconds for one request; a batch is answered when all its items are."""

LARGEST_BATCH = 250
"""Items of a batch on the largest plan ("Batch size limits")."""

REMEMBERED = 23 * 3600.0
"""Seconds for which a key is trusted to be recognised: an hour less than is promised."""

_NO_ITEMS = b'{"requests":[]}'
_STUB = "stub"


class EightBitEdge:
    """The provider `8bitedge`."""

    name = NAME
    holds = Hold.NONE
    max_batch = LARGEST_BATCH
    remembers = REMEMBERED
    stand_in = (
        '8bitedge answers with stubs (note: "stub"): no real data comes back yet, though'
        " items are metered. The answers are written as they came, and asked for again next time."
    )

    def __init__(self, transport: Transport, token: ApiKey, endpoint: str) -> None:
        self._requests = Keyed(transport, token, lambda key: {"Authorization": f"Bearer {key}"})
        self._endpoint = endpoint

    async def aclose(self) -> None:
        await self._requests.aclose()

    # --- what is free ------------------------------------------------------------------------

    async def brief(self, ask: Ask) -> Briefing:
        """Asks nothing: no account, no inputs and no outputs are told anywhere."""
        return Briefing(
            account="",
            labels=(),
            outputs=(),
            asked=None,
            title=f"the {self._endpoint} endpoint",
            credits=None,
        )

    async def balance(self, ask: Ask) -> Credits | None:
        return None

    async def rows(self, ask: Ask) -> int | None:
        return None

    async def probe(self, on_sent: OnSent = unheard) -> Reply:
        """A batch without items is refused, and meters nothing ("Request shape")."""
        reply = await self._request(_NO_ITEMS, {}, 0, on_sent)
        refused = isinstance(reply.verdict, BatchRejected | BatchTooLarge)
        return replace(reply, verdict=Alive()) if refused else reply

    # --- batches -----------------------------------------------------------------------------

    def pack(self, items: Sequence[Inputs]) -> bytes:
        body = {"requests": [dict(inputs) for inputs in items]}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    async def submit_batch(
        self, batch_id: str, body: bytes, count: int, on_sent: OnSent = unheard
    ) -> Reply:
        """`POST /:endpoint/batch` with an `Idempotency-Key` ("Idempotent batch requests")."""
        return await self._request(body, {"Idempotency-Key": batch_id}, count, on_sent)

    async def _request(
        self, body: bytes, more: Mapping[str, str], count: int, on_sent: OnSent
    ) -> Reply:
        path = f"/{self._endpoint}/batch"
        heard = await self._requests.send(
            "POST", path, on_sent, content=body, headers=more, deadline=DEADLINE
        )
        if isinstance(heard, Reply):
            return heard
        if heard.answer.status == 401:
            words = parsed_error(heard.body)[1] or "missing or invalid token"
            return self._requests.rejected(heard, words)
        return Reply(_meaning(heard.answer, heard.body, count), heard.signal)


# --- what an answer means: pure functions ---------------------------------------------------


def _meaning(answer: Answer, body: Json, count: int) -> Verdict:
    status = answer.status
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        return Refused()
    if 300 <= status < 400:
        return JobStops(f"HTTP_{status}", REDIRECTED)
    if status >= 500:
        return MaybeSent(f"HTTP {status} {parsed_error(body)[0]}".strip())
    if status >= 400:
        return _refusal(status, body)
    return body if isinstance(body, Malformed) else _results(body, count)


def _refusal(status: int, body: Json) -> Verdict:
    code, message = parsed_error(body)
    match code or status:
        case "batch_too_large":
            return BatchTooLarge(_most_items(body))
        case "validation_failed" | 422 | 400:
            return BatchRejected(
                code or f"HTTP_{status}", message or "the server refused the batch"
            )
        case "idempotency_conflict" | 409:
            return InProgress()
        case "idempotency_key_reuse":
            mend = "This is a bug of enricher: please report it. Nothing was processed twice."
            return JobStops(code, message, mend)
        case "insufficient_scope":
            return JobStops(code, message, "Use a token with the scope of this endpoint.")
        case 413:
            return BatchTooLarge(None)
    words = message or "the server refused the request"
    return JobStops(code or f"HTTP_{status}", words, f"Check the base URL, {BASE_URL_VARIABLE}.")


def _most_items(body: Json) -> int | None:
    """`details.max_items` of a refusal ("Batch size limits")."""
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    most = details.get("max_items") if isinstance(details, dict) else None
    return most if type(most) is int and most > 0 else None


def _results(body: Json, count: int) -> Verdict:
    """One verdict an item, in order; an answer whose numbers do not add up is none."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list) or len(data) != count:
        held = f"{len(data)} results" if isinstance(data, list) else "no list of results"
        return Malformed(f"the answer holds {held} for {count} items")
    verdicts = [_of_item(item) for item in data]
    usable = tuple(verdict for verdict in verdicts if verdict is not None)
    succeeded = sum(isinstance(verdict, Done) for verdict in usable)
    sums = {"total": count, "succeeded": succeeded, "failed": count - succeeded}
    if len(usable) != count or _sums_told(body) != sums:
        return Malformed("the answer's results and its sums do not fit together")
    return BatchAnswered(usable)


def _sums_told(body: Mapping[str, Any]) -> Json:
    meta = body.get("meta")
    batch = meta.get("batch") if isinstance(meta, dict) else None
    if not isinstance(batch, dict):
        return None
    return {name: batch.get(name) for name in ("total", "succeeded", "failed")}


def _of_item(item: Json) -> ItemVerdict | None:
    status = item.get("status") if isinstance(item, dict) else None
    if type(status) is not int:
        return None
    if status == 200:
        data = item.get("data")
        if not isinstance(data, dict):
            return None
        names = {name: name for name in data}
        return Done(data, names, provisional=data.get("note") == _STUB)
    code, message = parsed_error(item)
    code, message = code or f"HTTP_{status}", message or "the provider gave no reason"
    if status >= 500:
        return Broken(code, message)
    return RowRejected(code, message) if 400 <= status < 500 else None
