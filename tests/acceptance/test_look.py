"""Looking at a job before it begins, while it runs, and after it was killed."""

import signal
from collections import Counter
from dataclasses import dataclass

import pytest

from enricher.simulator.runs import seconds_of
from tests.acceptance.desk import (
    COMPANIES,
    Desk,
    Life,
    answers,
    assert_reads_as,
    cells,
    items,
    until,
    world_settings,
)

DURATION = "bimodal:0.1:3600:0.5"
RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--rate", "unlimited")
ROWS = ["No.,Company Name,Website", *(f"{n},Company {n},c{n}.com" for n in range(20)), "20,,"]
CHECKPOINT = "out.csv.checkpoint.db"

# --- before ---------------------------------------------------------------------------------------


def test_plan_says_what_a_run_would_do_and_does_nothing(desk: Desk) -> None:
    desk.write("leads.csv", [*ROWS, "21,Company 1,c1.com"])
    fed = ("-m", "website=Website", "--set", "company_name=Ltd")
    lives = [desk.start("plan", *RUN[1:-1], 20, "--json"), desk.start("plan", *RUN[1:], *fed)]
    told, text = lives[0].end(exits=0).json, lives[1].end(exits=0).out
    assert told == {
        "schema": 1,
        "rows": {"total": 22, "new": 21, "reused": 0, "skipped": 1},
        "new_runs": 20,
        "requests": told["requests"],
        "seconds": told["seconds"],
        "credits": {"before": 39600, "estimate": None},
        "mapping": {
            "company_name": {"column": "Company Name"},
            "website": {"column": "Website"},
        },
    }
    assert 40 <= told["requests"] <= 2.3 * 20 + 4
    assert told["seconds"] == pytest.approx(told["requests"] / 20, rel=0.1)
    assert "column 'Website'" in text
    assert "'c0.com', 'c1.com', 'c2.com'" in text
    assert "22: 21 to enrich, 0 answered already, 1 skipped" in text
    assert desk.bought == []
    assert desk.files() == ["leads.csv"]


# --- while it runs --------------------------------------------------------------------------------


@dataclass
class Running:
    """A job of which `done` rows have their answers, while the others take an hour."""

    desk: Desk
    life: Life
    done: list[int]


@pytest.fixture(scope="module")
def running(module_desk) -> Running:
    desk = module_desk(duration=DURATION)
    desk.write("leads.csv", ROWS)
    life = desk.start(*RUN)
    until(lambda: len(desk.bought) == 20, "all submissions")
    world = world_settings(duration=DURATION)
    soon = [seconds_of(world, COMPANIES, run) < 1 for run in desk.bought]
    done = [int(run["website"][1:-4]) for run, fast in zip(desk.bought, soon, strict=True) if fast]
    until(lambda: states(desk)["completed"] == len(done), "the answers of the fast runs")
    return Running(desk, life, sorted(done))


def states(desk: Desk) -> Counter[str]:
    return Counter(item["state"] for item in items(desk.folder / CHECKPOINT))


def test_status_tells_how_far_it_is(running: Running) -> None:
    desk, done = running.desk, len(running.done)

    def caught_up():
        told = desk.do("status", CHECKPOINT, "--json").json
        return told if told["rows"]["completed"] == done else None

    told = until(caught_up, "the summary of this moment")
    rows, runs = told["rows"], told["runs"]
    assert (told["outcome"], told["exit_code"]) == ("running", None)
    assert (rows["total"], rows["skipped"], rows["pending"]) == (21, 1, 20 - done)
    assert (runs["submitted"], runs["in_flight"]) == (20, 20 - done)
    text = desk.do("status", CHECKPOINT).out
    assert text.startswith("Running.\n")
    assert f"21: {done} completed, 1 skipped, {20 - done} pending" in text


def test_export_writes_what_there_is_as_often_as_it_is_asked(running: Running) -> None:
    desk = running.desk
    for _ in range(2):
        desk.do("export", CHECKPOINT, "-o", "so far.csv")
        assert_is_what_there_is(running, "so far.csv")
    desk.do("export", CHECKPOINT)
    assert_is_what_there_is(running, "out.partial.csv")
    assert not (desk.folder / "out.csv").exists()


def test_export_replaces_no_file_of_others(running: Running) -> None:
    foreign = running.desk.write("foreign.csv", ["mine"])
    said = running.desk.do("export", CHECKPOINT, "-o", "foreign.csv", exits=1)
    assert "neither this job nor an export of it wrote it" in said.err
    assert "--overwrite" in said.err
    assert foreign.read_text() == "mine\n"
    said = running.desk.do("export", CHECKPOINT, "-o", "leads.csv", "--overwrite", exits=1)
    assert "is the input itself" in said.err


def test_a_second_process_keeps_out(running: Running) -> None:
    commands = (RUN, ("resume", CHECKPOINT))
    for life in [running.desk.start(*command, "--json") for command in commands]:
        said = life.end(exits=4)
        assert (said.json["outcome"], said.json["exit_code"]) == ("error", 4)
        assert said.json["error"]["code"] == "checkpoint_in_use"
        assert "is in use by another enricher process" in said.err
        assert "--retry-lock" in said.err, "the mend"
        saved = running.desk.do("status", CHECKPOINT, "--json").json["rows"]
        assert said.json["rows"] == {**saved, "reused": 0}
        assert said.json["rows"]["total"] == 21
    assert not running.life.is_over()


def test_plan_counts_what_is_under_way_as_bought(running: Running) -> None:
    told = running.desk.do("plan", *RUN[1:], "--json").json
    assert told["rows"] == {"total": 21, "new": 0, "reused": 20, "skipped": 1}


# --- after it was killed --------------------------------------------------------------------------


def test_after_a_kill_status_counts_the_rows_itself(running: Running) -> None:
    desk, done = running.desk, len(running.done)
    running.life.process.send_signal(signal.SIGKILL)
    running.life.end(exits=-signal.SIGKILL)
    told = desk.do("status", CHECKPOINT, "--json").json
    assert (told["outcome"], told["exit_code"], told["eta_seconds"]) == ("interrupted", None, None)
    assert told["rows"]["completed"] == done
    assert told["rows"]["pending"] == told["runs"]["in_flight"] == 20 - done
    text = desk.do("status", CHECKPOINT).out
    assert text.startswith("Interrupted;")
    assert "enricher resume" in text
    desk.do("export", CHECKPOINT, "-o", "so far.csv")
    assert_is_what_there_is(running, "so far.csv")
    assert len(desk.bought) == 20


def assert_is_what_there_is(running: Running, name: str) -> None:
    out = cells(running.desk.folder / name)
    assert [row[:3] for row in out.rows] == cells(running.desk.folder / "leads.csv").rows
    for number, row in enumerate(out.rows[:20]):
        is_done = number in running.done
        values = answers(COMPANIES, {"company_name": row[1], "website": row[2]})
        for cell, value in zip(row[3:-2], values, strict=True):
            assert_reads_as(cell, value if is_done else None)
        assert row[-2] == ("completed" if is_done else "pending")
    assert out.rows[20][-2] == "skipped"
