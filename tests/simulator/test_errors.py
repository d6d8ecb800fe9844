"""Every documented error code, with its documented status (BitScale API v1, 2 to 5 and 7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.simulator import Access
from enricher.simulator.errors import ErrorCode
from enricher.simulator.grids import (
    COMPANIES,
    FOREIGN,
    NO_SOURCE,
    NO_SOURCE_COLUMN,
    PEOPLE,
)
from enricher.simulator.routes import Endpoint
from tests.simulator.driving import ACME, Answer, Driver

RUN = f"/grids/{COMPANIES.id}/run"
CURL = f"/grids/{COMPANIES.id}/curl"
NOWHERE = "5eed9999-0000-4000-8000-000000000000"
DEEP = b'{"inputs": ' + b"[" * 200_000

CASES: list[tuple[str, str, object, int, str]] = [
    ("GET", f"/grids/{NOWHERE}", None, 404, "GRID_NOT_FOUND"),
    ("GET", f"/grids/{NOWHERE}/curl", None, 404, "GRID_NOT_FOUND"),
    ("POST", f"/grids/{NOWHERE}/run", {"inputs": ACME}, 404, "GRID_NOT_FOUND"),
    ("GET", f"/grids/{FOREIGN.id}", None, 403, "GRID_NOT_FOUND"),
    ("GET", f"/grids/{FOREIGN.id}/curl", None, 403, "GRID_NOT_FOUND"),
    ("POST", f"/grids/{FOREIGN.id}/run", {"inputs": ACME}, 403, "GRID_NOT_FOUND"),
    ("GET", f"/grids/{NO_SOURCE.id}/curl", None, 400, "MISSING_SOURCE"),
    ("POST", f"/grids/{NO_SOURCE.id}/run", {"inputs": {}}, 400, "MISSING_SOURCE"),
    ("POST", f"/grids/{NO_SOURCE_COLUMN.id}/run", {"inputs": {}}, 400, "MISSING_SOURCE_COLUMN"),
    ("POST", RUN, {"inputs": ACME, "source_id": "nonsense"}, 400, "INVALID_SOURCE"),
    ("POST", RUN, {"inputs": ACME, "source_id": 7}, 400, "INVALID_SOURCE"),
    ("POST", RUN, {"inputs": ACME, "source_id": ["a"]}, 400, "INVALID_SOURCE"),
    ("POST", RUN, {"inputs": ACME, "source_id": {}}, 400, "INVALID_SOURCE"),
    ("POST", RUN, {"inputs": ACME, "source_id": "\ud800"}, 400, "INVALID_SOURCE"),
    ("POST", RUN, {"inputs": ACME, "source_id": COMPANIES.sources[1].id}, 400, "INVALID_SOURCE"),
    ("POST", RUN, b"{", 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, b"", 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, b"\xff\xfe", 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, DEEP, 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, b'{"inputs": {"company_name": NaN}}', 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, b"[1]", 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, {"mode": "async"}, 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, {"inputs": None}, 400, "MISSING_REQUIRED_FIELD"),
    ("POST", RUN, {"inputs": "Acme"}, 400, "INVALID_REQUEST"),
    ("POST", RUN, {"inputs": ACME, "mode": "later"}, 400, "INVALID_REQUEST"),
    ("POST", RUN, {"inputs": ACME, "mode": ["sync"]}, 400, "INVALID_REQUEST"),
    ("POST", RUN, {"inputs": ACME, "output_columns": "Tags"}, 400, "INVALID_REQUEST"),
    ("POST", RUN, b'{"inputs": {"company_name": "\\ud800"}}', 400, "INVALID_INPUTS"),
    ("POST", RUN, b'{"inputs": {"company_name": 1e999}}', 400, "INVALID_INPUTS"),
    ("GET", f"/run/status/{NOWHERE}", None, 404, "REQUEST_NOT_FOUND"),
    ("GET", "/nowhere", None, 404, "NOT_FOUND"),
    ("GET", "/workspace/", None, 404, "NOT_FOUND"),
    ("POST", "/workspace", None, 405, "METHOD_NOT_ALLOWED"),
    ("GET", RUN, None, 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/api-key/rotate", None, 405, "METHOD_NOT_ALLOWED"),
]


def check(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code)
    assert set(answer.body) == {"error"}
    assert set(answer.body["error"]) == {"code", "message"}
    assert "{detail}" not in answer.body["error"]["message"]
    assert answer.headers["x-ratelimit-limit"]
    assert answer.headers["x-ratelimit-remaining"]


def ask(driver: Driver, method: str, path: str, body: object = None) -> Answer:
    return driver.get(path) if method == "GET" else driver.post(path, body)


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), CASES)
def test_refusals(method, path, body, status, code) -> None:
    driver = Driver()
    check(ask(driver, method, path, body), status, code)
    assert driver.workspace.runs == (), "a refused request begins no run"
    assert driver.get("/workspace").body["credits"]["used"] == 12_400


@pytest.mark.parametrize("key", [None, "", "sk-live-wrong", " sk-sim"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/workspace"), ("POST", RUN), ("GET", "/nowhere")]
)
def test_a_missing_or_wrong_key(key, method, path) -> None:
    driver = Driver()
    driver.key = key
    refused = ask(driver, method, path)
    check(refused, 401, "INVALID_API_KEY")
    assert refused.body["error"]["message"] == "Missing or invalid X-API-KEY header"
    assert (driver.workspace.unauthorized, driver.workspace.accepted_at) == (1, ())


@pytest.mark.parametrize("asked", ["nonsense", COMPANIES.inputs[0].id, PEOPLE.outputs[0].id])
def test_output_columns_that_the_grid_does_not_have(asked) -> None:
    columns = f"{COMPANIES.outputs[0].id},{asked}"
    check(Driver().get(CURL, output_columns=columns), 400, "INVALID_OUTPUT_COLUMN")


def test_a_plan_without_runs() -> None:
    driver = Driver(access=Access.NO_RUNS)
    assert driver.get("/workspace").status == 200
    check(driver.run(), 403, "FEATURE_DISABLED")


def test_a_plan_without_the_api() -> None:
    driver = Driver(access=Access.NONE)
    check(driver.get("/workspace"), 403, "FEATURE_DISABLED")
    check(driver.run(), 403, "FEATURE_DISABLED")


def test_a_key_without_a_workspace() -> None:
    driver = Driver(workspace_exists=False)
    check(driver.get("/workspace"), 404, "WORKSPACE_NOT_FOUND")
    assert driver.get("/grids").status == 200


def test_broken_endpoints_do_nothing() -> None:
    driver = Driver(broken=frozenset({Endpoint.ROTATE, Endpoint.RUN}))
    check(driver.run(), 500, "INTERNAL_ERROR")
    check(driver.post("/api-key/rotate"), 500, "ROTATE_FAILED")
    assert driver.workspace.runs == ()
    assert driver.get("/workspace").status == 200, "the key is still good"


def test_a_wrong_method_is_told_the_right_one() -> None:
    assert Driver().post("/workspace").headers["allow"] == "GET"


def test_too_many_requests() -> None:
    driver = Driver(rate=5)
    assert [driver.get("/workspace").status for _ in range(6)] == [200] * 5 + [429]
    refused = driver.get("/grids")
    check(refused, 429, "RATE_LIMIT_EXCEEDED")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-ratelimit-limit"] == "5"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.body["error"]["message"] == (
        "Bitscale external API rate limit exceeded (5 requests/second per workspace)."
    )
    assert driver.workspace.rate_limited == 2


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
fields = st.sampled_from(["inputs", "mode", "source_id", "output_columns", "webhook_url"])


@given(st.dictionaries(fields, values) | values | st.binary())
def test_any_body_is_answered(body) -> None:
    driver = Driver()
    answer = driver.post(RUN, body)
    assert (answer.status == 200) == (len(driver.workspace.runs) == 1)
    assert answer.status in {200, 400}


def test_every_code_is_reached_by_some_test() -> None:
    reached = {code for *_, code in CASES} | {
        *("INVALID_API_KEY", "INVALID_OUTPUT_COLUMN", "FEATURE_DISABLED", "WORKSPACE_NOT_FOUND"),
        *("INTERNAL_ERROR", "ROTATE_FAILED", "RATE_LIMIT_EXCEEDED"),
        "RUN_FAILED",  # in test_runs.py
    }
    assert reached == {code.name for code in ErrorCode}
