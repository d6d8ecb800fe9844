"""A cluster whose workers share no disk: what counts is in an object store."""

import importlib.util
import os
import shutil
import signal
import urllib.request
from collections import Counter

import pytest

from tests.acceptance.bucket import Bucket, endpoint
from tests.acceptance.desk import cells, until
from tests.acceptance.test_cluster import alone, leads, run, workers
from tests.support.object_store import emptied

__all__ = ["endpoint"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="the extra dask is not installed"
)

STATE = ("--state-dir", "s3://crm/jobs/leads")


def test_a_worker_that_is_killed_costs_nothing_that_is_not_listed(new_desk, endpoint) -> None:
    """300 rows in 3 shards; whoever goes on has neither the input nor the manifest on its disk."""
    desk = new_desk(rate=150.0, duration="constant:0.3")
    bucket = Bucket(desk, endpoint)
    leads(desk, 300)
    life = desk.start(*run("--rate", 150, *STATE), env=bucket.env)
    until(lambda: len(desk.bought) >= 60, "three shards at work")
    (desk.folder / "leads.csv").rename(desk.folder / "away")
    os.kill(workers(life)[0], signal.SIGKILL)
    until(lambda: "goes on with another worker" in life.line_on_stderr(), "another worker")
    until(lambda: len(desk.bought) >= 200, "submissions of whoever goes on")
    (desk.folder / "away").rename(desk.folder / "leads.csv")
    said = life.end()
    told = said.json
    doubts = told["rows"]["in_doubt"]
    assert said.code == (3 if doubts else 0), said.err
    assert told["rows"]["completed"] == 300 - doubts
    assert max(Counter(map(str, desk.bought)).values()) == 1, "nothing is bought twice"
    rows = zip(alone(desk).rows, cells(desk.folder / "out.csv").rows, strict=True)
    assert sum(mine != other for other, mine in rows) == doubts, "all others are those of one run"


def test_the_same_command_goes_on_from_another_machine(new_desk, endpoint) -> None:
    """Which has the list, and nothing else of the one that began; the output is an object."""
    desk = new_desk(duration="constant:0.5")
    bucket = Bucket(desk, endpoint)
    leads(desk, 40)
    words = [word.replace("out.csv", "s3://crm/out.csv") for word in run(*STATE, on="local:2")]
    life = desk.start(*words, "--rate", 20, env=bucket.env)
    until(lambda: len(desk.bought) >= 12, "submissions")
    life.process.send_signal(signal.SIGTERM)
    told = life.end(143).json
    assert (told["outcome"], told["rows"]["total"], told["rows"]["in_doubt"]) == ("stopped", 40, 0)
    shutil.rmtree(desk.folder / "state")
    bought = len(desk.bought)
    told = bucket.do(*words, "--rate", 500).json
    assert (told["rows"]["completed"], told["runs"]["submitted"]) == (40, 40 - bought)
    assert len(desk.bought) == 40, "nothing is bought twice"
    alone(desk)
    assert bucket.get("out.csv") == (desk.folder / "alone.csv").read_bytes()


def test_its_state_is_seen_while_it_runs(new_desk, endpoint) -> None:
    desk = new_desk(duration="constant:0.3")
    bucket = Bucket(desk, endpoint)
    leads(desk, 400)
    life = desk.start(*run("--rate", 10, *STATE, on="local:2"), env=bucket.env)
    manifest = "out.csv.shards/manifest.json"
    status = ("status", "--manifest", manifest, "--json")
    until(lambda: len(desk.bought) >= 10, "submissions")
    until(lambda: bucket.do(*status).json["rows"]["completed"] >= 3, "answers")
    told = bucket.do(*status).json
    assert told["rows"]["total"] == 400
    assert {one["outcome"] for one in told["shards"]} <= {"running", "finished"}
    bucket.do("merge", manifest, "-o", "so-far.csv", "--partial", exits=4)
    assert "completed" in (desk.folder / "so-far.csv").read_text()
    life.process.send_signal(signal.SIGTERM)
    completed = life.end(143).json["rows"]["completed"]
    assert bucket.do(*status).json["rows"]["completed"] == completed


def test_another_place_for_the_state_is_refused(new_desk, endpoint) -> None:
    desk = new_desk()
    bucket = Bucket(desk, endpoint)
    leads(desk, 4)
    bucket.do(*run("--rate", 500, *STATE, on="local:1"))
    for words, mend in (
        ((), "Name it: --state-dir s3://crm/jobs/leads"),
        (("--state-dir", "s3://crm/jobs/other"), "Name it: --state-dir s3://crm/jobs/leads"),
    ):
        said = bucket.do(*run(*words, on="local:1"), exits=1)
        assert "elsewhere it would be bought again" in said.err
        assert mend in said.err
    desk.do(*(word.replace("out.csv", "new.csv") for word in run("--rate", 500, on="local:1")))
    said = bucket.do(
        *(word.replace("out.csv", "new.csv") for word in run(*STATE, on="local:1")), exits=1
    )
    assert "Leave --state-dir out" in said.err
    assert len(desk.bought) == 8


def test_a_state_that_was_removed_is_not_bought_again_in_silence(new_desk, endpoint) -> None:
    desk = new_desk()
    bucket = Bucket(desk, endpoint)
    leads(desk, 4)
    bucket.do(*run("--rate", 500, *STATE, on="local:1"))
    emptied(endpoint, "crm")
    said = bucket.do(*run(*STATE, on="local:1"), exits=1)
    assert "All that it held would be bought again." in said.err
    assert len(desk.bought) == 4


def test_a_store_that_cannot_be_used_is_told_before_anything_is_paid(new_desk, endpoint) -> None:
    desk = new_desk()
    bucket = Bucket(desk, endpoint)
    leads(desk, 4)
    said = bucket.do(*run("--state-dir", "s3://nobucket/x", on="local:1"), exits=1)
    assert "there is no such bucket" in said.err
    assert desk.bought == []


def test_a_store_that_refuses_in_mid_job_ends_it_with_what_was_acknowledged(
    new_desk, endpoint
) -> None:
    desk = new_desk(duration="constant:0.3")
    bucket = Bucket(desk, endpoint)
    leads(desk, 60)
    life = desk.start(*run("--rate", 20, *STATE, on="local:1"), env=bucket.env)
    until(lambda: len(desk.bought) >= 10, "submissions")
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"")
    said = life.end(4)
    assert said.json["error"]["code"] == "state_gone"
    assert len(desk.bought) < 60
