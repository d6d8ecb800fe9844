"""A job in shards: planned once, run by processes of any kind, merged to what one run gives."""

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.desk import COMPANIES, ROOT, Desk, cells, until

RUN = ("--grid", COMPANIES.id, "--limiter", "local", "--rate", "unlimited")
COUNT = 3


def leads(desk: Desk, rows: int = 40) -> Path:
    lines = [f"Firma {n % 29},firma{n % 29}.example,{n}" for n in range(rows)]
    lines[7:7] = [",,blank", '"Two, ""words""",two.example,x']
    return desk.write("leads.csv", ["Company Name,Website,Note", *lines])


def planned(desk: Desk, *options: object, shards: int = COUNT) -> None:
    desk.do("plan", "leads.csv", *RUN, *options, "--shards", shards, "-o", "m.json")


def shard(index: int) -> tuple[str, ...]:
    return ("run", "--manifest", "m.json", "--shard", str(index))


@pytest.mark.parametrize("options", [(), ("--limit", 25), ("--no-dedupe",), ("--sample", 20)])
def test_the_merged_output_is_that_of_a_single_run(desk: Desk, options) -> None:
    leads(desk)
    desk.do("run", "leads.csv", *RUN, *options, "-o", "single.csv")
    single = Counter(map(str, desk.bought))
    planned(desk, *options)
    told = [desk.do(*shard(index), "--json").json for index in range(COUNT)]
    desk.do("merge", "m.json", "-o", "merged.csv")
    merged = (desk.folder / "merged.csv").read_bytes()
    assert merged == (desk.folder / "single.csv").read_bytes()
    both = Counter(map(str, desk.bought))
    assert both - single == single, "equal inputs meet in one shard and are paid once in all"
    assert sum(one["rows"]["total"] for one in told) == 42
    assert all(one["rows"]["completed"] for one in told), "every shard has work"
    assert {one["output"] for one in told} == {None}


def test_the_first_shard_says_who_knows_its_rows_and_how_not_to_buy_them(desk: Desk) -> None:
    leads(desk)
    desk.do("run", "leads.csv", *RUN, "-o", "single.csv")
    planned(desk)
    told = [desk.do(*shard(index)).err for index in range(2)]
    assert "inputs of shard 0 of 3; to buy them no second time: run it without shards" in told[0]
    assert "single.csv.checkpoint.db" in told[0]
    assert "second time" not in told[1], "once for all shards"


def test_shards_at_the_same_time_keep_one_limit(desk: Desk) -> None:
    leads(desk)
    planned(desk, "--limiter", "host", "--rate", 50)
    lives = [desk.start(*shard(index)) for index in range(COUNT)]
    said = [life.end(0) for life in lives]
    assert any("keep one rate limit together" in one.err for one in said)
    told = desk.do("status", "--manifest", "m.json", "--json").json
    assert (told["rows"]["total"], told["rows"]["skipped"]) == (42, 1)
    assert [one["outcome"] for one in told["shards"]] == ["finished"] * COUNT
    desk.do("merge", "m.json", "-o", "merged.csv")
    assert len(cells(desk.folder / "merged.csv").rows) == 42


def test_a_killed_shard_goes_on_where_it_stopped(new_desk) -> None:
    desk = new_desk(duration="constant:1")
    leads(desk)
    planned(desk)
    life = desk.start(*shard(1))
    until(lambda: len(desk.bought) >= 3, "three submissions")
    life.process.kill()
    life.process.wait()
    said = desk.do("merge", "m.json", "-o", "out.csv", exits=1)
    assert "0 (not begun), 1 (not finished), 2 (not begun)" in said.err
    desk.do("merge", "m.json", "-o", "out.csv", "--partial", exits=4)
    assert "pending" in cells(desk.folder / "out.csv").column("enrichment_status")
    for index in (0, 2):
        desk.do(*shard(index), exits=0)
    desk.do("merge", "m.json", "-o", "out.csv", "--partial", exits=4)
    desk.do(*shard(1), "--in-doubt", "retry", exits=0)
    desk.do("merge", "m.json", "-o", "out.csv")
    assert set(cells(desk.folder / "out.csv").column("enrichment_status")) == {
        "completed",
        "skipped",
    }


def test_two_processes_on_one_shard(new_desk) -> None:
    desk = new_desk(duration="constant:60")
    leads(desk)
    planned(desk)
    first = desk.start(*shard(0))
    until(lambda: desk.bought, "a submission")
    said = desk.do(*shard(0), exits=4)
    assert "is in use by another enricher process" in said.err
    first.process.kill()


@pytest.mark.parametrize(
    "variable", ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX"]
)
def test_a_scheduler_tells_the_shard(desk: Desk, variable) -> None:
    leads(desk)
    planned(desk)
    desk.do("run", "--manifest", "m.json", env={variable: "2"})
    assert "m.shards/shard-2-of-3.checkpoint.db" in desk.files()


def test_bad_input(desk: Desk) -> None:
    path = leads(desk)
    planned(desk)
    said = desk.do("run", "--manifest", "m.json", exits=2)
    assert "--shard is missing" in said.err
    assert "JOB_COMPLETION_INDEX" in said.err
    said = desk.do(*shard(3), exits=2)
    assert "m.json has 3, numbered 0 to 2" in said.err
    said = desk.do(*shard(-1), exits=2)
    assert "There is no shard -1" in said.err
    said = desk.do(
        *("run", "--manifest", "m.json"),
        env={"SLURM_ARRAY_TASK_ID": "1", "JOB_COMPLETION_INDEX": "2"},
        exits=2,
    )
    assert "cannot be told from" in said.err
    said = desk.do(*shard(0), "--grid", COMPANIES.id, exits=2)
    assert "the manifest says that" in said.err
    said = desk.do("run", "leads.csv", "--manifest", "m.json", exits=2)
    assert "INPUT and --manifest exclude each other" in said.err
    said = desk.do("plan", "leads.csv", *RUN, "--shards", 0, "-o", "m.json", exits=2)
    assert "--shards" in said.err
    said = desk.do("plan", "leads.csv", *RUN, "--shards", 2, "-o", "leads.csv", exits=1)
    assert "leads.csv exists, and is no manifest" in said.err
    path.write_text(path.read_text() + "One more,more.example,z\n")
    for words in (shard(0), ("merge", "m.json", "-o", "out.csv", "--partial")):
        said = desk.do(*words, exits=1)
        assert "The input has changed" in said.err or "Shards are missing" in said.err
    (desk.folder / "m.json").write_text("{}")
    said = desk.do(*shard(0), exits=1)
    assert "m.json is no manifest of enricher" in said.err
    assert desk.bought == []


def test_an_input_that_changed_after_the_shards_ran_is_not_merged(desk: Desk) -> None:
    path = leads(desk)
    planned(desk)
    for index in range(COUNT):
        desk.do(*shard(index))
    before = path.read_text()
    path.write_text(before.replace("Firma 3,", "Firma 4,"))
    for options in ((), ("--partial",)):
        said = desk.do("merge", "m.json", "-o", "out.csv", *options, exits=1)
        assert "The input has changed since m.json was written" in said.err
    assert not (desk.folder / "out.csv").exists()
    path.write_text(before)
    desk.do("merge", "m.json", "-o", "out.csv")


def test_a_manifest_never_sends_a_key_elsewhere(desk: Desk) -> None:
    leads(desk)
    planned(desk)
    for named in ("http://127.0.0.1:9/api/v1", ""):
        said = desk.do(*shard(0), env={"BITSCALE_BASE_URL": named}, exits=2)
        assert "Name it again if that is right" in said.err


def test_a_copy_of_the_input_is_as_good(desk: Desk) -> None:
    """Each machine may have its own: what counts is what stands in it."""
    path = leads(desk)
    planned(desk)
    shutil.copyfile(path, desk.folder / "copy.csv")
    path.unlink()
    for index in range(COUNT):
        desk.do(*shard(index), "--input", "copy.csv")
    desk.do("merge", "m.json", "-o", "merged.csv")
    assert len(cells(desk.folder / "merged.csv").rows) == 42


EXAMPLE = ROOT / "docs/examples/parallel.sh"


@pytest.mark.skipif(not shutil.which("parallel"), reason="GNU parallel is not installed")
@pytest.mark.parametrize(("fail_rate", "code"), [(0.0, 0), (0.4, 3)])
def test_gnu_parallel_runs_all_shards(new_desk, fail_rate: float, code: int) -> None:
    desk = new_desk(fail_rate=fail_rate)
    leads(desk)
    planned(desk)
    program = desk.write("enricher", ["#!/bin/sh", f'exec "{sys.executable}" -m enricher "$@"'])
    program.chmod(0o755)
    path = f"{desk.folder}:{desk.env['PATH']}"
    desk.start(under=("sh", str(EXAMPLE), "m.json", "out.csv"), env={"PATH": path}).end(code)
    assert len(cells(desk.folder / "out.csv").rows) == 42
