"""Scale GP Workflows: one session of a workflow for each run, and one request for its result.

What each answer means follows the API's own document. A session that is `idle` has finished, a
card that is `idle` has not begun; the result of a session without one is not documented, so that
a result without rows counts only when the session has been seen to be finished.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from enricher.errors import KeyProblem
from enricher.model import Credits, Inputs, Json, OnSent, unheard
from enricher.providers.base import Ask, Briefing, Hold, objects_in, parsed_error, text_in
from enricher.providers.ids import SAFE_ID
from enricher.providers.keyed import DEADLINE, REDIRECTED, Keyed
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import (
    Accepted,
    Alive,
    Done,
    Facts,
    JobStops,
    Malformed,
    MaybeSent,
    Ready,
    Refused,
    Reply,
    RowRejected,
    RunFailed,
    StillRunning,
    Verdict,
)

NAME = "scale"
KEY_VARIABLE = "SCALE_API_KEY"
ACCOUNT_VARIABLE = "SCALE_ACCOUNT_ID"
BASE_URL_VARIABLE = "SCALE_BASE_URL"

HOLD, HOLD_DEADLINE = 600.0, 615.0
"""Seconds for which a result is waited for (the API's own default), and after which the answer
counts as lost."""

FETCH, WAIT = "result", "wait"
"""Stages of a look: fetch the result of a finished session; wait for the end of one."""

PROBE_ID = "enricher-probe"
"""No session has this id. To ask for it costs nothing, and tells whether the key is good."""

_RUNNING = frozenset({"starting", "pending_work", "processing"})

_MENDS = {
    "WORKFLOW_NOT_FOUND": "Check --workflow, and that the workflow belongs to the account in"
    f" {ACCOUNT_VARIABLE}.",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What to run: a workflow of an account."""

    workflow: str
    account: str


class Scale:
    """The provider `scale`."""

    name = NAME
    holds = Hold.COLLECT
    hold = HOLD

    def __init__(self, transport: Transport, key: ApiKey, target: Target) -> None:
        self._requests = Keyed(transport, key, self._carry)
        self._target = target

    async def aclose(self) -> None:
        await self._requests.aclose()

    # --- before money ------------------------------------------------------------------------

    async def brief(self, ask: Ask) -> Briefing:
        """One free request: nothing but the key and the account can be learnt for nothing."""
        await ask(self._ask_for_nothing)
        return Briefing(
            account=self._target.account,
            labels=(),
            outputs=(),
            asked=None,
            title=self._target.workflow,
            credits=None,
        )

    async def balance(self, ask: Ask) -> Credits | None:
        return None

    async def rows(self, ask: Ask) -> int | None:
        return None

    async def probe(self, on_sent: OnSent = unheard) -> Reply:
        reply = await self._ask_for_nothing(on_sent)
        return replace(reply, verdict=Alive()) if isinstance(reply.verdict, Facts) else reply

    async def _ask_for_nothing(self, on_sent: OnSent) -> Reply:
        return await self._request("GET", f"/v1/sessions/{PROBE_ID}", _of_probe, on_sent)

    # --- runs --------------------------------------------------------------------------------

    async def submit(
        self, inputs: Inputs, on_sent: OnSent = unheard, *, hold: bool = False
    ) -> Reply:
        """`POST /v1/workflow/run`; variables are flat strings."""
        body = {"workflowId": self._target.workflow, "variables": dict(inputs)}
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        reply = await self._request(
            "POST", "/v1/workflow/run", _of_submission, on_sent, content=content
        )
        match reply.verdict:
            case Accepted() as accepted if hold:
                return replace(reply, verdict=replace(accepted, stage=WAIT))
        return reply

    async def look(self, run_id: str, on_sent: OnSent = unheard, *, stage: str = "") -> Reply:
        """`GET /v1/sessions/:id`, or its `/result` when the session has finished or is waited for.

        A wait has a timeout; a fetch has none to wait for.
        """
        if not SAFE_ID.fullmatch(run_id):  # from a checkpoint that somebody else wrote
            return Reply(
                RowRejected("REQUEST_NOT_FOUND", "what is stored is not the form of an id")
            )
        path = f"/v1/sessions/{run_id}"
        if stage == WAIT:
            params = {"timeout": f"{HOLD * 1000:.0f}"}
            return await self._request(
                "GET", f"{path}/result", _of_wait, on_sent, params=params, deadline=HOLD_DEADLINE
            )
        if stage == FETCH:
            return await self._request("GET", f"{path}/result", _of_fetch, on_sent)
        return await self._request("GET", path, _of_session, on_sent)

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
        heard = await self._requests.send(
            method, path, on_sent, params=params, content=content, deadline=deadline
        )
        if isinstance(heard, Reply):
            return heard
        answer, body = heard.answer, heard.body
        if answer.status == 401:
            words = _words(body) or "the key or the account id is not valid"
            return self._requests.rejected(heard, f"{words} (check {ACCOUNT_VARIABLE} too)")
        return Reply(_of_any(answer, body) or meaning(answer, body), heard.signal)

    def _carry(self, key: str) -> Mapping[str, str]:
        return {"x-scale-api-key": key, "x-selected-account-id": self._target.account}


def account_id(environ: Mapping[str, str]) -> str:
    """The account that pays, from the environment.

    Raises:
        KeyProblem: it is missing, or not the form of an id.
    """
    account = environ.get(ACCOUNT_VARIABLE, "").strip()
    if not SAFE_ID.fullmatch(account):
        problem = "has not the form of an id" if account else "is empty or not set"
        raise KeyProblem(
            f"No account id: ${ACCOUNT_VARIABLE} {problem}.",
            mend=f"Set {ACCOUNT_VARIABLE} to the id of the account that owns the workflow.",
            code="account_missing",
        )
    return account


# --- what an answer means: pure functions ---------------------------------------------------


def _words(body: Json) -> str:
    """What an error says: text under `error`, under `message`, or both ("Error handling")."""
    error, message = parsed_error(body)[1], text_in(body, "message") if _is_object(body) else ""
    return f"{error}: {message}" if error and message and error != message else error or message


def _is_object(body: Json) -> bool:
    return isinstance(body, dict)


def _of_any(answer: Answer, body: Json) -> Verdict | None:
    """Answers that mean the same to every request; `None` for all others."""
    status = answer.status
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        return Refused()
    if 300 <= status < 400:
        return JobStops(f"HTTP_{status}", REDIRECTED)
    if status in (402, 403):
        return JobStops(f"HTTP_{status}", _words(body) or "the server refuses this account")
    if status >= 500:
        return MaybeSent(f"HTTP {status} {_words(body)}".strip())
    return None


def _of_probe(answer: Answer, body: Json) -> Verdict:
    """A 404 in the API's own shape is the expected answer."""
    if answer.status == 404 and _words(body):
        return Facts({})
    if answer.status >= 400:
        return JobStops(
            f"HTTP_{answer.status}",
            _words(body) or "the answer is none of this API",
            f"Check the base URL, {BASE_URL_VARIABLE}: it ends with /corp-api/compass/api.",
        )
    return Malformed("a session that cannot exist was found")


def _of_submission(answer: Answer, body: Json) -> Verdict:
    if answer.status == 404:
        code = "WORKFLOW_NOT_FOUND"
        return JobStops(code, _words(body) or "no such workflow", _MENDS[code])
    if answer.status >= 400:
        words = _words(body) or "the server refused these variables"
        return RowRejected(f"HTTP_{answer.status}", words, suspicious=True)
    if isinstance(body, Malformed):
        return body
    session = body.get("sessionId") if isinstance(body, dict) else None
    if isinstance(session, str) and SAFE_ID.fullmatch(session):
        return Accepted(session)
    return Malformed("the answer has no usable sessionId")


def _refused_look(answer: Answer, body: Json) -> Verdict | None:
    words = _words(body)
    if answer.status == 404:
        return RowRejected("REQUEST_NOT_FOUND", words or "no session under this id")
    if answer.status >= 400:
        return JobStops(f"HTTP_{answer.status}", words or "the server refused the request")
    return body if isinstance(body, Malformed) else None


def _of_session(answer: Answer, body: Json) -> Verdict:
    """`GET /v1/sessions/:id`."""
    if refused := _refused_look(answer, body):
        return refused
    state = body.get("sessionState") if isinstance(body, dict) else None
    if not isinstance(state, dict) or not isinstance(status := state.get("status"), str):
        return Malformed("the answer has no session status")
    failed = [card for card in objects_in(state.get("cards")) if card.get("status") == "errored"]
    said = "; ".join(_card_words(card) for card in failed)
    match status:
        case "idle" if failed:
            return RunFailed("CARD_ERRORED", said)
        case "idle":
            return Ready(FETCH)
        case "errored":
            return RunFailed("SESSION_ERRORED", said or "the session met an unrecoverable error")
        case "inactive":
            return RunFailed("SESSION_INACTIVE", said or "the session expired or was cancelled")
    return StillRunning("" if status in _RUNNING else f"unknown status {status[:40]!r}")


def _card_words(card: Mapping[str, Any]) -> str:
    name = text_in(card, "id") or "a card"
    return f"{name[:100]}: {text_in(card, 'errorMessage')[:500] or 'no message'}"


def _of_fetch(answer: Answer, body: Json) -> Verdict:
    """`…/result` of a session that has been seen to be finished."""
    return _refused_look(answer, body) or _result(body)


def _of_wait(answer: Answer, body: Json) -> Verdict:
    """`…/result` of a session that nothing is known of.

    Without rows it may mean that the time is up or that the session failed: the session tells.
    """
    verdict = _of_fetch(answer, body)
    empty = isinstance(verdict, Done) and not body["data"]
    return StillRunning() if empty else verdict


def _result(body: Json) -> Verdict:
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list) or len(rows := objects_in(data)) != len(data):
        return Malformed("the result has no list of rows")
    shown, total = _rows_told(body, len(rows))
    if shown < total:
        return RunFailed(
            "PARTIAL_RESULT",
            f"the result holds {shown} of {total} rows, and the API documents no way to the others",
        )
    names = {
        column["id"]: text_in(column, "header") or column["id"]
        for column in objects_in(body.get("schema"))
        if isinstance(column.get("id"), str)
    }
    ids = dict.fromkeys([*names, *(id_ for row in rows for id_ in row)])
    values = {id_: _value([row.get(id_) for row in rows]) for id_ in ids}
    return Done(values, {id_: names.get(id_, id_) for id_ in ids})


def _value(cells: list[Json]) -> Json:
    """The value of a column: of one row as it is, of several a list, of none nothing."""
    if len(cells) == 1:
        return cells[0]
    return cells or None


def _rows_told(body: Mapping[str, Any], held: int) -> tuple[int, int]:
    """How many rows the result holds and how many there are, as far as it tells."""
    start, end = body.get("start"), body.get("end")
    shown = end - start if type(start) is int and type(end) is int else held
    result = body.get("result")
    summary = result.get("summary") if isinstance(result, dict) else None
    total = summary.get("totalNumberOfRows") if isinstance(summary, dict) else None
    return min(shown, held), total if type(total) is int else held
