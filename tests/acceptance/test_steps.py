"""Waterfalls: a job file of several steps over simulated APIs, through the real command."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from enricher.simulator import Api, Settings, World, parse_duration, parse_faults
from enricher.simulator import eightbitedge as edge
from enricher.simulator import scale as gp
from enricher.simulator.server import running_simulator
from tests.acceptance.desk import COMPANIES, STATUS, Desk, cells, items, until
from tests.support.canary import KEY

NAMES = [f"Company {number}" for number in range(30)]
HEAD = 'input = "leads.csv"\noutput = "out.csv"\n'
OPTIONS = '[options]\nrate = "unlimited"\nmax_failures = "100%"\n'
BITSCALE = f"""\
[[steps]]
WANTED
[steps.provider]
name = "bitscale"
grid = "{COMPANIES.id}"
[steps.inputs]
company_name = "Name"
website = "Site"
"""
SCALE = f"""\
[[steps]]
WANTED
[steps.provider]
name = "scale"
workflow = "{gp.COMPANY_PROFILE.id}"
[steps.inputs]
company_name = "Name"
"""
EDGE = """\
[[steps]]
[steps.provider]
name = "8bitedge"
endpoint = "signals"
[steps.inputs]
name = "Name"
"""


def job_of(*steps: str, wanted: tuple[str, ...] = (), options: str = OPTIONS) -> str:
    named = [*(f'wanted = ["{name}"]' if name else "" for name in wanted), *[""] * len(steps)]
    told = [step.replace("WANTED", want) for step, want in zip(steps, named, strict=False)]
    return "\n".join([HEAD, options, *told])


@contextmanager
def desk_of(
    folder: Path, *, fails: float = 0.0, scale_fails: float = 0.0, faults: str = "", **more: Any
) -> Iterator[Desk]:
    """A desk with all three APIs; runs of the second last as long as `lasting` says."""
    short = parse_duration("0.2")
    lasting = parse_duration(more.pop("lasting", "0.2"))
    world = World(
        apis=(Api.BITSCALE, Api.SCALE, Api.EIGHTBITEDGE),
        bitscale=Settings(rate=None, duration=short, api_key=KEY, fail_rate=fails),
        scale=gp.Settings(rate=None, duration=lasting, api_key=KEY, fail_rate=scale_fails),
        eightbitedge=edge.Settings(rate=None, duration=short, token=KEY, stub=False),
        faults=parse_faults(faults),
    )
    with running_simulator(world) as simulator:
        desk = Desk(folder, simulator, folder.parent / "state")
        desk.write("leads.csv", ["Name,Site", *(f"{name},{n}.com" for n, name in enumerate(NAMES))])
        yield desk
        desk.clear()


def env_of(desk: Desk) -> dict[str, str]:
    return {
        "SCALE_BASE_URL": desk.world.base_url_of(Api.SCALE),
        "SCALE_API_KEY": KEY,
        "SCALE_ACCOUNT_ID": desk.world.world.scale.account_id,
        "EIGHTBITEDGE_BASE_URL": desk.world.base_url_of(Api.EIGHTBITEDGE),
        "EIGHTBITEDGE_TOKEN": KEY,
    }


def do(desk: Desk, *words: object, job: str = "", **how: Any) -> Any:
    if job:
        (desk.folder / "leads.job.toml").write_text(job)
    return desk.do(*words, env=env_of(desk), **how)


def run(desk: Desk, job: str = "", *words: object, **how: Any) -> Any:
    return do(desk, "run", "leads.job.toml", "--json", *words, job=job, **how).json


def sessions(desk: Desk) -> list[str]:
    return sorted(one.variables["company_name"] for one in desk.world.workflows.sessions)


def bought(desk: Desk) -> tuple[int, int, int]:
    return len(desk.bought), len(sessions(desk)), sum(desk.world.batches.processed.values())


CHECKPOINT = "leads.job.checkpoint.db"


def test_what_fails_goes_on_to_the_next_step(tmp_path) -> None:
    with desk_of(tmp_path, fails=0.5, scale_fails=0.5) as desk:
        told = run(desk, job_of(BITSCALE, SCALE, EDGE))
        out = cells(desk.folder / "out.csv")
        step = out.column("enrichment_step")
        by = {
            name: [row for row in out.records() if row["enrichment_step"] == name] for name in step
        }
        assert set(by) == {"1 bitscale", "2 scale", "3 8bitedge"}
        assert Counter(out.column("enrichment_status")) == {"completed": 30}
        left = [row["Name"] for row in out.records() if row not in by["1 bitscale"]]
        assert sorted(left) == sessions(desk)
        assert bought(desk) == (30, 30 - len(by["1 bitscale"]), len(by["3 8bitedge"]))

        names = [column.name for column in COMPANIES.outputs]
        more = [n for n in ("Company", "Headquarters", "Score") if n not in names]
        last = ["signal", "strength", "enrichment_step", *STATUS]
        assert out.header == ["Name", "Site", *names, *more, *last]
        for row in by["2 scale"]:
            (found,) = gp.COMPANY_PROFILE.rows({"company_name": row["Name"]})
            assert json.loads(row["Score"]) == found["score"]
            assert row["signal"] == ""
        assert [row["Score"] for row in by["1 bitscale"]] == [""] * len(by["1 bitscale"])

        assert (told["outcome"], told["exit_code"], told["rows"]["completed"]) == (
            "finished",
            0,
            30,
        )
        assert [one["provider"] for one in told["steps"]] == ["bitscale", "scale", "8bitedge"]
        submitted = [one["runs"]["submitted"] for one in told["steps"]]
        assert tuple(submitted) == bought(desk)
        assert told["runs"]["submitted"] == sum(submitted)
        assert [one["rows"]["failed"] for one in told["steps"][:2]] == submitted[1:]
        assert told["steps"][0]["credits"]["after"] is not None
        assert told["steps"][1]["credits"] == {"before": None, "after": None}

        before = (desk.folder / "out.csv").read_bytes()
        again = run(desk)
        assert (again["runs"]["submitted"], again["rows"]) == (0, {**told["rows"], "reused": 30})
        assert (desk.folder / "out.csv").read_bytes() == before
        do(desk, "export", CHECKPOINT, "-o", "all.parquet")
        table = pl.read_parquet(desk.folder / "all.parquet")
        assert table["enrichment_step"].to_list() == step
        assert table["Score"].dtype == pl.Float64
        status = do(desk, "status", CHECKPOINT, "--json").json
        assert (status["rows"], status["steps"]) == (again["rows"], again["steps"])


def test_results_without_a_wanted_output_go_on_and_are_kept(tmp_path) -> None:
    with desk_of(tmp_path) as desk:
        told = run(desk, job_of(SCALE, EDGE, wanted=("Headquarters",)))
        found = {name: gp.COMPANY_PROFILE.rows({"company_name": name})[0] for name in NAMES}
        empty = [name for name in NAMES if not found[name]["headquarters"]]
        assert 0 < len(empty) < 30
        assert bought(desk) == (0, 30, len(empty))
        out = cells(desk.folder / "out.csv").records()
        assert [row["Name"] for row in out if row["enrichment_step"] == "2 8bitedge"] == empty
        for row in out:
            assert json.loads(row["Score"]) == found[row["Name"]]["score"], "it was paid"
            assert bool(row["signal"]) == (row["Name"] in empty)
        assert told["rows"]["completed"] == 30


def test_a_wanted_output_that_is_none_is_a_mistake(tmp_path) -> None:
    with desk_of(tmp_path) as desk:
        said = do(
            desk, "run", "leads.job.toml", job=job_of(BITSCALE, EDGE, wanted=("Nope",)), exits=1
        )
        assert "Step 1 bitscale wants 'Nope', which is none of its outputs" in said.err
        assert bought(desk) == (0, 0, 0)
        job = job_of(SCALE, EDGE, wanted=("Headqarters",))
        said = do(desk, "run", "leads.job.toml", job=job, exits=1)
        assert "Step 1 scale wants 'Headqarters'" in said.err, "known when results came"
        assert bought(desk) == (0, 30, 0)
        told = run(desk, job_of(SCALE, EDGE, wanted=("Headquarters",)))
        assert told["steps"][0]["runs"]["submitted"] == 0


def test_what_is_in_doubt_does_not_go_on(tmp_path) -> None:
    with desk_of(tmp_path, fails=0.3, faults="drop_after=0.2") as desk:
        told = run(desk, job_of(BITSCALE, SCALE), exits=3)
        doubts = told["steps"][0]["rows"]["in_doubt"]
        assert doubts > 0
        out = cells(desk.folder / "out.csv").records()
        held = [r["Name"] for r in out if r["enrichment_status"] == "in_doubt"]
        assert told["rows"]["in_doubt"] == len(held) >= doubts
        asked = Counter(run["company_name"] for run in desk.bought)
        assert set(asked.values()) == {1}
        first, second = (one["rows"] for one in told["steps"])
        assert second["skipped"] == 30 - first["failed"]
        listed = do(desk, "status", CHECKPOINT).out
        assert listed.count("company_name") >= len(held), "of both steps"

        words = ("resume", CHECKPOINT, "--in-doubt", "fail", "--json")
        closed = desk.start(*words, env=env_of(desk)).end().json
        first, second = closed["steps"]
        assert (first["runs"]["submitted"], first["rows"]["in_doubt"]) == (0, 0)
        assert second["runs"]["submitted"] > 0, "closed as failed, they go on"
        assert set(Counter(sessions(desk)).values()) == {1}
        assert set(Counter(run["company_name"] for run in desk.bought).values()) == {1}


def running(desk: Desk) -> list[Any]:
    """The sessions whose ids are on disk, and which go on."""
    known = [one for one in items(desk.folder / CHECKPOINT) if one["state"] == "running"]
    return [one for one in known if one["target"] == gp.COMPANY_PROFILE.id]


def test_a_kill_in_the_second_step_pays_nothing_twice(tmp_path) -> None:
    with desk_of(tmp_path, fails=0.5, lasting="4") as desk:
        (desk.folder / "leads.job.toml").write_text(job_of(BITSCALE, SCALE, EDGE))
        life = desk.start("run", "leads.job.toml", env=env_of(desk))
        until(lambda: len(running(desk)) >= 8, "eight sessions run")
        life.process.kill()
        life.end()
        status = do(desk, "status", CHECKPOINT, "--json").json
        assert (status["outcome"], status["provider"]) == ("interrupted", "scale")
        assert status["rows"]["pending"] + status["rows"]["in_doubt"] > 0
        do(desk, "export", CHECKPOINT, "-o", "some.csv")
        assert set(cells(desk.folder / "some.csv").column("enrichment_step")) == {"1 bitscale", ""}
        told = do(desk, "resume", CHECKPOINT, "--retry-failed", "--json", exits=None).json
        assert told["steps"][0]["runs"]["submitted"] == 0, "the pass goes on: nothing failed before"
        assert len(desk.bought) == 30
        assert set(Counter(sessions(desk)).values()) == {1}
        assert told["rows"]["completed"] + told["rows"]["in_doubt"] == 30


def test_failures_that_a_later_step_has_answered_are_not_bought_again(tmp_path) -> None:
    with desk_of(tmp_path, fails=0.6, scale_fails=0.5) as desk:
        told = run(desk, job_of(BITSCALE, SCALE), exits=3)
        failed, open_ = (one["rows"]["failed"] for one in told["steps"])
        assert 0 < open_ < failed
        assert told["rows"]["failed"] == open_
        before = bought(desk)
        planned = do(desk, "plan", "leads.job.toml", "--retry-failed", "--json").json
        assert planned["steps"][0]["new_runs"] == open_
        again = run(desk, "", "--retry-failed", exits=None)
        assert again["steps"][0]["runs"]["resubmitted_failed"] == open_
        assert bought(desk)[0] == before[0] + open_
        rows = cells(desk.folder / "out.csv").records()
        assert Counter(row["enrichment_status"] for row in rows)["completed"] >= 30 - open_
        assert again["rows"]["total"] == 30


def test_each_step_has_its_own_cap(tmp_path) -> None:
    with desk_of(tmp_path, fails=0.5) as desk:
        capped = SCALE + "[steps.options]\nmax_runs = 4\n"
        told = run(desk, job_of(BITSCALE, capped, EDGE), exits=4)
        assert (told["reason_code"], told["outcome"]) == ("max_runs", "stopped")
        assert [one["runs"]["submitted"] for one in told["steps"]] == [30, 4]
        assert bought(desk) == (30, 4, 0)
        rows = cells(desk.folder / "out.partial.csv").records()
        assert Counter(row["enrichment_step"] for row in rows)["2 scale"] == 4
        assert told["rows"]["pending"] > 0
        run(desk, "", exits=4)
        assert bought(desk) == (30, 8, 0)
        done = run(desk, job_of(BITSCALE, SCALE, EDGE))
        assert done["steps"][0]["runs"]["submitted"] == 0
        assert not (desk.folder / "out.partial.csv").exists()


def test_a_signal_stops_all_steps(tmp_path) -> None:
    with desk_of(tmp_path, fails=0.5, lasting="3") as desk:
        (desk.folder / "leads.job.toml").write_text(job_of(BITSCALE, SCALE, EDGE))
        life = desk.start("run", "leads.job.toml", "--json", env=env_of(desk))
        until(lambda: len(sessions(desk)) >= 5, "five sessions run")
        life.process.terminate()
        told = life.end(143).json
        assert (told["reason_code"], len(told["steps"])) == ("signal", 2)
        assert bought(desk)[2] == 0
        assert set(Counter(sessions(desk)).values()) == {1}


def test_a_plan_says_what_each_step_would_do_at_most(tmp_path) -> None:
    with desk_of(tmp_path, fails=0.5) as desk:
        job = job_of(BITSCALE, SCALE)
        said = do(desk, "plan", "leads.job.toml", job=job).out
        assert "Step 1 bitscale:" in said
        assert "Step 2 scale, at most:" in said
        planned = do(desk, "plan", "leads.job.toml", "--json").json
        assert [one["new_runs"] for one in planned["steps"]] == [30, 30]
        assert planned["new_runs"] == 60
        assert desk.files() == ["leads.csv", "leads.job.toml"]
        assert bought(desk) == (0, 0, 0)
        run(desk)
        planned = do(desk, "plan", "leads.job.toml", "--json").json
        assert [one["new_runs"] for one in planned["steps"]] == [0, 0]


def test_two_steps_of_one_provider_share_an_output_and_a_list_of_failures(tmp_path) -> None:
    with desk_of(tmp_path, scale_fails=0.6) as desk:
        people = SCALE.replace(gp.COMPANY_PROFILE.id, gp.PEOPLE_FINDER.id)
        options = OPTIONS + 'failures = "failures.csv"\nexplode = true\ncolumns = '
        options += '["Name", "Place", "enrichment_step"]\nallow_failures = "100%"\n'
        job = job_of(
            people, SCALE, wanted=("Place",), options=options.replace("columns", "# columns")
        )
        told = run(desk, job)
        out = cells(desk.folder / "out.csv")
        failed = {r["Name"] for r in out.records() if r["enrichment_status"] == "failed"}
        assert set(cells(desk.folder / "failures.csv").column("Name")) == failed
        assert 0 < len(failed) == told["rows"]["failed"] < told["steps"][0]["rows"]["failed"]
        for name in NAMES:
            rows = [row for row in out.records() if row["Name"] == name]
            if rows[0]["enrichment_step"] == "1 scale":
                found = gp.PEOPLE_FINDER.rows({"company_name": name})
                assert [row["Place"] for row in rows] == [one["place"] or "" for one in found]
                assert {row["enrichment_step"] for row in rows} == {"1 scale"}
        assert len(out.rows) > 30


def test_a_url_of_any_step_must_be_named_again(tmp_path) -> None:
    with desk_of(tmp_path) as desk:
        run(desk, job_of(SCALE, EDGE))
        env = {**env_of(desk), "EIGHTBITEDGE_BASE_URL": ""}
        said = desk.do("resume", CHECKPOINT, env=env, exits=2)
        assert "Name it again" in said.err
        said = desk.do("resume", CHECKPOINT, "--max-runs", "3", env=env_of(desk), exits=2)
        assert "--max-runs: is an option of one step" in said.err
        done = desk.do("resume", CHECKPOINT, "--json", env=env_of(desk)).json
        assert (done["outcome"], done["runs"]["submitted"]) == ("finished", 0)


MISTAKES = {
    "a target beside the steps": (
        job_of(BITSCALE, SCALE) + '[provider]\nname = "scale"\n',
        (),
        "provider: belongs to a step where there are some: [steps.provider]",
    ),
    "one step": (job_of(SCALE), (), "steps: one step is none"),
    "an unknown key": (
        job_of(SCALE, EDGE) + 'x = "Name"\n[steps.more]\n',
        (),
        "steps[2].more: unknown",
    ),
    "an output of a step": (
        job_of(SCALE, EDGE + '[steps.options]\nfailures = "f.csv"\n'),
        (),
        "steps[2].options.failures: is one for all steps",
    ),
    "a cap for all": (
        job_of(SCALE, EDGE, options="[options]\nmax_runs = 3\n"),
        (),
        "caps each step",
    ),
    "a workflow for 8bitedge": (
        job_of(SCALE, EDGE.replace("endpoint", "workflow")),
        (),
        "is an option of the provider scale, not of 8bitedge",
    ),
    "a key on the command line": (
        job_of(SCALE, EDGE),
        ("--api-key-file", "k"),
        "--api-key-file: is an option of one step",
    ),
}


@pytest.mark.parametrize(("job", "words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_cost_nothing(tmp_path_factory, job, words, told) -> None:
    with desk_of(tmp_path_factory.mktemp("mistakes")) as desk:
        (desk.folder / "leads.job.toml").write_text(job)
        said = desk.start("run", "leads.job.toml", *words, env=env_of(desk)).end()
        assert said.code in (1, 2)
        assert told in said.err
        assert bought(desk) == (0, 0, 0)
        assert desk.files() == ["leads.csv", "leads.job.toml"]
