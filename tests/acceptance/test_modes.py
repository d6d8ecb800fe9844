"""Runs that are submitted and looked at, held, or bounded in number: the rows are the same."""

import itertools
import signal
from collections import Counter

import pytest

from enricher.simulator.routes import Endpoint
from enricher.simulator.runs import Mode
from tests.acceptance.desk import COMPANIES, Desk, cells, until

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "--rate", "unlimited")
CHECKPOINT = "leads.enriched.csv.checkpoint.db"
HEADER = "No.,Company Name,Website"
ROWS = [f"{n},Company {n},c{n}.com" for n in range(40)]


def modes_bought(desk: Desk) -> list[Mode]:
    return [run.mode for run in desk.world.workspace.runs]


def test_sync_mode_gives_the_same_output_for_a_request_a_run(new_desk) -> None:
    asynchronous, held = new_desk(), new_desk()
    for desk in (asynchronous, held):
        desk.write("leads.csv", [HEADER, *ROWS])
    lives = [
        asynchronous.start(*RUN, "--json"),
        held.start(*RUN, "--mode", "sync", "--json"),
    ]
    polled, told = (life.end(exits=0) for life in lives)
    written = [(desk.folder / "leads.enriched.csv").read_bytes() for desk in (asynchronous, held)]
    assert written[0] == written[1]
    assert told.json["rows"] == polled.json["rows"]
    assert (told.json["requests"]["submit"], told.json["requests"]["poll"]) == (40, 0)
    assert held.world.workspace.requests[Endpoint.STATUS] == 0
    assert modes_bought(held) == [Mode.SYNC] * 40
    assert modes_bought(asynchronous) == [Mode.ASYNC] * 40
    assert "are in doubt" in told.err
    assert "in doubt" not in polled.err


def test_what_one_mode_began_another_finishes(desk: Desk) -> None:
    desk.write("leads.csv", [HEADER, *ROWS])
    life = desk.start(*RUN[:-1], "20", "--mode", "sync")
    until(lambda: len(desk.bought) >= 4, "four submissions")
    life.process.send_signal(signal.SIGINT)
    life.end(exits=130)
    begun = len(desk.bought)
    assert begun < 40
    desk.do("resume", CHECKPOINT, "--rate", "unlimited", "--mode", "async")
    assert modes_bought(desk) == [Mode.SYNC] * begun + [Mode.ASYNC] * (40 - begun)
    bought = Counter(run["company_name"] for run in desk.bought)
    assert list(bought.values()) == [1] * 40
    out = cells(desk.folder / "leads.enriched.csv")
    assert set(out.column("enrichment_status")) == {"completed"}


def test_a_plan_counts_the_requests_that_its_mode_needs(desk: Desk) -> None:
    """As the last invocation found, if that was in the same mode."""
    plan = ("plan", *RUN[1:], "--json", "--mode")
    desk.write("leads.csv", [HEADER, *ROWS])
    usual = {mode: desk.do(*plan, mode).json["requests"] for mode in ("async", "sync")}
    assert usual["async"] - 3 == pytest.approx(2 * 40, rel=0.1)
    assert usual["sync"] - 3 == pytest.approx(40, rel=0.1)
    desk.do(*RUN, "--mode", "sync")
    more = [f"{n},Company {n},c{n}.com" for n in range(40, 140)]
    desk.write("leads.csv", [HEADER, *ROWS, *more])
    assert desk.do(*plan, "sync").json["requests"] == 3 + 100
    assert desk.do(*plan, "async").json["requests"] - 3 == pytest.approx(2 * 100, rel=0.1)


@pytest.mark.parametrize(("most", "mode"), [(1, "async"), (1, "sync"), (3, "sync")])
def test_no_more_runs_are_open_than_asked_for(desk: Desk, most, mode) -> None:
    count = 3 * most
    desk.write("leads.csv", [HEADER, *ROWS[:count]])
    desk.do(*RUN, "--mode", mode, "--max-in-flight", most)
    runs = desk.world.workspace.runs
    assert len(runs) == count
    for earlier, later in zip(runs, itertools.islice(runs, most, None), strict=False):
        assert earlier.ends_at <= later.submitted_at


def test_the_bound_is_kept_by_the_job_until_another_is_named(desk: Desk) -> None:
    desk.write("leads.csv", [HEADER, *ROWS[:12]])
    life = desk.start(*RUN, "--mode", "sync", "--max-in-flight", 1)
    until(lambda: len(desk.bought) >= 2, "two submissions")
    life.process.send_signal(signal.SIGINT)
    life.end(exits=130)
    desk.do("resume", CHECKPOINT)
    runs = desk.world.workspace.runs
    assert [run.mode for run in runs] == [Mode.SYNC] * 12
    assert all(earlier.ends_at <= later.submitted_at for earlier, later in itertools.pairwise(runs))
