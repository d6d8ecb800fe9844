"""Scale GP Workflows, section by section of their document."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.simulator import Held, Request
from enricher.simulator.durations import Constant
from enricher.simulator.scale import (
    COMPANY_PROFILE,
    LONG_LIST,
    PEOPLE_FINDER,
    Endpoint,
    SessionFate,
    Settings,
    Unready,
    WorkflowService,
    session_fate,
)
from tests.simulator.driving import Answer, answer

ACME = {"company_name": "Acme Corp", "region": "US"}
NOBODY: dict[str, str] = {}


class Client:
    """An account and its clock. A session takes 4 s, and nothing is limited."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**{"rate": None, "duration": Constant(4), **settings})
        self.service = WorkflowService(self.settings)
        self.headers = {
            "x-scale-api-key": self.settings.api_key,
            "x-selected-account-id": self.settings.account_id,
        }
        self.now = 1000.0

    def send(
        self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(method, path, query or {}, self.headers, content)
        return self.service.handle(request, self.now)

    def run(self, variables: Any = ACME, workflow: Any = COMPANY_PROFILE.id) -> Answer:
        body = {"workflowId": workflow, "variables": variables}
        return answer(self.send("POST", "/v1/workflow/run", body))

    def start(self, variables: Any = ACME, workflow: str = COMPANY_PROFILE.id) -> str:
        return str(self.run(variables, workflow).body["sessionId"])

    def state(self, session: str) -> Any:
        return answer(self.send("GET", f"/v1/sessions/{session}")).body["sessionState"]

    def result(self, session: str, **query: str) -> Answer:
        sent = self.send("GET", f"/v1/sessions/{session}/result", query=query)
        if isinstance(sent, Held):
            self.now = sent.until
            sent = self.service.finish_held(sent.request_id, self.now)
        return answer(sent)


def test_a_run_is_answered_with_its_session_at_once() -> None:
    client = Client()
    started = client.run()
    assert (started.status, set(started.body)) == (200, {"sessionId"})
    assert started.body["sessionId"].startswith("compass-sess-")
    assert client.start() != client.start(), "there is no idempotency"
    assert list(client.service.processed.values()) == [3]


def test_a_session_passes_through_its_states() -> None:
    client = Client()
    session = client.start()
    seen: list[tuple[str, tuple[str, ...]]] = []
    for _ in range(102):
        state = client.state(session)
        now = (state["status"], tuple(card["status"] for card in state["cards"]))
        seen += [now] if [now] != seen[-1:] else []
        client.now += 0.04
    assert seen == [
        ("starting", ("idle", "idle", "idle")),
        ("pending_work", ("pending", "idle", "idle")),
        ("processing", ("processing", "pending", "idle")),
        ("processing", ("completed", "processing", "pending")),
        ("processing", ("completed", "completed", "processing")),
        ("idle", ("completed", "completed", "completed")),
    ]
    assert client.state(session)["cards"][0] == {
        "id": "card-0",
        "context": {"cardType": "import_csv"},
        "status": "completed",
        "output": {},
    }


def test_the_result_is_waited_for() -> None:
    client = Client()
    done = client.result(client.start(), timeout="600000")
    assert (done.status, client.now) == (200, 1004.0)
    assert set(done.body) == {"data", "schema", "start", "end", "result"}
    assert (done.body["start"], done.body["end"]) == (0, 1)
    assert done.body["result"]["summary"] == {
        "totalNumberOfRows": 1,
        "executionDurationMillis": 4000,
    }
    (row,) = done.body["data"]
    assert row["subject"] == "Acme Corp"
    assert list(row) == [column["id"] for column in done.body["schema"]]
    assert done.body["schema"][2] == {"id": "score", "header": "Score", "type": "number"}


def test_results_have_no_several_or_too_many_rows() -> None:
    client = Client()
    counts = {
        len(client.result(client.start({"company_name": f"c{n}"}, PEOPLE_FINDER.id)).body["data"])
        for n in range(40)
    }
    assert counts == {0, 1, 2, 3, 4}
    partial = client.result(client.start(NOBODY, LONG_LIST.id)).body
    assert (partial["start"], partial["end"], len(partial["data"])) == (0, 2, 2)
    assert partial["result"]["summary"]["totalNumberOfRows"] == 5


def test_variables_override_defaults_and_unknown_ones_replace_nothing() -> None:
    client = Client()
    data = [
        client.result(client.start(variables)).body["data"]
        for variables in (
            {"company_name": "Acme"},
            {"company_name": "Acme", "region": "US"},
            {"company_name": "Acme", "colour": "red"},
            {"company_name": "Acme", "region": "DE"},
        )
    ]
    assert data[0] == data[1] == data[2] != data[3]


@pytest.mark.parametrize(
    ("unready", "status"), [(Unready.EMPTY, 200), (Unready.ERROR, 500)], ids=["empty", "error"]
)
def test_a_timeout_that_elapses(unready, status) -> None:
    client = Client(unready=unready)
    session = client.start()
    early = client.result(session, timeout="1500")
    assert (early.status, client.now) == (status, 1001.5)
    if status == 200:
        assert early.body["data"] == []
    assert len(client.result(session).body["data"]) == 1


def variables_that(settings: Settings, fate: SessionFate) -> dict[str, str]:
    """Variables whose session ends so."""
    found = ({"company_name": f"c{number}"} for number in range(1000))
    return next(one for one in found if session_fate(settings, COMPANY_PROFILE, one) is fate)


@pytest.mark.parametrize(
    ("fate", "status", "errored"),
    [
        (SessionFate.CARD_FAILED, "idle", 1),
        (SessionFate.ERRORED, "errored", 1),
        (SessionFate.INACTIVE, "inactive", 0),
    ],
)
def test_sessions_that_fail(fate, status, errored) -> None:
    client = Client(fail_rate=0.5)
    session = client.start(variables_that(client.settings, fate))
    client.now += 4
    state = client.state(session)
    assert state["status"] == status
    failed = [card for card in state["cards"] if card["status"] == "errored"]
    assert len(failed) == errored
    assert all(card["errorMessage"] for card in failed)
    before = client.now
    assert client.result(session, timeout="7000").body["data"] == []
    waited = 7 if fate is SessionFate.INACTIVE else 0  # waits for `idle` or `errored` only
    assert client.now - before == waited


@pytest.mark.parametrize("name", ["x-scale-api-key", "x-selected-account-id"])
@pytest.mark.parametrize("value", [None, "wrong"])
def test_a_header_that_is_missing_or_wrong(name, value) -> None:
    client = Client()
    client.headers = {**client.headers, name: value}
    if value is None:
        del client.headers[name]
    refused = client.run()
    assert refused.status == 401
    assert refused.body["error"] == "Unauthorized"
    if value is None:
        assert refused.body["message"] == "Missing authentication header."
    assert set(refused.body) == {"error", "message"}
    assert client.service.sessions == ()


@pytest.mark.parametrize("workflow", ["wf-nowhere", "wf-somebody-elses"])
def test_a_workflow_that_is_not_there_or_not_ours(workflow) -> None:
    refused = Client().run(workflow=workflow)
    assert (refused.status, refused.body) == (
        404,
        {"error": "Workflow not found or you do not have access.", "status_code": 404},
    )


def test_a_session_that_is_not_there() -> None:
    client = Client()
    for path in ("/v1/sessions/nowhere", "/v1/sessions/nowhere/result"):
        refused = answer(client.send("GET", path))
        assert (refused.status, refused.body["status_code"]) == (404, 404)


BAD = {
    "no JSON": b"{",
    "a list": [1],
    "no workflow": {"variables": {}},
    "a number for a workflow": {"workflowId": 7},
    "numbers for variables": {"workflowId": COMPANY_PROFILE.id, "variables": {"a": 1}},
    "a list for variables": {"workflowId": COMPANY_PROFILE.id, "variables": ["a"]},
    "half a letter": b'{"workflowId": "wf-company-profile", "variables": {"a": "\\ud800"}}',
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a_malformed_run(body) -> None:
    client = Client()
    refused = answer(client.send("POST", "/v1/workflow/run", body))
    assert (refused.status, set(refused.body)) == (400, {"error", "status_code"})
    assert client.service.sessions == ()


@pytest.mark.parametrize("timeout", ["", "soon", "-1", "1.5", "1e3", "٣"])
def test_a_malformed_timeout(timeout) -> None:
    client = Client()
    assert client.result(client.start(), timeout=timeout).status == 400


def test_variables_are_optional() -> None:
    body = {"workflowId": COMPANY_PROFILE.id}
    assert answer(Client().send("POST", "/v1/workflow/run", body)).status == 200


def test_too_many_requests_and_what_is_counted() -> None:
    client = Client(rate=2)
    session = client.start()
    client.state(session)
    refused = answer(client.send("GET", f"/v1/sessions/{session}"))
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert client.service.requests == {Endpoint.RUN: 1, Endpoint.SESSION: 1}
    assert client.service.rate_limited == 1


def test_paths_and_methods() -> None:
    client = Client()
    assert answer(client.send("GET", "/v1/workflow/run")).status == 405
    assert answer(client.send("GET", "/v1/nowhere")).status == 404


@given(st.binary() | st.dictionaries(st.sampled_from(["workflowId", "variables"]), st.text()))
def test_any_body_is_answered(body) -> None:
    assert answer(Client().send("POST", "/v1/workflow/run", body)).status in (400, 404)


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"fail_rate": 2}, {"api_key": ""}])
def test_settings_that_make_no_sense(wrong) -> None:
    with pytest.raises(ValueError, match="must"):
        Settings(**wrong)
