"""Scale GP Workflows: what is sent, what each answer means, and whole lives in virtual time."""

import asyncio
import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from enricher.errors import KeyProblem, ProviderRefused
from enricher.model import Mode, RequestCounts, State, Stop, StopCode
from enricher.pace import Gate
from enricher.preflight import asker
from enricher.providers.keys import ApiKey
from enricher.providers.scale import FETCH, WAIT, Scale, Target, account_id
from enricher.providers.transport import Transport
from enricher.simulator import parse_duration
from enricher.simulator.scale import (
    COMPANY_PROFILE,
    LONG_LIST,
    PEOPLE_FINDER,
    PREFIX,
    Endpoint,
    SessionFate,
    Settings,
    Unready,
    WorkflowService,
    session_fate,
)
from enricher.stops import Stops
from enricher.verdicts import (
    Accepted,
    Alive,
    Done,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    Ready,
    Refused,
    RowRejected,
    RunFailed,
    StillRunning,
)
from tests.support import lives, virtual
from tests.support.canary import KEY, assert_clean, disguises
from tests.support.network import Canned, SimulatedNetwork, Trouble

ACME = {"company_name": "Acme Corp", "website": "acme.com"}
ACCOUNT = Settings().account_id
SESSION = "compass-sess-0123"
BASE = f"http://simulator{PREFIX}"


class Asked:
    """A provider against an account, one request each."""

    def __init__(self, workflow: str = COMPANY_PROFILE.id, **settings: Any) -> None:
        self.service = WorkflowService(
            Settings(**{"rate": None, "duration": parse_duration("3"), "api_key": KEY, **settings})
        )
        self.network = SimulatedNetwork(self.service, prefix=PREFIX)
        self.workflow = workflow

    def reply(self, to: str, answer: Any = None, **how: Any) -> Any:
        self.network.refuse_connections = answer is Trouble.NO_CONNECTION
        self.network.script = lambda _: answer
        return virtual.run(self._reply(to, **how))

    async def _reply(self, to: str, *, key: str = KEY, account: str = ACCOUNT) -> Any:
        async with Transport(BASE, network=self.network) as transport:
            target = Target(self.workflow, account)
            provider = Scale(transport, ApiKey("K", None, {"K": key}), target)
            match to:
                case "submit":
                    return await provider.submit(ACME)
                case "submit held":
                    return await provider.submit(ACME, hold=True)
                case "probe":
                    return await provider.probe()
                case "brief":
                    ask = asker(Gate(math.inf), 900, RequestCounts(), lambda _: None)
                    return await provider.brief(ask)
                case "look":
                    return await provider.look(SESSION)
                case stage:
                    return await provider.look(SESSION, stage=stage)


asked = Asked()


def canned(status: int, body: Any = None, **headers: str) -> Canned:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Canned(status, content, tuple(names.items()))


def state(status: str, *cards: dict[str, Any]) -> Canned:
    return canned(200, {"sessionState": {"status": status, "cards": [*cards]}})


def result(data: Any, total: Any = None, end: Any = None, schema: Any = ()) -> Canned:
    rows = len(data) if isinstance(data, list) else 0
    body = {
        "data": data,
        "schema": [*schema],
        "start": 0,
        "end": rows if end is None else end,
        "result": {"summary": {"totalNumberOfRows": rows if total is None else total}},
    }
    return canned(200, body)


# --- what is sent ---------------------------------------------------------------------------------


def test_a_submission_sends_the_workflow_and_flat_variables():
    asked = Asked()
    reply = asked.reply("submit")
    (sent,) = asked.network.arrived
    assert (sent.request.method, sent.request.path) == ("POST", "/v1/workflow/run")
    assert json.loads(sent.request.body) == {"workflowId": COMPANY_PROFILE.id, "variables": ACME}
    assert sent.request.headers["x-scale-api-key"] == KEY
    assert sent.request.headers["x-selected-account-id"] == ACCOUNT
    assert reply.verdict == Accepted(asked.service.sessions[0].id)
    assert Asked().reply("submit held").verdict.stage == WAIT


def test_looks_ask_for_the_session_its_result_or_wait_for_it():
    asked = Asked()
    for stage in ("look", FETCH, WAIT):
        asked.reply(stage, state("processing"))
    sent = [(s.request.path, dict(s.request.query)) for s in asked.network.arrived]
    assert sent == [
        (f"/v1/sessions/{SESSION}", {}),
        (f"/v1/sessions/{SESSION}/result", {}),
        (f"/v1/sessions/{SESSION}/result", {"timeout": "600000"}),
    ]


def test_the_briefing_costs_one_free_request_and_names_the_account():
    asked = Asked()
    briefing = asked.reply("brief")
    assert (briefing.account, briefing.labels, briefing.outputs) == (ACCOUNT, (), ())
    assert len(asked.network.arrived) == 1
    assert asked.service.sessions == ()
    with pytest.raises(ProviderRefused, match="Unauthorized: Invalid API key or account ID"):
        asked.reply("brief", key="another-key")
    with pytest.raises(ProviderRefused, match="check SCALE_ACCOUNT_ID too"):
        asked.reply("brief", account="acct-other")
    with pytest.raises(ProviderRefused, match="HTTP_404"):
        asked.reply("brief", canned(404, b"<html>no such page</html>"))


@pytest.mark.parametrize(
    ("environ", "said"), [({}, "is empty or not set"), ({"SCALE_ACCOUNT_ID": "a b\n"}, "the form")]
)
def test_the_account_id_is_needed(environ, said):
    with pytest.raises(KeyProblem, match=said):
        account_id(environ)
    assert account_id({"SCALE_ACCOUNT_ID": f" {ACCOUNT}\n"}) == ACCOUNT


def test_an_id_that_is_none_is_not_asked_for():
    asked = Asked()

    async def look(run_id):
        async with Transport(BASE, network=asked.network) as transport:
            provider = Scale(transport, ApiKey("K", None, {"K": KEY}), Target("w", ACCOUNT))
            return await provider.look(run_id)

    for run_id in ("../../x", "..", "a/b", ""):
        assert isinstance(virtual.run(look(run_id)).verdict, RowRejected)
    assert asked.network.arrived == []


# --- what an answer means -------------------------------------------------------------------------

CARD = {"id": "card-1", "status": "errored", "errorMessage": "the model refused"}
WORDS = "Workflow not found or you do not have access."

TO_A_SUBMISSION = [
    (canned(200, {"sessionId": "../x"}), Malformed("the answer has no usable sessionId")),
    (canned(200, {"sessionId": 7}), Malformed("the answer has no usable sessionId")),
    (canned(200, [1]), Malformed("the answer has no usable sessionId")),
    (canned(400, {"error": "bad", "status_code": 400}), RowRejected("HTTP_400", "bad", True)),
    (canned(413, b"<html>"), RowRejected("HTTP_413", "the server refused these variables", True)),
]
TO_A_LOOK = [
    (state("starting"), StillRunning()),
    (state("pending_work"), StillRunning()),
    (state("processing", {"status": "completed"}), StillRunning()),
    (state("napping"), StillRunning("unknown status 'napping'")),
    (state("idle", {"id": "card-0", "status": "completed"}), Ready(FETCH)),
    (state("idle", {"id": "card-0", "status": "idle"}), Ready(FETCH)),
    (state("idle", CARD), RunFailed("CARD_ERRORED", "card-1: the model refused")),
    (
        state("idle", CARD, {"id": "card-2", "status": "errored", "errorMessage": 7}),
        RunFailed("CARD_ERRORED", "card-1: the model refused; card-2: no message"),
    ),
    (state("errored", CARD), RunFailed("SESSION_ERRORED", "card-1: the model refused")),
    (
        state("errored"),
        RunFailed("SESSION_ERRORED", "the session met an unrecoverable error"),
    ),
    (
        state("inactive"),
        RunFailed("SESSION_INACTIVE", "the session expired or was cancelled"),
    ),
    (canned(200, {"sessionState": "idle"}), Malformed("the answer has no session status")),
    (canned(200, {"sessionState": {"status": 3}}), Malformed("the answer has no session status")),
    (canned(404, {"error": "gone", "status_code": 404}), RowRejected("REQUEST_NOT_FOUND", "gone")),
    (canned(400, {"error": {"code": "X", "message": "odd"}}), JobStops("HTTP_400", "odd")),
]
ROW = {"name": "Alice", "score": 0.92}
SCHEMA = [{"id": "name", "header": "Name", "type": "string"}, {"id": "score", "type": "number"}]
NAMES = {"name": "Name", "score": "score"}
TO_A_FETCH = [
    (result([ROW], schema=SCHEMA), Done(ROW, NAMES)),
    (result([ROW]), Done(ROW, {"name": "name", "score": "score"})),
    (
        result([ROW, {"name": "Bob"}], schema=SCHEMA),
        Done({"name": ["Alice", "Bob"], "score": [0.92, None]}, NAMES),
    ),
    (result([], schema=SCHEMA), Done({"name": None, "score": None}, NAMES)),
    (result([ROW], schema=[7, {"id": 7}]), Done(ROW, {"name": "name", "score": "score"})),
    (result([ROW], total="many"), Done(ROW, {"name": "name", "score": "score"})),
    (result([ROW, 7]), Malformed("the result has no list of rows")),
    (result({"0": ROW}), Malformed("the result has no list of rows")),
    (canned(200, []), Malformed("the result has no list of rows")),
    (canned(404, {"error": "gone"}), RowRejected("REQUEST_NOT_FOUND", "gone")),
]
PARTIAL = "rows, and the API documents no way to the others"
TO_A_FETCH += [
    (result([ROW], total=5), RunFailed("PARTIAL_RESULT", f"the result holds 1 of 5 {PARTIAL}")),
    (
        result([ROW, ROW], end=1),
        RunFailed("PARTIAL_RESULT", f"the result holds 1 of 2 {PARTIAL}"),
    ),
]
TO_ANY = [
    (canned(429), Refused()),
    (canned(503, retry_after="1"), Refused()),
    (canned(503), MaybeSent("HTTP 503")),
    (canned(500, {"error": "oops", "status_code": 500}), MaybeSent("HTTP 500 oops")),
    (canned(502, b"<html>"), MaybeSent("HTTP 502")),
    (canned(402, {"message": "pay"}), JobStops("HTTP_402", "pay")),
    (canned(403), JobStops("HTTP_403", "the server refuses this account")),
    (Trouble.NO_CONNECTION, NotSent),
    (Trouble.LOST_AFTER, MaybeSent),
    (Trouble.CUT, MaybeSent),
    (Trouble.HANG, MaybeSent),
]


@pytest.mark.parametrize(
    ("to", "answer", "verdict"),
    [
        *(("submit", *case) for case in TO_A_SUBMISSION),
        *(("look", *case) for case in TO_A_LOOK),
        *((FETCH, *case) for case in TO_A_FETCH),
        *((to, *case) for to in ("submit", "look", FETCH, WAIT) for case in TO_ANY),
    ],
)
def test_what_an_answer_means(to, answer, verdict):
    found = asked.reply(to, answer).verdict
    assert isinstance(found, verdict) if isinstance(verdict, type) else found == verdict


@pytest.mark.parametrize("to", ["submit", "look", FETCH, WAIT])
def test_html_and_redirects_are_no_answers(to):
    assert isinstance(asked.reply(to, canned(200, b"<html>")).verdict, Malformed)
    moved = asked.reply(to, canned(302, location="http://elsewhere/")).verdict
    assert (type(moved), moved.code) == (JobStops, "HTTP_302")


def test_an_unknown_workflow_stops_the_job_and_says_what_to_check():
    verdict = Asked("wf-nowhere").reply("submit").verdict
    assert (verdict.code, verdict.message) == ("WORKFLOW_NOT_FOUND", WORDS)
    assert "--workflow" in verdict.mend
    assert "SCALE_ACCOUNT_ID" in verdict.mend


def test_a_wait_without_rows_tells_nothing_and_with_rows_everything():
    assert asked.reply(WAIT, result([], schema=SCHEMA)).verdict == StillRunning()
    assert asked.reply(WAIT, result([ROW], schema=SCHEMA)).verdict == Done(ROW, NAMES)


def test_a_wrong_key_and_what_repeats_the_right_one():
    refused = Asked().reply("look", key="another-key").verdict
    assert isinstance(refused, KeyRejected)
    assert not refused.renewed
    echoed = asked.reply("submit", canned(400, {"error": f"key {KEY} is bad"}))
    assert_clean("a verdict", repr(echoed).encode(), [*disguises(KEY)])
    assert asked.reply("probe").verdict == Alive()


# --- lives ----------------------------------------------------------------------------------------


@dataclass
class ScaleWorld(lives.World):
    """A simulated account in place of BitScale's workspace."""

    account: Settings = field(default_factory=lambda: lasting("3"))
    workflow: str = COMPANY_PROFILE.id
    base_url: str = BASE

    def __post_init__(self) -> None:
        self.service = WorkflowService(self.account)
        self.network = SimulatedNetwork(self.service, prefix=PREFIX)
        self.checkpoint = self.folder / "job.checkpoint.db"
        self.counts = RequestCounts()
        self.engine = None

    def provider(self, transport):
        key = ApiKey("K", None, {"K": KEY})
        return Scale(transport, key, Target(self.workflow, ACCOUNT))

    def _stops(self):
        return Stops(self.caps, asyncio.get_running_loop().time())

    @property
    def requests(self) -> tuple[int, int, int]:
        """Runs, looks at sessions, and results that the service was asked for."""
        asked = self.service.requests
        return (asked[Endpoint.RUN], asked[Endpoint.SESSION], asked[Endpoint.RESULT])


def lasting(duration: str, **settings: Any) -> Settings:
    return Settings(rate=None, duration=parse_duration(duration), api_key=KEY, **settings)


def states(world, inputs):
    return [record.state for record in world.records(inputs)]


def test_async_needs_its_polls_and_two_requests_a_run(tmp_path):
    world = ScaleWorld(tmp_path, account=lasting("uniform:3:20"))
    companies = lives.companies(60)
    assert virtual.run(world.live(companies)) is None
    runs, looks, results = world.requests
    assert (runs, results) == (60, 60), "one submission and one result for each"
    assert looks <= 3 * 60
    assert set(world.service.processed.values()) == {1}
    for company, record in zip(companies, world.records(companies), strict=True):
        (row,) = COMPANY_PROFILE.rows(company)
        assert (record.state, record.outputs) == (State.COMPLETED, row)


def test_sync_needs_exactly_two_requests_a_run(tmp_path):
    world = ScaleWorld(tmp_path, account=lasting("uniform:3:200"), mode=Mode.SYNC)
    companies = lives.companies(60)
    assert virtual.run(world.live(companies)) is None
    assert world.requests == (60, 0, 60)
    assert set(states(world, companies)) == {State.COMPLETED}


def test_auto_waits_for_results_since_that_exposes_nothing(tmp_path):
    world = ScaleWorld(tmp_path, mode=Mode.AUTO)
    assert virtual.run(world.live(lives.companies(5))) is None
    assert world.requests == (5, 0, 5)


@pytest.mark.parametrize("unready", Unready)
@pytest.mark.parametrize("mode", [Mode.ASYNC, Mode.SYNC])
def test_failures_are_told_by_their_cards_in_either_mode(tmp_path, mode, unready):
    world = ScaleWorld(tmp_path, mode=mode, account=lasting("3", fail_rate=0.7, unready=unready))
    companies = lives.companies(40)
    assert virtual.run(world.live(companies)) is None
    fates = [session_fate(world.account, COMPANY_PROFILE, company) for company in companies]
    assert set(fates) == set(SessionFate)
    codes = {
        SessionFate.COMPLETED: None,
        SessionFate.CARD_FAILED: "CARD_ERRORED",
        SessionFate.ERRORED: "SESSION_ERRORED",
        SessionFate.INACTIVE: "SESSION_INACTIVE",
    }
    records = world.records(companies)
    assert [record.code or None for record in records] == [codes[fate] for fate in fates]
    failed = records[fates.index(SessionFate.CARD_FAILED)]
    assert "could not be run" in failed.message
    assert set(world.service.processed.values()) == {1}


@pytest.mark.parametrize("mode", [Mode.ASYNC, Mode.SYNC])
def test_results_of_no_and_of_several_rows(tmp_path, mode):
    world = ScaleWorld(tmp_path, workflow=PEOPLE_FINDER.id, mode=mode)
    companies = lives.companies(30)
    assert virtual.run(world.live(companies)) is None
    for company, record in zip(companies, world.records(companies), strict=True):
        rows = PEOPLE_FINDER.rows(company)
        places = [row["place"] for row in rows]
        expected = places[0] if len(places) == 1 else places or None
        assert record.state is State.COMPLETED
        assert record.outputs is not None
        assert record.outputs["place"] == expected


def test_a_partial_result_fails_its_row(tmp_path):
    world = ScaleWorld(tmp_path, workflow=LONG_LIST.id)
    companies = lives.companies(1)
    assert virtual.run(world.live(companies)) is None
    (record,) = world.records(companies)
    assert (record.state, record.code) == (State.FAILED, "PARTIAL_RESULT")


def test_a_workflow_that_does_not_exist_stops_before_anything_is_paid(tmp_path):
    world = ScaleWorld(tmp_path, workflow="wf-nowhere")
    stop = virtual.run(world.live(lives.companies(3)))
    assert stop.code is StopCode.REFUSED
    assert "WORKFLOW_NOT_FOUND" in stop.reason
    assert world.records(lives.companies(3)) == [None] * 3


@pytest.mark.parametrize("mode", [Mode.ASYNC, Mode.SYNC])
def test_a_result_that_is_lost_is_fetched_again_and_nothing_is_run_twice(tmp_path, mode):
    world = ScaleWorld(tmp_path, mode=mode)
    struck: set[str] = set()

    def lose_first(request):
        if request.path.endswith("/result") and request.path not in struck:
            struck.add(request.path)
            return Trouble.LOST_AFTER
        return None

    world.network.script = lose_first
    companies = lives.companies(5)
    assert virtual.run(world.live(companies)) is None
    assert len(struck) == 5
    assert set(states(world, companies)) == {State.COMPLETED}
    assert set(world.service.processed.values()) == {1}


@pytest.mark.parametrize("mode", [Mode.ASYNC, Mode.SYNC])
def test_told_to_wait_the_result_is_asked_for_again_as_it_was(tmp_path, mode):
    world = ScaleWorld(tmp_path, mode=mode)
    refused: list[str] = []

    def refuse_once(request):
        if request.path.endswith("/result") and not refused:
            refused.append(str(request.query))
            return canned(429, retry_after="1")
        return None

    world.network.script = refuse_once
    companies = lives.companies(1)
    assert virtual.run(world.live(companies)) is None
    results = [s for s in world.network.arrived if s.request.path.endswith("/result")]
    assert [str(sent.request.query) for sent in results] == refused * 2
    assert results[1].at - results[0].at >= 1
    assert world.network.arrived[-2:] == results, "nothing is asked in between"
    assert states(world, companies) == [State.COMPLETED]


STOP = Stop(StopCode.SIGNAL, "stopped")


def test_a_stop_does_not_wait_for_the_ends_of_runs(tmp_path):
    world = ScaleWorld(tmp_path, account=lasting("400"), mode=Mode.SYNC)
    companies = lives.companies(5)

    async def two_lives():
        loop = asyncio.get_running_loop()
        stop = replace(STOP, signal=2)

        def during(engine):
            loop.call_later(100, engine.stop, stop)

        assert await world.live(companies, during=during) == stop
        assert loop.time() < 101
        assert states(world, companies) == [State.RUNNING] * 5
        assert (world.counts.submit, world.counts.poll) == (5, 5), "all of them left"
        assert await world.live(companies) is None

    virtual.run(two_lives())
    assert states(world, companies) == [State.COMPLETED] * 5
    assert set(world.service.processed.values()) == {1}


def test_a_crash_between_the_end_and_the_result_loses_nothing(tmp_path):
    world = ScaleWorld(tmp_path)

    def die(request):
        if request.path.endswith("/result"):
            world.engine.stop(replace(STOP, signal=15))
            return Trouble.HANG
        return None

    world.network.script = die
    companies = lives.companies(1)

    async def two_lives():
        assert await world.live(companies) == replace(STOP, signal=15)
        assert states(world, companies) == [State.RUNNING]
        world.network.script = lambda _: None
        world.service.requests.clear()
        assert await world.live(companies) is None

    virtual.run(two_lives())
    assert states(world, companies) == [State.COMPLETED]
    assert world.requests == (0, 1, 1), "found finished again, then fetched"
    assert set(world.service.processed.values()) == {1}
