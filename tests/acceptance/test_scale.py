"""`--provider scale`: workflows of a simulated account, through the real command."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from enricher.simulator import Api, World, parse_duration, parse_faults
from enricher.simulator.scale import (
    COMPANY_PROFILE,
    LONG_LIST,
    PEOPLE_FINDER,
    Endpoint,
    SessionFate,
    Settings,
    session_fate,
)
from enricher.simulator.server import running_simulator
from tests.acceptance.desk import STATUS, Desk, cells, items, until
from tests.support.canary import KEY

MAPPED = ("-m", "company_name=Name", "--set", "region=DE")
LEADS = ("Name,Id", "Acme,001", "Umbrella,002", "Initech,003", "Acme,004")


@contextmanager
def scale_desk(
    folder: Path, duration: str = "0.2", faults: str = "", **settings: Any
) -> Iterator[Desk]:
    account = Settings(rate=None, duration=parse_duration(duration), **{"api_key": KEY, **settings})
    world = World(apis=(Api.SCALE,), scale=account, faults=parse_faults(faults))
    with running_simulator(world) as simulator:
        desk = Desk(folder, simulator, folder.parent / "state")
        yield desk
        desk.clear()


def env_of(desk: Desk, **more: str) -> dict[str, str]:
    return {
        "BITSCALE_BASE_URL": "",
        "BITSCALE_API_KEY": "",
        "SCALE_BASE_URL": desk.world.base_url_of(Api.SCALE),
        "SCALE_API_KEY": KEY,
        "SCALE_ACCOUNT_ID": desk.world.world.scale.account_id,
        **more,
    }


def run(desk: Desk, *words: object, workflow: str = COMPANY_PROFILE.id, **how: Any) -> Any:
    target = ("--provider", "scale", "--workflow", workflow)
    env = env_of(desk, **how.pop("env", {}))
    return desk.do("run", "leads.csv", *target, *MAPPED, *words, "--json", env=env, **how)


def profile(company: str) -> dict[str, Any]:
    (row,) = COMPANY_PROFILE.rows({"company_name": company, "region": "DE"})
    return row


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_run(tmp_path, mode) -> None:
    with scale_desk(tmp_path) as desk:
        desk.write("leads.csv", LEADS)
        said = run(desk, "--mode", mode)
        summary = said.json
        assert summary["provider"] == "scale"
        assert summary["target"] == COMPANY_PROFILE.id
        assert summary["rows"]["completed"] == 4
        assert summary["runs"]["submitted"] == 3, "equal rows share a run"
        assert summary["credits"] == {"before": None, "after": None}
        asked = desk.world.workflows.requests
        assert (asked[Endpoint.RUN], asked[Endpoint.RESULT]) == (3, 3)
        assert "in doubt" not in said.err, "nothing is exposed in either mode"
        if mode == "sync":  # exactly two requests a run, and one before them
            assert (asked[Endpoint.SESSION], summary["requests"]["total"]) == (1, 7)
        assert [dict(s.variables) for s in desk.world.workflows.sessions] == [
            {"company_name": name, "region": "DE"} for name in ("Acme", "Umbrella", "Initech")
        ]
        table = cells(desk.folder / "leads.enriched.csv")
        assert table.header == ["Name", "Id", "Company", "Headquarters", "Score", *STATUS]
        for row, name in zip(table.rows, ("Acme", "Umbrella", "Initech", "Acme"), strict=True):
            found = profile(name)
            assert row[2:4] == [name, found["headquarters"] or ""]
            assert json.loads(row[4]) == found["score"]

        again = run(desk, "--mode", mode).json
        assert (again["runs"]["submitted"], again["rows"]["reused"]) == (0, 4)


def test_results_of_several_rows_are_lists(tmp_path) -> None:
    with scale_desk(tmp_path) as desk:
        names = [f"Company {number}" for number in range(12)]
        desk.write("leads.csv", ["Name", *names])
        run(desk, "-o", "out.parquet", workflow=PEOPLE_FINDER.id)
        run(desk, "-o", "out.csv", workflow=PEOPLE_FINDER.id)
        table = cells(desk.folder / "out.csv")
        counts = set()
        for name, place, score in zip(
            names, table.column("Place"), table.column("Score"), strict=True
        ):
            rows = PEOPLE_FINDER.rows({"company_name": name, "region": "DE"})
            counts.add(len(rows))
            places, scores = ([row[id_] for row in rows] for id_ in ("place", "score"))
            if len(rows) == 1:
                assert (place, json.loads(score)) == (places[0] or "", scores[0])
            elif rows:
                assert (json.loads(place), json.loads(score)) == (places, scores)
            else:
                assert (place, score) == ("", "")
        assert counts == {0, 1, 2, 3, 4}
        assert pl.read_parquet(desk.folder / "out.parquet").height == 12


def test_results_of_several_rows_are_rows_on_request(tmp_path) -> None:
    with scale_desk(tmp_path) as desk:
        names = [f"Company {number}" for number in range(12)]
        desk.write("leads.csv", ["Name,Zip", *(f"{name},00123" for name in names)])
        told = run(desk, "-o", "out.csv", "--explode", workflow=PEOPLE_FINDER.id).json
        expected = [
            (name, row)
            for name in names
            for row in PEOPLE_FINDER.rows({"company_name": name, "region": "DE"}) or [{}]
        ]
        assert len(expected) > 12, "some results have several rows"
        table = cells(desk.folder / "out.csv")
        assert table.column("Name") == [name for name, _ in expected]
        assert set(table.column("Zip")) == {"00123"}
        assert table.column("Place") == [row.get("place") or "" for _, row in expected]
        assert (told["rows"]["total"], told["rows"]["completed"]) == (12, 12)
        assert set(table.column("enrichment_status")) == {"completed"}

        checkpoint = "out.csv.checkpoint.db"
        for name in ("rows.parquet", "rows.ndjson"):
            desk.do("export", checkpoint, "-o", name, "--explode")
        written = pl.read_parquet(desk.folder / "rows.parquet")
        assert written["Score"].dtype == pl.Float64, "not lists, and not JSON text"
        scores = [row.get("score") for _, row in expected]
        assert written["Score"].to_list() == scores
        lines = (desk.folder / "rows.ndjson").read_text().splitlines()
        assert [json.loads(line)["Score"] for line in lines] == scores
        assert run(desk, "-o", "out.csv", workflow=PEOPLE_FINDER.id).json["runs"]["submitted"] == 0
        assert len(cells(desk.folder / "out.csv").rows) == 12, "without the option a row is a row"


def test_failures_say_what_the_cards_said(tmp_path) -> None:
    with scale_desk(tmp_path, fail_rate=0.6) as desk:
        names = [f"Company {number}" for number in range(15)]
        desk.write("leads.csv", ["Name", *names])
        run(desk, "--max-failures", "100%", exits=3)
        settings = desk.world.world.scale
        errors = cells(desk.folder / "leads.enriched.csv").column("enrichment_error")
        codes = {
            SessionFate.COMPLETED: "",
            SessionFate.CARD_FAILED: "CARD_ERRORED",
            SessionFate.ERRORED: "SESSION_ERRORED",
            SessionFate.INACTIVE: "SESSION_INACTIVE",
        }
        fates = [
            session_fate(settings, COMPANY_PROFILE, {"company_name": name, "region": "DE"})
            for name in names
        ]
        assert [error.partition(":")[0] for error in errors] == [codes[fate] for fate in fates]
        told = errors[fates.index(SessionFate.CARD_FAILED)]
        assert "could not be run" in told


def test_a_result_that_is_not_whole_is_no_result(tmp_path) -> None:
    with scale_desk(tmp_path) as desk:
        desk.write("leads.csv", ["Name", "Acme"])
        run(desk, "--max-failures", "100%", workflow=LONG_LIST.id, exits=3)
        (error,) = cells(desk.folder / "leads.enriched.csv").column("enrichment_error")
        assert error.startswith("PARTIAL_RESULT: the result holds 2 of 5 rows")


def test_a_kill_while_sessions_run_and_a_resume_pay_nothing_twice(tmp_path) -> None:
    with scale_desk(tmp_path, duration="3") as desk:
        desk.write("leads.csv", LEADS)
        target = ("--provider", "scale", "--workflow", COMPANY_PROFILE.id, "--mode", "sync")
        life = desk.start("run", "leads.csv", *target, *MAPPED, env=env_of(desk))
        checkpoint = desk.folder / "leads.enriched.csv.checkpoint.db"
        until(
            lambda: [one["state"] for one in items(checkpoint)] == ["running"] * 3,
            "three sessions run",
        )
        life.process.kill()
        life.end()
        resumed = desk.do("resume", checkpoint, "--json", env=env_of(desk)).json
        assert (resumed["runs"]["submitted"], resumed["rows"]["completed"]) == (0, 4)
        assert set(desk.world.workflows.processed.values()) == {1}


def test_faults_leave_doubts_but_run_nothing_twice(tmp_path) -> None:
    faults = "drop_after=0.05,500=0.04,429=0.1,truncate=0.03,drop_before=0.03,html=0.02"
    with scale_desk(tmp_path, faults=faults) as desk:
        desk.write("leads.csv", ["Name", *(f"Company {number}" for number in range(40))])
        done = run(desk, "--max-failures", "100%", "--rate", "50", exits=3).json
        rows = done["rows"]
        assert rows["completed"] + rows["in_doubt"] == 40
        assert rows["in_doubt"] > 0
        assert set(desk.world.workflows.processed.values()) == {1}


def test_a_plan_counts_a_request_for_each_result(tmp_path) -> None:
    with scale_desk(tmp_path) as desk:
        desk.write("leads.csv", ["Name", *(f"Company {number}" for number in range(100))])
        words = ("plan", "leads.csv", "--provider", "scale", "--workflow", COMPANY_PROFILE.id)
        planned = [
            desk.do(*words, *MAPPED, "--mode", mode, "--json", env=env_of(desk)).json["requests"]
            for mode in ("sync", "auto", "async")
        ]
        assert planned[0] == planned[1] < planned[2]
        assert 200 <= planned[0] <= 205
        assert 300 <= planned[2] <= 320
        assert desk.do(*words, *MAPPED, env=env_of(desk)).out.startswith("Workflow:  ")
        assert desk.world.workflows.sessions == ()


# --- mistakes -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    with scale_desk(tmp_path_factory.mktemp("mistakes")) as desk:
        desk.write("leads.csv", LEADS)
        yield desk


SCALE = ("--provider", "scale", "--workflow", COMPANY_PROFILE.id, *MAPPED)
MISTAKES: dict[str, tuple[tuple[str, ...], dict[str, str], int, str]] = {
    "a grid for Scale": (
        (*SCALE, "--grid", "g-1"),
        {},
        2,
        "--grid: is an option of the provider bitscale, not of scale",
    ),
    "output columns for Scale": (
        (*SCALE, "--output-column", "Score"),
        {},
        2,
        "--output-column: is an option of the provider bitscale",
    ),
    "a workflow for BitScale": (
        ("--grid", "g-1", "--workflow", "wf-1"),
        {},
        2,
        "--workflow: is an option of the provider scale, not of bitscale",
    ),
    "no workflow": (("--provider", "scale"), {}, 2, "--workflow: is required"),
    "no base URL": (SCALE, {"SCALE_BASE_URL": ""}, 2, "--base-url: is required"),
    "an unknown provider": (
        ("--provider", "acme", "--grid", "g"),
        {},
        1,
        "There is no provider 'acme'. Installed: bitscale, 8bitedge, scale, http.",
    ),
    "no account": (SCALE, {"SCALE_ACCOUNT_ID": ""}, 1, "No account id: $SCALE_ACCOUNT_ID"),
    "no key": (SCALE, {"SCALE_API_KEY": ""}, 1, "No API key: $SCALE_API_KEY"),
    "another key": (SCALE, {"SCALE_API_KEY": "sk-another"}, 1, "Invalid API key or account ID"),
    "another account": (SCALE, {"SCALE_ACCOUNT_ID": "acct-9"}, 1, "check SCALE_ACCOUNT_ID too"),
    "a workflow that is not there": (
        ("--provider", "scale", "--workflow", "wf-nowhere", *MAPPED),
        {},
        1,
        "WORKFLOW_NOT_FOUND: Workflow not found or you do not have access.",
    ),
    "no variables": (
        ("--provider", "scale", "--workflow", COMPANY_PROFILE.id),
        {},
        1,
        "none is given",
    ),
    "credits": ((*SCALE, "--max-credits", "5"), {}, 2, "--max-credits needs a provider"),
}


@pytest.mark.parametrize(("words", "env", "code", "told"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_cost_nothing(desk, words, env, code, told) -> None:
    said = desk.do("run", "leads.csv", *words, env=env_of(desk, **env), exits=code)
    assert told in said.err
    assert desk.world.workflows.sessions == ()
