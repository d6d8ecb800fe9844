"""Lost answers, failures and old results: what is sent again, how often, and what is told of it."""

import signal
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.acceptance.desk import COMPANIES, Desk, Said, cells, until
from tests.acceptance.proxy import Proxy, proxy_before

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json")
CHECKPOINT = "out.csv.checkpoint.db"
TOTAL = 12
ROWS = ["No.,Company Name,Website", *(f"{n},Company {n},c{n}.com" for n in range(TOTAL))]
LOST = {"Company 2", "Company 6", "Company 9"}


@dataclass
class Job:
    """A list at a desk, whose submissions go through a proxy."""

    desk: Desk
    proxy: Proxy

    def run(self, *more: object, exits: int) -> dict[str, Any]:
        """The same command, with `more`; returns its summary."""
        words = (*RUN, "--rate", "unlimited", *more)
        told = self.desk.do(*words, exits=exits, env=self.proxy.env).json
        assert_counts_the_rows(self.desk, told)
        return told

    def resume(self, *more: object, exits: int) -> dict[str, Any]:
        words = ("resume", CHECKPOINT, "--json", *more)
        told = self.desk.do(*words, exits=exits, env=self.proxy.env).json
        assert_counts_the_rows(self.desk, told)
        return told

    def status(self) -> Said:
        return self.desk.do("status", CHECKPOINT)

    @property
    def times(self) -> Counter[str]:
        """How often each company was run."""
        return Counter(run["company_name"] for run in self.desk.bought)

    def output(self) -> bytes:
        return (self.desk.folder / "out.csv").read_bytes()


def assert_counts_the_rows(desk: Desk, told: dict[str, Any]) -> None:
    finished = told["exit_code"] in (0, 3)
    shown = cells(desk.folder / ("out.csv" if finished else "out.partial.csv"))
    rows = Counter(shown.column("enrichment_status"))
    for status in ("completed", "failed", "skipped", "pending", "in_doubt"):
        assert told["rows"][status] == rows[status], status
    assert told["rows"]["total"] == rows.total()


@pytest.fixture
def job(desk: Desk):
    desk.write("leads.csv", ROWS)
    with proxy_before(desk.world.port) as proxy:
        yield Job(desk, proxy)


# --- lost answers --------------------------------------------------------------------------------


def test_doubts_are_held_until_a_person_has_them_sent_again(job: Job) -> None:
    job.proxy.lost = set(LOST)
    told = job.run(exits=3)
    assert (told["rows"]["in_doubt"], told["runs"]["submitted"]) == (3, TOTAL - 3)
    said = job.status().out
    assert "In doubt: 3 submissions" in said
    assert "rows of the grid    expected +9, found +12" in said
    assert "3 more than acknowledged" in said
    assert "Possibly paid twice" not in said

    job.proxy.lost = set()
    assert job.run(exits=3)["runs"]["submitted"] == 0, "held"
    assert job.run("--retry-failed", exits=3)["runs"]["submitted"] == 0, "no failure"
    told = job.resume("--in-doubt", "retry", exits=0)
    assert told["runs"]["submitted"] == told["runs"]["resubmitted_in_doubt"] == 3
    assert told["runs"]["resubmitted_failed"] == 0
    assert told["rows"]["reused"] == TOTAL - 3
    assert job.times == {f"Company {n}": 1 + (f"Company {n}" in LOST) for n in range(TOTAL)}
    said = job.status().out
    assert "Possibly paid twice: 3 submissions" in said
    assert all(f"company_name={name}" in said for name in LOST)
    assert "In doubt:" not in said
    assert job.resume("--in-doubt", "retry", exits=0)["runs"]["submitted"] == 0


def test_a_doubt_is_sent_again_once_in_a_pass_and_not_too_often(job: Job) -> None:
    job.proxy.lost = {"Company 4"}
    told = job.run("--in-doubt", "retry", exits=3)
    assert (told["runs"]["resubmitted_in_doubt"], told["rows"]["in_doubt"]) == (1, 1)
    assert job.desk.bought[-1]["company_name"] == "Company 4", "after all other work"
    assert job.times["Company 4"] == 2
    told = job.resume("--in-doubt", "retry", exits=3)
    assert (told["runs"]["resubmitted_in_doubt"], job.times["Company 4"]) == (1, 3)
    told = job.resume("--in-doubt", "retry", exits=3)
    assert (told["runs"]["resubmitted_in_doubt"], job.times["Company 4"]) == (0, 3)
    assert job.times.total() == TOTAL + 2
    job.proxy.lost = set()
    told = job.resume("--in-doubt", "retry", "--max-attempts", "4", exits=0)
    assert told["runs"]["resubmitted_in_doubt"] == 1


def test_doubts_can_be_closed_and_stay_closed(job: Job) -> None:
    job.desk.write("leads.csv", [*ROWS, *ROWS[1:]])  # two rows for each doubt
    job.proxy.lost = set(LOST)
    told = job.run("--in-doubt", "fail", exits=3)
    assert (told["rows"]["failed"], told["rows"]["in_doubt"]) == (6, 0)
    errors = cells(job.desk.folder / "out.csv").column("enrichment_error")
    assert sum(error.startswith("IN_DOUBT: ") for error in errors) == 6
    job.proxy.lost = set()
    assert job.resume("--retry-failed", exits=3)["runs"]["submitted"] == 0
    assert job.resume("--in-doubt", "retry", exits=3)["runs"]["submitted"] == 0
    told = job.resume("--in-doubt", "retry", "--retry-failed", exits=0)
    assert told["runs"]["resubmitted_in_doubt"] == 3
    assert "Possibly paid twice: 3 submissions" in job.status().out


# --- failures ------------------------------------------------------------------------------------


def test_failures_are_sent_again_on_demand_and_not_too_often(job: Job) -> None:
    job.proxy.failing = set(LOST)
    assert job.run(exits=3)["rows"]["failed"] == 3
    assert job.run(exits=3)["runs"]["submitted"] == 0
    told = job.resume("--retry-failed", exits=3)
    assert told["runs"]["resubmitted_failed"] == told["runs"]["submitted"] == 3
    assert job.resume(exits=3)["runs"]["submitted"] == 0, "the option is given anew"
    assert job.resume("--retry-failed", "--max-attempts", "2", exits=3)["runs"]["submitted"] == 0
    job.proxy.failing = {"Company 2"}
    told = job.resume("--retry-failed", "--max-attempts", "3", exits=3)
    assert (told["runs"]["resubmitted_failed"], told["rows"]["failed"]) == (3, 1)
    assert job.resume("--retry-failed", exits=3)["runs"]["submitted"] == 0
    assert all(job.times[name] == 3 for name in LOST)
    assert job.times.total() == TOTAL + 6
    assert "Possibly paid twice" not in job.status().out


def test_sending_failures_again_killed_and_repeated_buys_nothing_twice(new_desk) -> None:
    desk = new_desk(fail_rate=1.0)
    names = [f"Company {n}" for n in range(40)]
    desk.write("leads.csv", [ROWS[0], *(f"0,{name},x.com" for name in names)])
    desk.do(*RUN, "--rate", "unlimited", "--max-failures", "1000", exits=3)
    assert len(desk.bought) == 40
    again = (*RUN, "--rate", "20", "--max-failures", "1000", "--retry-failed")
    for moment in (45, 55):
        life = desk.start(*again)
        until(partial(has_bought, desk, moment), "some are sent again")
        life.process.kill()
        life.end(exits=-signal.SIGKILL)
    told = desk.do(*again, exits=3).json
    assert_counts_the_rows(desk, told)
    times = Counter(run["company_name"] for run in desk.bought)
    assert max(times.values()) == 2
    assert sum(times[name] == 1 for name in names) <= told["rows"]["in_doubt"]


def has_bought(desk: Desk, number: int) -> bool:
    return len(desk.bought) >= number


# --- old results ---------------------------------------------------------------------------------


def test_old_results_are_run_again_once_in_a_pass_and_stand_until_then(job: Job) -> None:
    job.run(exits=0)
    before = job.output()
    told = job.run("--refresh-after", "0s", "--max-runs", "5", exits=4)
    assert (told["runs"]["submitted"], told["rows"]["completed"]) == (5, TOTAL)
    partial = (job.desk.folder / "out.partial.csv").read_bytes()
    assert partial == job.output() == before
    told = job.run("--refresh-after", "0s", exits=0)
    assert (told["runs"]["submitted"], told["rows"]["kept_old"]) == (TOTAL - 5, 0)
    assert set(job.times.values()) == {2}, "once in the pass"
    assert job.run("--refresh-after", "30d", exits=0)["runs"]["submitted"] == 0
    assert job.run(exits=0)["runs"]["submitted"] == 0
    assert job.output() == before


def test_a_refresh_that_fails_keeps_the_old_result_and_says_so(job: Job) -> None:
    job.run(exits=0)
    before = job.output()
    job.proxy.failing, job.proxy.lost = {"Company 3", "Company 8"}, {"Company 5"}
    words = (*RUN, "--rate", "unlimited", "--refresh-after", "0s")
    said = job.desk.do(*words, exits=0, env=job.proxy.env)
    assert_counts_the_rows(job.desk, said.json)
    assert said.json["outcome"] == "finished"
    assert (said.json["rows"]["kept_old"], said.json["rows"]["failed"]) == (3, 0)
    assert "3 rows keep their old result" in said.err
    assert job.output() == before
    assert set(job.times.values()) == {2}
    assert "In doubt: 1 submission " in job.status().out


def test_a_broad_result_is_not_replaced_by_fewer_columns(job: Job) -> None:
    job.run(exits=0)
    words = (*RUN, "--rate", "unlimited", "--refresh-after", "0s", "--output-column", "Tags")
    said = job.desk.do(*words, exits=0, env=job.proxy.env)
    assert said.json["runs"]["submitted"] == 0
    assert "12 rows are too old, but not refreshed" in said.err
