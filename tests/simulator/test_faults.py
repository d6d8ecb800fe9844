"""Faults on request: what they are, when they strike, and that a connection really breaks."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from enricher.simulator import (
    Api,
    Fault,
    Faults,
    Settings,
    World,
    eightbitedge,
    parse_faults,
    scale,
)
from enricher.simulator.durations import Constant
from enricher.simulator.faults import MEANINGS
from enricher.simulator.grids import COMPANIES
from enricher.simulator.scale import COMPANY_PROFILE
from enricher.simulator.server import RunningSimulator, running_simulator
from tests.simulator.driving import ACME

AT_ONCE: dict[str, Any] = {"rate": None, "duration": Constant(0)}


def test_a_spec() -> None:
    faults = parse_faults("drop_after=0.02, 500=0.01,slow=0", seed=3)
    assert faults == Faults({Fault.DROP_AFTER: 0.02, Fault.BROKEN: 0.01, Fault.SLOW: 0}, seed=3)
    assert parse_faults("") == Faults()


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("explode=0.1", "'explode' is no fault"),
        ("drop_after", "needs a share from 0 to 1"),
        ("drop_after=often", "needs a share from 0 to 1"),
        ("429=1.5", "needs a share from 0 to 1"),
        ("html=nan", "needs a share from 0 to 1"),
        ("html=0.1,html=0.2", "twice"),
        ("html=0.6,500=0.6", "exceed 1"),
    ],
)
def test_a_bad_spec(spec, word) -> None:
    with pytest.raises(ValueError, match=re.escape(word)):
        parse_faults(spec)


def test_a_kind_that_is_none_is_told_them_all() -> None:
    with pytest.raises(ValueError, match="no fault") as problem:
        parse_faults("explode=0.1")
    for fault in Fault:
        assert f"{fault} " in str(problem.value)
        assert MEANINGS[fault] in str(problem.value)


def test_shares_are_kept_and_seeded() -> None:
    faults = parse_faults("drop_after=0.2,500=0.1")
    struck = [faults.of(number) for number in range(10_000)]
    assert 0.18 < struck.count(Fault.DROP_AFTER) / 10_000 < 0.22
    assert 0.08 < struck.count(Fault.BROKEN) / 10_000 < 0.12
    assert struck == [faults.of(number) for number in range(10_000)]
    assert struck != [parse_faults("drop_after=0.2,500=0.1", 1).of(n) for n in range(10_000)]


def test_which_faults_process() -> None:
    faults = Faults()
    always = {fault: {faults.processes(fault, number) for number in range(50)} for fault in Fault}
    assert always == {
        Fault.DROP_BEFORE: {False},
        Fault.DROP_AFTER: {True},
        Fault.TRUNCATE: {True},
        Fault.SLOW: {True},
        Fault.HANG: {True},
        Fault.LIMITED: {False},
        Fault.BROKEN: {True, False},
        Fault.UNAVAILABLE: {False},
        Fault.HTML: {True, False},
    }


@contextmanager
def struck_by(fault: Fault, seed: int = 0) -> Iterator[RunningSimulator]:
    """All three APIs, and every request goes wrong."""
    world = World(
        apis=tuple(Api),
        bitscale=Settings(**AT_ONCE),
        eightbitedge=eightbitedge.Settings(**AT_ONCE),
        scale=scale.Settings(**AT_ONCE),
        faults=Faults({fault: 1.0}, seed),
    )
    with running_simulator(world) as simulator:
        yield simulator


def submit(simulator: RunningSimulator, api: Api, timeout: float = 30) -> httpx2.Response:
    world = simulator.world
    path, body, headers = {
        Api.BITSCALE: (
            f"/grids/{COMPANIES.id}/run",
            {"mode": "async", "inputs": ACME},
            {"X-API-KEY": world.bitscale.api_key},
        ),
        Api.EIGHTBITEDGE: (
            "/signals/batch",
            {"requests": [{"id": 1}]},
            {"Authorization": f"Bearer {world.eightbitedge.token}"},
        ),
        Api.SCALE: (
            "/v1/workflow/run",
            {"workflowId": COMPANY_PROFILE.id},
            {
                "x-scale-api-key": world.scale.api_key,
                "x-selected-account-id": world.scale.account_id,
            },
        ),
    }[api]
    url = simulator.base_url_of(api) + path
    return httpx2.post(url, json=body, headers=headers, timeout=timeout)


def bought(simulator: RunningSimulator, api: Api) -> int:
    return {
        Api.BITSCALE: len(simulator.workspace.runs),
        Api.EIGHTBITEDGE: simulator.batches.metered,
        Api.SCALE: len(simulator.workflows.sessions),
    }[api]


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize(
    ("fault", "processed"), [(Fault.DROP_BEFORE, 0), (Fault.DROP_AFTER, 1), (Fault.TRUNCATE, 1)]
)
def test_connections_break(api, fault, processed) -> None:
    with struck_by(fault) as simulator:
        with pytest.raises(httpx2.RemoteProtocolError) as broken:
            submit(simulator, api)
        assert ("complete message body" in str(broken.value)) == (fault is Fault.TRUNCATE)
        assert bought(simulator, api) == processed
        assert simulator.app.struck == {fault: 1}


@pytest.mark.parametrize("api", Api)
def test_a_hanging_answer_never_comes(api) -> None:
    with struck_by(Fault.HANG) as simulator:
        with pytest.raises(httpx2.ReadTimeout):
            submit(simulator, api, timeout=0.3)
        assert bought(simulator, api) == 1


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize(("fault", "status"), [(Fault.LIMITED, 429), (Fault.UNAVAILABLE, 503)])
def test_refusals_that_ask_to_wait(api, fault, status) -> None:
    with struck_by(fault) as simulator:
        refused = submit(simulator, api)
        assert (refused.status_code, refused.headers["retry-after"]) == (status, "1")
        assert refused.json()["error"]
        assert bought(simulator, api) == 0


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.HTML])
def test_server_errors_come_before_and_after(api, fault) -> None:
    counts = set()
    for seed in range(8):
        with struck_by(fault, seed) as simulator:
            broken = submit(simulator, api)
            counts.add(bought(simulator, api))
        if fault is Fault.HTML:
            assert broken.status_code == 502
            assert broken.headers["content-type"] == "text/html"
        else:
            assert (broken.status_code, bool(broken.json()["error"])) == (500, True)
    assert counts == {0, 1}


def test_descriptions_are_spared_and_apis_stand_apart() -> None:
    with struck_by(Fault.DROP_BEFORE) as simulator:
        for api in Api:
            found = httpx2.get(f"{simulator.base_url_of(api)}/openapi.json")
            assert found.json()["servers"] == [{"url": api.prefix}]
    with running_simulator(World(apis=(Api.SCALE,))) as simulator:
        elsewhere = httpx2.get(f"{simulator.base_url}/workspace")
        assert (elsewhere.status_code, json.loads(elsewhere.content)["error"]["code"]) == (
            404,
            "NOT_FOUND",
        )
