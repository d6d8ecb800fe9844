"""`--provider 8bitedge`: batches of a simulated account, through the real command."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from enricher.simulator import Api, World, parse_duration, parse_faults
from enricher.simulator.eightbitedge import Endpoint, Plan, Settings, data_of
from enricher.simulator.server import running_simulator
from tests.acceptance.desk import STATUS, Desk, cells, until
from tests.support.canary import KEY

LEADS = ("Name,Id", *(f"Company {n},{n:05}" for n in range(250)))


@contextmanager
def edge_desk(
    folder: Path, duration: str = "0.2", faults: str = "", **settings: Any
) -> Iterator[Desk]:
    known = {"token": KEY, "stub": False, "plan": Plan.STARTER, **settings}
    account = Settings(rate=None, duration=parse_duration(duration), **known)
    world = World(apis=(Api.EIGHTBITEDGE,), eightbitedge=account, faults=parse_faults(faults))
    with running_simulator(world) as simulator:
        desk = Desk(folder, simulator, folder.parent / "state")
        desk.write("leads.csv", LEADS)
        yield desk
        desk.clear()


def env_of(desk: Desk, **more: str) -> dict[str, str]:
    url = desk.world.base_url_of(Api.EIGHTBITEDGE)
    none = {"BITSCALE_BASE_URL": "", "BITSCALE_API_KEY": ""}
    return {**none, "EIGHTBITEDGE_BASE_URL": url, "EIGHTBITEDGE_TOKEN": KEY, **more}


COMMAND = ("leads.csv", "--provider", "8bitedge", "--endpoint", "signals", "-m", "name=Name")


def run(desk: Desk, *words: object, **how: Any) -> Any:
    env = env_of(desk, **how.pop("env", {}))
    return desk.do("run", *COMMAND, "--rate", "unlimited", *words, "--json", env=env, **how)


def processed(desk: Desk) -> Counter[int]:
    return Counter(desk.world.batches.processed.values())


def test_a_list_is_enriched_in_batches(tmp_path: Path) -> None:
    with edge_desk(tmp_path) as desk:
        told = run(desk).json
        assert (told["outcome"], told["runs"]["submitted"]) == ("finished", 250)
        assert told["requests"]["submit"] == 6  # one too large, and five of fifty
        assert (told["provider"], told["target"]) == ("8bitedge", "signals")
        assert processed(desk) == {1: 250}
        written = cells(tmp_path / "leads.enriched.csv")
        assert written.header == ["Name", "Id", "signal", "strength", *STATUS]
        for row in written.records():
            text = json.dumps({"name": row["Name"]}, separators=(",", ":"))
            expected = data_of(Endpoint.SIGNALS, text)
            assert (row["signal"], float(row["strength"])) == tuple(expected.values())

        desk.write("leads.csv", [*LEADS, "Another,1"])
        again = run(desk).json
        assert (again["runs"]["submitted"], again["requests"]["submit"]) == (1, 1)
        assert again["rows"]["reused"] == 250


@pytest.mark.parametrize("kill", ["-9", "-15"])
def test_killed_and_resumed_nothing_is_processed_twice(tmp_path: Path, kill: str) -> None:
    with edge_desk(tmp_path, duration="0.6", plan=Plan.FREE) as desk:
        words = ("--max-in-flight", "30", "--rate", "20")
        life = desk.start("run", *COMMAND, *words, env=env_of(desk))
        until(lambda: sum(processed(desk).values()) >= 60, "60 items processed")
        life.process.send_signal(int(kill[1:]))
        life.end()
        resumed = desk.do("resume", "leads.enriched.csv.checkpoint.db", "--json", env=env_of(desk))
        assert resumed.json["rows"]["completed"] == 250
        assert processed(desk) == {1: 250}


def test_with_answers_lost_nothing_is_processed_twice(tmp_path: Path) -> None:
    faults = "drop_after=0.15,drop_before=0.05,truncate=0.05"
    with edge_desk(tmp_path, plan=Plan.FREE, faults=faults, seed=3) as desk:
        told = run(desk).json
        assert told["rows"]["completed"] == 250
        assert told["requests"]["retried"] > 0
        assert processed(desk) == {1: 250}


def test_stubs_are_announced_and_asked_for_again_in_the_next_pass(tmp_path: Path) -> None:
    with edge_desk(tmp_path, stub=True) as desk:
        said = run(desk)
        assert said.err.count("Note: 8bitedge answers with stubs") == 1
        first = cells(tmp_path / "leads.enriched.csv").records()[0]
        assert (first["note"], json.loads(first["echo"])) == ("stub", {"name": "Company 0"})
        assert run(desk).json["runs"]["submitted"] == 250


def test_plan_asks_nothing_and_counts_batches(tmp_path: Path) -> None:
    with edge_desk(tmp_path) as desk:
        planned = desk.do("plan", *COMMAND, "--json", env=env_of(desk)).json
        assert planned["new_runs"] == 250
        assert planned["requests"] <= 6
        assert sum(desk.world.batches.requests.values()) == 0


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--endpoint", "gossip"], 2, "'gossip' is none of enrichment, signals, intelligence"),
        (["--grid", "x"], 2, "--grid: is an option of the provider bitscale, not of 8bitedge"),
        (["--endpoint", ""], 2, "--endpoint: is required"),
        (["--max-credits", "5"], 2, "--max-credits needs a provider that tells its credits"),
    ],
)
def test_wrong_options(tmp_path: Path, words: list[str], code: int, expected: str) -> None:
    with edge_desk(tmp_path) as desk:
        said = desk.do("run", *COMMAND, *words, env=env_of(desk), exits=code)
        assert expected in said.err
        assert sum(desk.world.batches.requests.values()) == 0


@pytest.mark.parametrize(
    ("settings", "env", "expected"),
    [
        ({}, {"EIGHTBITEDGE_TOKEN": ""}, "EIGHTBITEDGE_TOKEN"),
        ({}, {"EIGHTBITEDGE_TOKEN": "8be-another"}, "token"),
        ({"scopes": frozenset({"enrichment.read"})}, {}, "insufficient_scope"),
    ],
)
def test_a_token_that_is_not_right_costs_nothing(
    tmp_path: Path, settings: dict[str, Any], env: dict[str, str], expected: str
) -> None:
    with edge_desk(tmp_path, **settings) as desk:
        told = run(desk, env=env, exits=1).json
        assert expected in told["error"]["message"]
        assert desk.world.batches.metered == 0
