"""Killed by SIGKILL at any moment, and the same command again: nothing lost, nothing paid twice."""

import json
import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from tests.acceptance.desk import COMPANIES, STATUS, Desk, cells, items, until

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--rate", "25", "--json")
DISTINCT = 36
ROWS = [
    "No.,Company Name,Website",
    *(f"{n:03},Company {n % DISTINCT},c{n % DISTINCT}.com" for n in range(44)),
    "044,,",
]
LONGEST_LIVES = (6, 24, 24, 24)
"""Accepted requests until a kill; together too few for the job, so that no life ends by itself."""


@dataclass
class Killed:
    """A job that was killed several times and then finished."""

    desk: Desk
    code: int
    told: dict


@pytest.fixture(scope="module")
def killed_jobs(module_desk):
    """Three jobs, each killed at four seeded moments; and one that was left alone."""
    desks = [module_desk(duration="uniform:0:2") for _ in range(4)]
    for desk in desks:
        desk.write("leads.csv", ROWS)
    with ThreadPoolExecutor(4) as pool:
        left_alone = pool.submit(desks[3].do, *RUN)
        jobs = [pool.submit(killed, desk, seed) for seed, desk in enumerate(desks[:3])]
        left_alone.result()
        return [job.result() for job in jobs], (desks[3].folder / "out.csv")


def killed(desk: Desk, seed: int) -> Killed:
    """Kill the job as soon as so many requests of a life were accepted, then let it finish."""
    chance = random.Random(seed)
    for longest in LONGEST_LIVES:
        moment = desk.requests + chance.randint(longest // 6, longest)
        life = desk.start(*RUN)
        until(partial(has_come, desk, moment), "the moment to kill")
        life.process.kill()
        life.end(exits=-signal.SIGKILL)
    last = desk.start(*RUN).end()
    return Killed(desk, last.code, last.json)


def has_come(desk: Desk, moment: int) -> bool:
    return desk.requests >= moment


def test_no_row_is_lost_and_the_order_is_kept(killed_jobs) -> None:
    for job in killed_jobs[0]:
        leads, out = cells(job.desk.folder / "leads.csv"), cells(job.desk.folder / "out.csv")
        assert [row[:3] for row in out.rows] == leads.rows
        assert out.header[-2:] == [*STATUS]


def test_nothing_is_submitted_twice(killed_jobs) -> None:
    for job in killed_jobs[0]:
        times = Counter(run["company_name"] for run in job.desk.bought)
        assert set(times.values()) == {1}
        known = {item["run_id"] for item in checkpoint_of(job) if item["run_id"]}
        assert known <= {run.request_id for run in job.desk.world.workspace.runs}


def test_what_is_not_known_to_be_bought_is_in_doubt_and_the_rest_is_answered(killed_jobs) -> None:
    for job in killed_jobs[0]:
        doubts = [item for item in checkpoint_of(job) if item["state"] == "in_doubt"]
        shown = cells(job.desk.folder / "out.csv").column("enrichment_status")
        states = Counter(item["state"] for item in checkpoint_of(job))
        assert set(states) <= {"completed", "in_doubt"}
        assert states.total() == DISTINCT
        assert len(job.desk.bought) <= states["completed"] + states["in_doubt"]
        assert Counter(shown)["in_doubt"] == job.told["rows"]["in_doubt"] >= len(doubts)
        assert job.code == (3 if doubts else 0)
        assert Counter(shown)["skipped"] == 1


def test_apart_from_doubts_the_output_is_that_of_a_job_left_alone(killed_jobs) -> None:
    jobs, left_alone = killed_jobs
    expected = cells(left_alone)
    for job in jobs:
        out = cells(job.desk.folder / "out.csv")
        assert out.header == expected.header
        for row, right in zip(out.rows, expected.rows, strict=True):
            if row[-2] == "in_doubt":
                assert set(row[3:-2]) == {""}
                assert row[-1].startswith("IN_DOUBT: ")
            else:
                assert row == right


def test_doubts_are_listed_for_a_person_and_never_sent_again_by_themselves(killed_jobs) -> None:
    job = max(killed_jobs[0], key=lambda job: job.told["rows"]["in_doubt"])
    said = job.desk.do("status", "out.csv.checkpoint.db")
    for item in checkpoint_of(job):
        inputs = ", ".join(f"{label}={text}" for label, text in json.loads(item["inputs"]).items())
        assert (inputs in said.out) == (item["state"] == "in_doubt")
    before = len(job.desk.bought), (job.desk.folder / "out.csv").read_bytes()
    assert job.desk.do(*RUN, exits=job.code).json["runs"]["submitted"] == 0
    assert (len(job.desk.bought), (job.desk.folder / "out.csv").read_bytes()) == before


def checkpoint_of(job: Killed) -> list[dict]:
    return items(job.desk.folder / "out.csv.checkpoint.db")
