"""The server dies in mid-job and comes back: at once, after some seconds, or with nothing left.

The simulator holds its runs in memory. One that is started again on the same port has forgotten
them, which is the worst that a server can do: what was submitted is paid and cannot be found.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from enricher.simulator.server import RunningSimulator
from tests.acceptance.desk import COMPANIES, Desk, Life, cells, items, until, world_settings

TOTAL = 24
ROWS = ["No.,Company Name,Website", *(f"{n},Company {n},c{n}.com" for n in range(TOTAL))]
CHECKPOINT = "out.csv.checkpoint.db"
RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json", "--rate", 15)


@contextmanager
def started_again(desk: Desk, *, knows: bool) -> Iterator[RunningSimulator]:
    """A server on the port of the desk's, which is gone: with its memory, or with none."""
    workspace = desk.world.workspace if knows else None
    fresh = RunningSimulator(world_settings(), desk.world.port, workspace)
    fresh.start()
    try:
        yield fresh
    finally:
        fresh.stop()


def begin(desk: Desk, *more: object) -> Life:
    desk.write("leads.csv", ROWS)
    return desk.start(*RUN, *more)


def until_ids_are_known(desk: Desk, least: int = 6) -> None:
    """So many runs are under way, and their ids are on disk."""

    def known() -> bool:
        states = Counter(item["state"] for item in items(desk.folder / CHECKPOINT))
        return states["running"] >= least

    until(known, f"{least} ids on disk")


def names(runs: RunningSimulator) -> Counter[str]:
    return Counter(str(run.inputs["company_name"]) for run in runs.workspace.runs)


def test_what_the_server_forgot_fails_resumably_and_is_never_bought_again(new_desk) -> None:
    desk = new_desk(duration="constant:600")
    life = begin(desk)
    until_ids_are_known(desk)
    desk.world.stop()
    with started_again(desk, knows=False) as fresh:
        said = life.end(exits=3)
        before, after = names(desk.world), names(fresh)
        assert set((before + after).values()) == {1}, "bought twice"
        out = cells(desk.folder / "out.csv").records()
        errors = {row["Company Name"]: row["enrichment_error"] for row in out}
        states = {row["Company Name"]: row["enrichment_status"] for row in out}
        known = {name for name in before if states[name] == "failed"}
        assert len(known) >= 6
        assert all(errors[name].startswith("REQUEST_NOT_FOUND") for name in known)
        assert {name for name in states if states[name] == "completed"} == set(after)
        assert said.json["rows"]["in_doubt"] <= len(before) - len(known) + 1

        again = desk.do(*RUN, exits=3).json
        assert again["runs"]["submitted"] == 0
        assert again["requests"]["poll"] >= len(known), "looked for once more"
        assert names(fresh) == after

        both = ("--in-doubt", "retry", "--retry-failed")
        last = desk.do(*RUN, *both, exits=0).json
        assert last["rows"]["completed"] == TOTAL
        listed = desk.do("status", CHECKPOINT).out
        assert "Possibly paid twice" in listed
        for name in known:
            assert f"company_name={name}," in listed


def test_a_server_that_is_away_for_some_seconds_is_waited_for(new_desk) -> None:
    """It comes back with its memory, as one behind a broken line does."""
    desk = new_desk(duration="constant:1")
    life = begin(desk)
    until_ids_are_known(desk)
    desk.world.stop()
    until(lambda: "the server has trouble" in life.line_on_stderr(), "the outage is told")
    with started_again(desk, knows=True):
        said = life.end()
        doubts = said.json["rows"]["in_doubt"]
        assert said.code == (3 if doubts else 0)
        assert doubts <= 4, "an outage costs a handful of doubts"
        assert said.json["rows"]["completed"] == TOTAL - doubts
        assert set(names(desk.world).values()) == {1}


def test_a_server_that_stays_away_stops_the_job_and_the_same_command_goes_on(new_desk) -> None:
    desk = new_desk(duration="constant:1")
    life = begin(desk, "--max-outage", "3s")
    until_ids_are_known(desk)
    desk.world.stop()
    said = life.end(exits=4)
    assert (said.json["outcome"], said.json["reason_code"]) == ("stopped", "server_gone")
    rows = cells(desk.folder / "out.partial.csv").rows
    assert [row[:3] for row in rows] == cells(desk.folder / "leads.csv").rows
    gone = desk.do(*RUN, "--max-outage", "1s", exits=4)
    assert gone.json["exit_code"] == 4
    assert "gave no usable answer" in gone.err
    with started_again(desk, knows=True):
        last = desk.do(*RUN, exits=3 if said.json["rows"]["in_doubt"] else 0)
        assert last.json["rows"]["in_doubt"] == said.json["rows"]["in_doubt"] <= 4
        assert set(names(desk.world).values()) == {1}
