"""A cluster whose workers share no disk: what counts is in an object store."""

import importlib.util
import os
import signal
from collections import Counter

import pytest

from tests.acceptance.bucket import Bucket, endpoint
from tests.acceptance.desk import cells, until
from tests.acceptance.test_cluster import alone, leads, run, workers

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
    until(lambda: len(desk.bought) >= 280, "nearly all")
    (desk.folder / "away").rename(desk.folder / "leads.csv")
    said = life.end()
    told = said.json
    doubts = told["rows"]["in_doubt"]
    assert said.code == (3 if doubts else 0), said.err
    assert told["rows"]["completed"] == 300 - doubts
    assert max(Counter(map(str, desk.bought)).values()) == 1, "nothing is bought twice"
    rows = zip(alone(desk).rows, cells(desk.folder / "out.csv").rows, strict=True)
    assert sum(mine != other for other, mine in rows) == doubts, "all others are those of one run"
