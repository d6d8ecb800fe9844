"""One contract for every provider: what the same situations mean, whatever the vendor.

Each provider stands over the real HTTP client and a network in memory. Answers that no stand-in
gives are canned; the rest come from the vendor's simulator. A new provider is one more `Case`.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from enricher.providers import http
from enricher.providers.base import BatchProvider
from enricher.providers.bitscale import BitScale
from enricher.providers.bitscale import Target as Grid
from enricher.providers.eightbitedge import EightBitEdge
from enricher.providers.http_recipe import read_recipe
from enricher.providers.keys import ApiKey
from enricher.providers.scale import FETCH, WAIT, Scale
from enricher.providers.scale import Target as Workflow
from enricher.providers.transport import LARGEST_ANSWER, Transport
from enricher.simulator import GRIDS, Rules, Settings, Workspace, parse_duration
from enricher.simulator.eightbitedge import PREFIX as BATCH_PREFIX
from enricher.simulator.eightbitedge import BatchService
from enricher.simulator.eightbitedge import Settings as BatchSettings
from enricher.simulator.scale import COMPANY_PROFILE, WorkflowService
from enricher.simulator.scale import PREFIX as SCALE_PREFIX
from enricher.simulator.scale import Settings as ScaleSettings
from enricher.verdicts import (
    Accepted,
    Alive,
    BatchAnswered,
    BatchRejected,
    BatchTooLarge,
    Done,
    InProgress,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    Ready,
    Refused,
    Reply,
    RowRejected,
    RunFailed,
    StillRunning,
)
from tests.support import virtual
from tests.support.canary import KEY, assert_clean, disguises
from tests.support.network import BASE_URL, Canned, SimulatedNetwork, Trouble

COMPANIES = GRIDS[0]
ACME = {"company_name": "Acme Corp", "website": "acme.com"}
RUN_ID = "0123-abcd"
ACCOUNT = ScaleSettings().account_id
DURATION = parse_duration("3")

RECIPE = {
    "submit": f"/grids/{COMPANIES.id}/run",
    "body": {
        "mode": "async",
        "inputs": {"company_name": "{company_name}", "website": "{website}"},
    },
    "key_header": "X-API-KEY",
    "id": "request_id",
    "status": "status",
    "running": ["running"],
    "done": ["completed"],
    "failed": ["failed"],
    "outputs": "outputs",
    "poll": "/run/status/{id}",
}
"""BitScale, as somebody would tell it who has no provider for it."""


@dataclass(frozen=True)
class Case:
    """A provider and what its API calls things.

    Attributes:
        open: the provider over a transport.
        rules: a fresh stand-in of its API, with a limit of requests a second or none.
        accepted: the answer to a submission that has this id; `None` if runs have no ids.
        looks: the stages of its looks; none where a submission brings the result.
        unknown: a look at a run that goes on, with a status that no document names.
        not_found: the answer to a look at a run that nobody knows.
    """

    name: str
    open: Callable[[Transport, ApiKey], Any]
    rules: Callable[[float | None], Rules]
    accepted: Callable[[Any], Any] | None = None
    unknown: Any = None
    not_found: Any = field(default_factory=dict)
    looks: tuple[str, ...] = ("",)
    prefix: str = "/api/v1"
    probes_with: str = "GET"


def _http(transport: Transport, key: ApiKey) -> http.Http:
    recipe, mistakes = read_recipe(RECIPE)
    assert recipe, mistakes
    return http.Http(transport, key, recipe)


def _workspace(rate: float | None) -> Workspace:
    return Workspace(Settings(rate=rate, duration=DURATION, api_key=KEY), BASE_URL)


def _service(rate: float | None) -> WorkflowService:
    return WorkflowService(ScaleSettings(rate=rate, duration=DURATION, api_key=KEY))


def _batches(rate: float | None) -> BatchService:
    return BatchService(BatchSettings(rate=rate, duration=DURATION, token=KEY, stub=False))


CASES = [
    Case(
        "bitscale",
        lambda transport, key: BitScale(transport, key, Grid(COMPANIES.id)),
        _workspace,
        lambda run_id: {"status": "running", "request_id": run_id},
        {"status": "napping", "request_id": RUN_ID},
        {"error": {"code": "REQUEST_NOT_FOUND", "message": "no such run"}},
    ),
    Case(
        "scale",
        lambda transport, key: Scale(transport, key, Workflow(COMPANY_PROFILE.id, ACCOUNT)),
        _service,
        lambda run_id: {"sessionId": run_id},
        {"sessionState": {"status": "napping", "cards": []}},
        {"error": "no such session", "status_code": 404},
        ("", FETCH, WAIT),
        SCALE_PREFIX,
    ),
    Case(
        "http",
        _http,
        _workspace,
        lambda run_id: {"status": "running", "request_id": run_id},
        {"status": "napping"},
        {"error": {"code": "REQUEST_NOT_FOUND", "message": "no such run"}},
    ),
    Case(
        "8bitedge",
        lambda transport, key: EightBitEdge(transport, key, "enrichment"),
        _batches,
        looks=(),
        prefix=BATCH_PREFIX,
        probes_with="POST",
    ),
]

SUBMIT, PROBE = "submit", "probe"


@dataclass(frozen=True)
class Asked:
    """One request of one provider."""

    case: Case
    request: str

    def __str__(self) -> str:
        return f"{self.case.name}-{self.request}"


def look(stage: str) -> str:
    return f"look {stage}".strip()


EVERY = [
    Asked(case, request)
    for case in CASES
    for request in (SUBMIT, PROBE, *(look(stage) for stage in case.looks))
]
PAID = [asked for asked in EVERY if asked.request == SUBMIT]
WITH_IDS = [asked for asked in PAID if asked.case.accepted]
LOOKS = [asked for asked in EVERY if asked.request.startswith("look")]
UNPROBED = PAID + LOOKS

every = pytest.mark.parametrize("asked", EVERY, ids=str)
with_ids = pytest.mark.parametrize("asked", WITH_IDS, ids=str)
looks = pytest.mark.parametrize("asked", LOOKS, ids=str)
unprobed = pytest.mark.parametrize("asked", UNPROBED, ids=str)
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


class Wire:
    """A provider, its stand-in, and the network between them."""

    def __init__(
        self, case: Case, *, key: str = KEY, key_file: Any = None, rate: float | None = None
    ) -> None:
        self.case = case
        self.network = SimulatedNetwork(case.rules(rate), prefix=case.prefix)
        self.key = ApiKey("K", key_file, {"K": key})
        self.heard = 0

    def reply(self, request: str, answer: Any = None, run_id: str = RUN_ID) -> Reply:
        self.network.refuse_connections = answer is Trouble.NO_CONNECTION
        self.network.script = lambda _: answer() if callable(answer) else answer
        return virtual.run(self.with_provider(lambda p: self._ask(p, request, run_id)))

    async def with_provider(self, use: Callable[[Any], Awaitable[Any]]) -> Any:
        async with Transport(f"http://simulator{self.case.prefix}", network=self.network) as wire:
            return await use(self.case.open(wire, self.key))

    async def _ask(self, provider: Any, request: str, run_id: str) -> Reply:
        if request == SUBMIT and isinstance(provider, BatchProvider):
            return await provider.submit_batch(RUN_ID, provider.pack([ACME]), 1, self._hear)
        if request == SUBMIT:
            return await provider.submit(ACME, self._hear)
        if request == PROBE:
            return await provider.probe(self._hear)
        return await provider.look(run_id, self._hear, stage=request.removeprefix("look").strip())

    def _hear(self) -> None:
        self.heard += 1


def canned(status: int, body: Any = None, **headers: str) -> Canned:
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return Canned(status, content, tuple((n.replace("_", "-"), v) for n, v in headers.items()))


def verdict_of(asked: Asked, answer: Any, **how: Any) -> Any:
    return Wire(asked.case).reply(asked.request, answer, **how).verdict


# --- was it sent? ---------------------------------------------------------------------------------


@every
def test_a_request_that_did_not_leave_has_cost_nothing(asked: Asked) -> None:
    wire = Wire(asked.case)
    assert isinstance(wire.reply(asked.request, Trouble.NO_CONNECTION).verdict, NotSent)
    assert wire.heard == 0


@every
@pytest.mark.parametrize(
    "trouble",
    [Trouble.LOST_BEFORE, Trouble.SWALLOWED, Trouble.LOST_AFTER, Trouble.CUT, Trouble.HANG],
)
def test_a_request_whose_answer_is_lost_may_have_been_processed(asked: Asked, trouble: Any) -> None:
    wire = Wire(asked.case)
    assert isinstance(wire.reply(asked.request, trouble).verdict, MaybeSent)
    assert wire.heard == 1


@every
def test_every_request_that_leaves_is_heard_of_once(asked: Asked) -> None:
    wire = Wire(asked.case)
    wire.reply(asked.request)
    assert (wire.heard, len(wire.network.arrived)) == (1, 1)


# --- the key --------------------------------------------------------------------------------------


@unprobed
def test_a_401_counts_against_the_key_that_was_carried(asked: Asked, tmp_path: Any) -> None:
    file = tmp_path / "api.key"
    file.touch(mode=0o600)
    file.write_text(KEY)
    wire = Wire(asked.case, key_file=file)
    refused = canned(401, {"error": {"code": "INVALID_API_KEY", "message": "void"}})
    verdict = wire.reply(asked.request, refused).verdict
    assert isinstance(verdict, KeyRejected)
    assert not verdict.renewed

    file.write_text("sk-the-newer-key")
    assert wire.reply(asked.request, refused).verdict.renewed
    assert wire.key.value == "sk-the-newer-key"
    assert not wire.reply(asked.request, refused).verdict.renewed

    def renewed_while_it_was_under_way() -> Canned:
        file.write_text("sk-the-newest-key")
        wire.key.reload()
        return refused

    assert wire.reply(asked.request, renewed_while_it_was_under_way).verdict.renewed


@cases
def test_the_stand_in_refuses_a_wrong_key(case: Case) -> None:
    verdict = Wire(case, key="sk-some-other-key").reply(SUBMIT).verdict
    assert isinstance(verdict, KeyRejected)


ECHOES = [
    canned(400, {"error": {"code": KEY, "message": f"bad key {KEY}"}, KEY: KEY}),
    canned(401, {"error": {"code": "INVALID_API_KEY", "message": f"key {KEY} is void"}}),
    canned(402, {"error": KEY, "message": KEY}),
    canned(403, {"error": {"code": KEY, "message": KEY}}),
    canned(404, {"error": {"code": "REQUEST_NOT_FOUND", "message": KEY}}),
    canned(500, {"error": {"code": "RUN_FAILED", "message": KEY}}),
    canned(200, {"status": "failed", "error": {"code": KEY, "message": KEY}, "message": KEY}),
    canned(200, {"status": "completed", "outputs": {KEY: {"name": KEY, "value": KEY}}}),
    canned(200, {"status": KEY, "request_id": KEY}),
    canned(200, {"data": [{KEY: KEY}], "schema": [{"id": KEY, "header": KEY}]}),
    canned(200, {"sessionId": KEY, "sessionState": {"status": "errored", "cards": []}}),
    canned(302, {}, location=f"https://elsewhere.test/?key={KEY}"),
    canned(429, {}, retry_after=KEY),
    canned(200, {}, x_ratelimit_limit=KEY),
]


@every
@pytest.mark.parametrize("answer", ECHOES, ids=lambda answer: f"{answer.status}")
def test_a_key_that_the_server_repeats_goes_no_further(asked: Asked, answer: Canned) -> None:
    reply = Wire(asked.case).reply(asked.request, answer)
    assert_clean(str(asked), repr(reply).encode(), [*disguises(KEY)])
    assert KEY not in repr(reply.signal.nonsense)


# --- waits and stops ------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("answer", "wait", "limited"),
    [
        (canned(429), None, True),
        (canned(429, {}, retry_after="7"), 7.0, True),
        (canned(429, b"<html>slow down</html>", retry_after="soon"), 1.0, True),
        (canned(503, b"", retry_after="2"), 2.0, False),
    ],
    ids=["429", "429-wait", "429-nonsense", "503-wait"],
)
def test_told_to_wait(asked: Asked, answer: Canned, wait: float | None, limited: bool) -> None:
    reply = Wire(asked.case).reply(asked.request, answer)
    assert reply.verdict == Refused()
    assert (reply.signal.retry_after, reply.signal.limited) == (wait, limited)


@unprobed
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_stops_the_job_and_is_never_followed(asked: Asked, status: int) -> None:
    wire = Wire(asked.case)
    answer = canned(status, b"", location="http://simulator/api/v1/elsewhere")
    verdict = wire.reply(asked.request, answer).verdict
    assert isinstance(verdict, JobStops)
    assert verdict.code == f"HTTP_{status}"
    assert len(wire.network.arrived) == 1


@unprobed
@pytest.mark.parametrize("status", [402, 403])
def test_no_money_and_no_rights_stop_the_job(asked: Asked, status: int) -> None:
    verdict = verdict_of(
        asked, canned(status, {"error": {"code": "FEATURE_DISABLED", "message": "no"}})
    )
    assert isinstance(verdict, JobStops)
    assert "no" in verdict.message


@every
@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b'{"error":'])
def test_a_broken_server_may_have_processed_it(asked: Asked, status: int, body: bytes) -> None:
    assert isinstance(verdict_of(asked, canned(status, body)), MaybeSent)


# --- answers that are none ------------------------------------------------------------------------

MALFORMED = {
    "html": b"<html>Welcome</html>",
    "empty": b"",
    "cut": b'{"status":"completed","outp',
    "text": b'"completed"',
    "number": b"7",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "nan": b'{"status":"completed","outputs":{"a":{"value":NaN}},"data":[{"a":NaN}]}',
    "deep": b"[" * 5000 + b"]" * 5000,
    "long number": b'{"status":' + b"9" * 5000 + b"}",
    "no utf-8": b'{"status":"\xff"}',
    "half a character": b'{"status":"\\ud800","sessionId":"\\ud800"}',
    "too large": b" " * (LARGEST_ANSWER + 1),
    "other types": b'{"status":[],"request_id":{},"sessionId":[],"sessionState":7,"data":7}',
}


@unprobed
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_200_that_is_not_the_documented_one_is_no_answer(asked: Asked, body: bytes) -> None:
    assert isinstance(verdict_of(asked, canned(200, body)), Malformed)


ADDRESSES = [
    *("", ".", "..", "../x", "a/b", "/etc", "http://elsewhere.test/", "//elsewhere.test", "a?b=c"),
    *("a#b", "a b", "a\r\nX-Other: y", "%2e%2e", "a\\b", "ä", "x" * 129, "\0"),
]


@with_ids
@pytest.mark.parametrize("run_id", [*ADDRESSES, None, True, 1.5, [], {"id": "x"}], ids=repr)
def test_an_id_that_could_be_an_address_is_none(asked: Asked, run_id: Any) -> None:
    assert asked.case.accepted
    answer = canned(200, asked.case.accepted(run_id))
    assert isinstance(verdict_of(asked, answer), Malformed)


@with_ids
def test_an_id_is_kept_as_it_came(asked: Asked) -> None:
    assert asked.case.accepted
    body = {**asked.case.accepted(RUN_ID), "poll_url": "http://elsewhere.test/", "extra": [1]}
    wire = Wire(asked.case)
    assert wire.reply(SUBMIT, canned(200, body)).verdict == Accepted(RUN_ID)
    assert len(wire.network.arrived) == 1


@looks
@pytest.mark.parametrize("run_id", ADDRESSES, ids=repr)
def test_what_is_stored_is_not_asked_for_unless_it_is_an_id(asked: Asked, run_id: str) -> None:
    wire = Wire(asked.case)
    verdict = wire.reply(asked.request, run_id=run_id).verdict
    assert isinstance(verdict, RowRejected)
    assert verdict.code == "REQUEST_NOT_FOUND"
    assert wire.network.arrived == []


# --- rows and runs --------------------------------------------------------------------------------


@with_ids
@pytest.mark.parametrize("status", [400, 409, 413, 422])
@pytest.mark.parametrize("body", [b"<html>", b'{"error":{"code":"X","message":"odd"}}'])
def test_a_refusal_that_no_document_explains_is_suspicious(
    asked: Asked, status: int, body: bytes
) -> None:
    verdict = verdict_of(asked, canned(status, body))
    assert isinstance(verdict, RowRejected)
    assert verdict.suspicious
    assert re.fullmatch(rf"X|HTTP_{status}", verdict.code)
    assert verdict.message


@looks
def test_a_run_that_nobody_knows_is_looked_for_again(asked: Asked) -> None:
    verdict = verdict_of(asked, canned(404, asked.case.not_found))
    assert isinstance(verdict, RowRejected)
    assert verdict.code == "REQUEST_NOT_FOUND"


@looks
def test_a_look_at_no_run_of_the_stand_in_finds_none(asked: Asked) -> None:
    verdict = verdict_of(asked, None, run_id="no-run-has-this-id")
    assert isinstance(verdict, RowRejected)


@pytest.mark.parametrize("asked", [a for a in LOOKS if a.request == "look"], ids=str)
def test_a_status_without_a_meaning_is_taken_as_running_and_told(asked: Asked) -> None:
    verdict = verdict_of(asked, canned(200, asked.case.unknown))
    assert verdict == StillRunning("unknown status 'napping'")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (canned(400, b"<html>"), BatchRejected),
        (canned(422, {"error": {"code": "validation_failed", "message": "no"}}), BatchRejected),
        (canned(413, b"<html>"), BatchTooLarge),
        (canned(409, {"error": {"code": "idempotency_conflict"}}), InProgress),
        (canned(404, {"error": {"code": "not_found"}}), JobStops),
    ],
)
def test_a_batch_is_refused_as_a_whole(answer: Canned, verdict: Any) -> None:
    (asked,) = [asked for asked in PAID if not asked.case.accepted]
    assert isinstance(verdict_of(asked, answer), verdict)


@pytest.mark.parametrize("case", [case for case in CASES if case.accepted], ids=lambda c: c.name)
def test_the_stand_in_is_run_from_the_submission_to_the_outputs(case: Case) -> None:
    wire = Wire(case)
    accepted = wire.reply(SUBMIT).verdict
    assert isinstance(accepted, Accepted)

    async def seen(provider: Any) -> list[Any]:
        found: list[Any] = []
        stage = ""
        while not found or isinstance(found[-1], StillRunning | Ready):
            reply = await provider.look(accepted.run_id, lambda: None, stage=stage)
            stage = reply.verdict.stage if isinstance(reply.verdict, Ready) else ""
            found.append(reply.verdict)
            await wire.network.sleep(1.0)
        return found

    *_, last = virtual.run(wire.with_provider(seen))
    assert isinstance(last, Done | RunFailed)
    if isinstance(last, Done):
        assert last.outputs.keys() == last.names.keys()
        assert last.outputs


@pytest.mark.parametrize("case", [c for c in CASES if not c.accepted], ids=lambda c: c.name)
def test_the_stand_in_answers_a_batch_and_the_same_batch_alike(case: Case) -> None:
    wire = Wire(case)

    async def twice(provider: Any) -> list[Any]:
        body = provider.pack([ACME])
        replies = [await provider.submit_batch(RUN_ID, body, 1, lambda: None) for _ in range(2)]
        return [reply.verdict for reply in replies]

    first, again = virtual.run(wire.with_provider(twice))
    assert isinstance(first, BatchAnswered)
    assert first == again


@cases
def test_the_stand_in_refuses_what_comes_too_early(case: Case) -> None:
    wire = Wire(case, rate=1)
    replies = [wire.reply(SUBMIT) for _ in range(3)]
    refused = [reply for reply in replies if reply.verdict == Refused()]
    assert refused
    assert all(reply.signal.limited for reply in refused)


# --- probes ---------------------------------------------------------------------------------------


@cases
def test_a_probe_finds_the_stand_in_alive_and_buys_nothing(case: Case) -> None:
    wire = Wire(case)
    assert isinstance(wire.reply(PROBE).verdict, Alive)
    assert [sent.request.method for sent in wire.network.arrived] == [case.probes_with]
