"""A job in shards over several workspaces: each with its key, grid and limit, and one output."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from enricher.simulator.routes import Endpoint
from tests.acceptance.desk import COMPANIES, PEOPLE, WEBSITES, Desk, cells, until
from tests.support.canary import KEY

KEY_B = "sk-second-" + KEY[::-1]
GRID_B = COMPANIES.copied("b0b0")
ALIKE = ("--limiter", "local", "--rate", "unlimited")
PAIRS = (
    *("--api-key-file", "a.key", "--grid", COMPANIES.id),
    *("--api-key-file", "b.key", "--grid", GRID_B.id),
)
COUNT = 4


def desk_of_two(new_desk, **settings) -> Desk:
    edited = replace(WEBSITES.copied("b0b0"), name="Other outputs")
    edited = replace(edited, columns=(*edited.columns[:-1],))
    own = {
        "api_key": KEY_B,
        "workspace_id": "ws-second",
        "grids": (GRID_B, edited, PEOPLE.copied("b0b0")),
    }
    desk = new_desk(others=[own], **settings)
    desk.key_file(KEY, "a.key")
    desk.key_file(KEY_B, "b.key")
    return desk


@pytest.fixture
def desk(new_desk) -> Desk:
    """A desk of two workspaces, whose grids are alike and have ids of their own."""
    return desk_of_two(new_desk)


def leads(desk: Desk, rows: int = 60) -> Path:
    lines = [f"Firma {n % 41},firma{n % 41}.example,{n}" for n in range(rows)]
    lines[7:7] = [",,blank", '"Two, ""words""",two.example,x']
    return desk.write("leads.csv", ["Company Name,Website,Note", *lines])


def planned(desk: Desk, *options: object, shards: int = COUNT, exits: int = 0):
    words = ("plan", "leads.csv", *ALIKE, *options, "--shards", shards, "-o", "m.json")
    return desk.do(*words, exits=exits)


def shard(index: int) -> tuple[str, ...]:
    return ("run", "--manifest", "m.json", "--shard", str(index))


def bought_by(desk: Desk) -> list[Counter[str]]:
    spaces = (desk.world.workspace, *desk.world.others)
    return [Counter(json.dumps(run.inputs) for run in one.runs) for one in spaces]


ASKING = [
    (),
    ("--no-dedupe",),
    ("--limit", 30),
    ("--output-column", "Employees", "--output-column", "Local Slogan"),
]


@pytest.mark.parametrize("options", ASKING)
def test_the_merged_output_is_that_of_one_key(desk: Desk, options) -> None:
    leads(desk)
    one = ("--api-key-file", "a.key", "--grid", COMPANIES.id)
    desk.do("run", "leads.csv", *ALIKE, *one, *options, "-o", "single.csv")
    single = bought_by(desk)[0]
    planned(desk, *PAIRS, *options)
    for index in range(COUNT):
        desk.do(*shard(index))
    desk.do("merge", "m.json", "-o", "merged.csv")
    merged = (desk.folder / "merged.csv").read_bytes()
    assert merged == (desk.folder / "single.csv").read_bytes()
    first, second = bought_by(desk)
    first -= single
    assert first + second == single, "each distinct input is paid once over both workspaces"
    share = second.total() / single.total()
    assert 0.25 < share < 0.75, "each has about half"


def test_a_cluster_runs_the_shards_of_all_keys(desk: Desk) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    leads(desk)
    one = ("--api-key-file", "a.key", "--grid", COMPANIES.id)
    desk.do("run", "leads.csv", *ALIKE, *one, "-o", "single.csv")
    single = bought_by(desk)[0]
    desk.do("run", "leads.csv", *ALIKE, *PAIRS, "--cluster", "local:1", "-o", "out.csv")
    out = (desk.folder / "out.csv").read_bytes()
    assert out == (desk.folder / "single.csv").read_bytes()
    first, second = bought_by(desk)
    first -= single
    assert first + second == single, "each distinct input is paid once over both workspaces"
    assert min(first.total(), second.total()) > 0, "one worker has a shard for each key"


def test_who_ran_a_shard_is_told(desk: Desk) -> None:
    leads(desk)
    said = planned(desk, *PAIRS)
    for words in ("shards 0, 2", "ws-5eed0000", "shards 1, 3", "ws-second", "b.key", "credits"):
        assert words in said.out
    desk.do(*shard(1))
    told = desk.do("status", "--manifest", "m.json", "--json").json
    assert [one["target"] for one in told["workspaces"]] == [COMPANIES.id, GRID_B.id]
    assert told["shards"][1]["run_by"] == {
        "account": "ws-second",
        "target": GRID_B.id,
        "api_key_file": str(desk.folder / "b.key"),
    }
    assert told["shards"][0] is None
    assert "ws-second" in desk.do("status", "--manifest", "m.json").out
    desk.do("merge", "m.json", "-o", "part.csv", "--partial", exits=4)
    statuses = Counter(cells(desk.folder / "part.csv").column("enrichment_status"))
    assert statuses["completed"] == told["rows"]["completed"]
    assert statuses["pending"] + statuses["completed"] + statuses["skipped"] == 62


def test_ids_are_polled_with_the_key_that_made_them(new_desk) -> None:
    desk = desk_of_two(new_desk, duration="constant:1")
    leads(desk)
    planned(desk, *PAIRS)
    second = desk.world.others[0]
    life = desk.start(*shard(1))
    until(lambda: len(second.runs) >= 3, "three submissions")
    life.process.kill()
    life.process.wait()
    said = desk.do(*shard(1), "--in-doubt", "retry", "--json")
    assert said.json["rows"]["completed"] == said.json["rows"]["total"]
    assert second.requests[Endpoint.STATUS] >= 3
    assert desk.world.workspace.requests[Endpoint.STATUS] == 0
    assert desk.world.workspace.runs == ()


def test_a_shard_goes_on_only_in_its_workspace(desk: Desk) -> None:
    leads(desk)
    planned(desk, *PAIRS)
    desk.do(*shard(0), "--max-runs", "2", exits=4)
    swapped = PAIRS[4:] + PAIRS[:4]
    planned(desk, *swapped)
    said = desk.do(*shard(0), exits=1)
    assert "was begun in the workspace ws-5eed0000; this key is of ws-second" in said.err
    planned(desk, *PAIRS)
    said = desk.do(*shard(0), "--api-key-file", "b.key", "--api-key-file", "a.key", exits=1)
    assert GRID_B.id not in said.err
    assert [one.total() for one in bought_by(desk)] == [2, 0]
    desk.do(*shard(0))
    assert bought_by(desk)[0].most_common(1)[0][1] == 1


def test_keys_may_have_moved(desk: Desk) -> None:
    leads(desk)
    planned(desk, *PAIRS)
    for name in ("a.key", "b.key"):
        (desk.folder / name).rename(desk.folder / f"moved-{name}")
        desk.key_files.append(desk.folder / f"moved-{name}")
    said = desk.do(*shard(1), "--api-key-file", "moved-b.key", exits=2)
    assert "--api-key-file: 1 given, and m.json is of 2 workspaces" in said.err
    both = ("--api-key-file", "moved-a.key", "--api-key-file", "moved-b.key")
    desk.do(*shard(1), *both)
    assert [bool(one) for one in bought_by(desk)] == [False, True]


def limits_of(desk: Desk) -> list[str]:
    return [path.name for path in desk.state.rglob("limits/*.db")]


@pytest.mark.parametrize(("pair", "shared"), [((0, 1), False), ((0, 2), True)])
def test_each_workspace_has_a_limit_of_its_own(desk: Desk, pair, shared) -> None:
    leads(desk)
    planned(desk, *PAIRS, "--limiter", "host", "--rate", 30)
    for name in limits_of(desk):  # of the plan
        next(desk.state.rglob(f"limits/{name}")).unlink()
    lives = [desk.start(*shard(index)) for index in pair]
    said = [life.end(0) for life in lives]
    assert len(limits_of(desk)) == (1 if shared else 2)
    assert any("keep one rate limit together" in one.err for one in said) is shared


JOB_FILE = """
input = "leads.csv"
[provider]
grid = {grids}
api_key_file = {keys}
[options]
rate = "unlimited"
limiter = "local"
"""


def job_file(desk: Desk, grids: list[str], keys: list[str]) -> None:
    desk.write("two.toml", [JOB_FILE.format(grids=json.dumps(grids), keys=json.dumps(keys))])


def test_a_job_file_has_lists(desk: Desk) -> None:
    leads(desk)
    job_file(desk, [COMPANIES.id, GRID_B.id], ["a.key", "b.key"])
    said = desk.do("plan", "two.toml", "--shards", 2, "-o", "m.json", "--json")
    assert [one["account"] for one in said.json["workspaces"]] == ["ws-5eed0000", "ws-second"]
    assert "BITSCALE_API_KEY is set, and not used" in said.err
    for index in range(2):
        desk.do(*shard(index))
    assert all(bought_by(desk))
    said = desk.do("run", "two.toml", exits=2)
    assert "2 keys can only run a job in shards" in said.err
    job_file(desk, [COMPANIES.id, GRID_B.id], ["a.key", "none.key"])
    said = desk.do("plan", "two.toml", "--shards", 2, "-o", "m.json", exits=1)
    assert "there is no file" in said.err
    job_file(desk, [COMPANIES.id, GRID_B.id], ["a.key"])
    words = ("plan", "two.toml", "--shards", 2, "-o", "m.json")
    said = desk.do(*words, exits=1, env={"BITSCALE_API_KEY": ""})
    assert "two.toml:4: provider.grid: 2 for 1 key file;" in said.err


REFUSED = [
    (("--api-key-file", "a.key", *PAIRS[2:4], *PAIRS[6:]), 4, 2, "--grid: 2 for 1 key file;"),
    ((*PAIRS, "--api-key-file", "c.key"), 4, 2, "--grid: 2 for 3 key files;"),
    ((*PAIRS[:4], "--api-key-file", "./a.key", "--grid", "x"), 4, 2, "a.key is given twice"),
    (PAIRS, 1, 2, "--shards 1: there are 2 keys, and each runs a shard at least"),
    ((*PAIRS, "--source-id", "x"), 4, 2, "--source-id: belongs to one grid"),
    ((*PAIRS[:6], "--grid", PEOPLE.copied("b0b0").id), 4, 1, "b.key: The inputs"),
    ((*PAIRS[:4], "--api-key-file", "b.key"), 4, 1, "b.key: "),
]  # fmt: skip


@pytest.mark.parametrize(("options", "shards", "code", "words"), REFUSED)
def test_what_does_not_fit_is_refused(desk: Desk, options, shards, code, words) -> None:
    leads(desk)
    said = planned(desk, *options, shards=shards, exits=code)
    assert words in said.err
    assert not (desk.folder / "m.json").exists()


def test_grids_must_be_alike(desk: Desk) -> None:
    desk.write("leads.csv", ["company_name", "Acme"])
    two = ("--api-key-file", "a.key", "--grid", WEBSITES.id, "--api-key-file", "b.key")
    said = planned(desk, *two, "--grid", WEBSITES.copied("b0b0").id, exits=1)
    assert f"has other outputs than {WEBSITES.id}" in said.err
    assert "'Website', 'Country', not 'Website', 'Country', 'Employees'" in said.err


def test_grids_must_take_the_same(desk: Desk) -> None:
    leads(desk)
    said = planned(desk, *PAIRS[:6], "--grid", WEBSITES.copied("b0b0").id, exits=1)
    assert "has other inputs than" in said.err
    assert "'company_name', not 'company_name', 'website'" in said.err


def test_several_keys_run_shards_only(desk: Desk) -> None:
    leads(desk)
    for verb in ("run", "plan"):
        said = desk.do(verb, "leads.csv", *PAIRS, exits=2)
        assert "2 keys can only run a job in shards" in said.err
        assert "--shards N" in said.err
    assert desk.requests == 0


def test_two_keys_of_one_workspace_are_told(desk: Desk) -> None:
    leads(desk)
    desk.key_file(KEY, "again.key")
    keys = ("--api-key-file", "a.key", "--api-key-file", "again.key", "--grid", COMPANIES.id)
    said = planned(desk, *keys, shards=2)
    assert "2 of the keys are of one workspace, ws-5eed0000" in said.err
    for index in range(2):
        desk.do(*shard(index))
    desk.do("merge", "m.json", "-o", "merged.csv")
    assert max(bought_by(desk)[0].values()) == 1
