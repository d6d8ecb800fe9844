"""Stopped by a signal or by the provider: everything is kept, and the command says how to go on."""

import json
import re
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.desk import COMPANIES, PROGRAM, Desk, Life, Said, cells, items, until
from tests.support.canary import KEY

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json")
TOTAL = 24
ROWS = ["No.,Company Name,Website", *(f"{n},Company {n},c{n}.com" for n in range(TOTAL))]
CHECKPOINT = "out.csv.checkpoint.db"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def begin(desk: Desk, *more: str, rate: int = 10, env: Mapping[str, str] | None = None) -> Life:
    desk.write("leads.csv", ROWS)
    return desk.start(*RUN, "--rate", rate, *more, env=env)


def until_some_is_submitted(desk: Desk) -> None:
    until(lambda: len(desk.bought) >= 4, "four submissions")


# --- signals --------------------------------------------------------------------------------------


@dataclass
class Stopped:
    """A job that got a signal, and what it said then."""

    number: int
    desk: Desk
    said: Said
    submitted: int


@pytest.fixture(scope="module")
def stopped_jobs(module_desk) -> list[Stopped]:
    """One job for each signal, all at once."""
    desks = [module_desk() for _ in SIGNALS]
    lives = [begin(desk, "--output-column", "Tags", "--status-prefix", "my") for desk in desks]
    for number, desk, life in zip(SIGNALS, desks, lives, strict=True):
        until_some_is_submitted(desk)
        life.process.send_signal(number)
    return [
        Stopped(number, desk, life.end(exits=128 + number), len(desk.bought))
        for number, desk, life in zip(SIGNALS, desks, lives, strict=True)
    ]


def test_a_signal_stops_the_job_and_nothing_is_in_doubt(stopped_jobs) -> None:
    for job in stopped_jobs:
        told = job.said.json
        assert (told["outcome"], told["exit_code"]) == ("stopped", 128 + job.number)
        assert (told["reason_code"], told["error"]) == ("signal", None)
        assert told["rows"]["in_doubt"] == 0
        assert told["rows"]["pending"] == TOTAL
        assert told["runs"]["submitted"] == told["runs"]["in_flight"] == job.submitted < TOTAL


def test_what_there_is_goes_to_the_partial_file(stopped_jobs) -> None:
    for job in stopped_jobs:
        partial = cells(job.desk.folder / "out.partial.csv")
        assert [row[:3] for row in partial.rows] == cells(job.desk.folder / "leads.csv").rows
        assert set(partial.column("my_status")) == {"pending"}
        assert not (job.desk.folder / "out.csv").exists()


def test_the_base_url_must_be_named_again_before_a_key_is_sent_there(stopped_jobs) -> None:
    desk = stopped_jobs[0].desk
    for named in ("", "https://other.example/api/v1"):
        env = {"BITSCALE_BASE_URL": named}
        said = desk.do("resume", CHECKPOINT, env=env, exits=2)
        assert f"This job runs against {desk.world.base_url}" in said.err
        assert f"--base-url {desk.world.base_url}" in said.err


def test_the_command_that_it_names_finishes_the_job_from_anywhere(stopped_jobs, tmp_path) -> None:
    lives = []
    for job in stopped_jobs:
        (named,) = re.findall(r"enricher (resume .*)", job.said.err)
        command = shlex.split(named)
        url = ("--base-url", job.desk.world.base_url)
        env = {"BITSCALE_BASE_URL": ""}
        lives.append(job.desk.start(*command, *url, "--rate", "unlimited", cwd=tmp_path, env=env))
    for job, life in zip(stopped_jobs, lives, strict=True):
        life.end(exits=0)
        out = cells(job.desk.folder / "out.csv")
        assert out.header[3:] == ["Tags", "my_status", "my_error"], "the job's options are kept"
        assert set(out.column("my_status")) == {"completed"}
        bought = Counter(run["company_name"] for run in job.desk.bought)
        assert list(bought.values()) == [1] * TOTAL
        assert not (job.desk.folder / "out.partial.csv").exists()
    assert not list(tmp_path.iterdir())


def test_a_signal_before_there_is_a_job_ends_at_once_and_leaves_nothing(desk: Desk) -> None:
    life = begin(desk, "--base-url", "http://127.0.0.1:9/api/v1")  # nobody listens there
    assert "does not answer" in life.line_on_stderr()
    life.process.send_signal(signal.SIGTERM)
    said = life.end(exits=143)
    assert (said.json["outcome"], said.json["reason_code"]) == ("stopped", "signal")
    assert desk.files() == ["leads.csv"]


# --- the provider says no -------------------------------------------------------------------------


def test_a_key_that_is_revoked_in_mid_job_stops_it_and_a_new_one_goes_on(desk: Desk) -> None:
    life = begin(desk)
    until_some_is_submitted(desk)
    desk.rotate_key()
    said = life.end(exits=5)
    assert (said.json["outcome"], said.json["reason_code"]) == ("stopped", "key_revoked")
    assert "INVALID_API_KEY" in said.err
    statuses = cells(desk.folder / "out.partial.csv").column("enrichment_status")
    assert statuses == ["pending"] * TOTAL
    desk.do(*RUN, "--rate", "unlimited")
    assert len(desk.bought) == TOTAL
    assert not (desk.folder / "out.partial.csv").exists()


def test_a_key_file_with_a_new_key_lets_the_job_go_on(desk: Desk) -> None:
    file = desk.key_file(KEY)
    life = begin(desk, "--api-key-file", str(file), rate=30)
    until_some_is_submitted(desk)
    life.process.send_signal(signal.SIGSTOP)  # so that key and file change at the same moment
    file.write_text(desk.rotate_key())
    life.process.send_signal(signal.SIGCONT)
    said = life.end(exits=0)
    assert "the key file holds another one" in said.err
    assert len(desk.bought) == said.json["rows"]["completed"] == TOTAL


# --- a server that hangs --------------------------------------------------------------------------


def test_the_second_ctrl_c_does_not_wait_and_lists_what_is_in_doubt(desk: Desk) -> None:
    server = subprocess.Popen(
        [*PROGRAM, "simulate", "--rate", "unlimited", "--duration", "0.2", "--json"],
        env=desk.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        assert server.stdout is not None
        facts = json.loads(server.stdout.readline())
        desk.secrets.append(facts["api_key"])
        env = {"BITSCALE_BASE_URL": facts["base_url"], "BITSCALE_API_KEY": facts["api_key"]}
        try:
            interrupt_twice_while_it_hangs(desk, server, env)
        finally:
            server.kill()


def interrupt_twice_while_it_hangs(desk: Desk, server: "subprocess.Popen[str]", env) -> None:
    life = begin(desk, rate=20, env=env)
    checkpoint = desk.folder / CHECKPOINT
    until(lambda: states(checkpoint)["running"], "a submission")
    server.send_signal(signal.SIGSTOP)
    # At this rate two intents stand ready before they are sent: one of three was sent.
    until(lambda: states(checkpoint)["submitting"] > 2, "a submission without an answer")
    life.process.send_signal(signal.SIGINT)
    until(lambda: "Ctrl-C: stopping" in life.line_on_stderr(), "the first is noticed")
    before = time.monotonic()
    life.process.send_signal(signal.SIGINT)
    told = life.end(exits=130).json
    assert time.monotonic() - before < 5, "it waits 10 s after the first"
    doubts = told["rows"]["in_doubt"]
    assert doubts >= 1

    server.send_signal(signal.SIGCONT)
    told = desk.do(*RUN, "--rate", "unlimited", env=env, exits=3).json
    assert told["outcome"] == "finished_with_failures"
    assert (told["rows"]["in_doubt"], told["rows"]["completed"]) == (doubts, TOTAL - doubts)
    shown = cells(desk.folder / "out.csv")
    assert shown.column("enrichment_status").count("in_doubt") == doubts
    said = desk.do("status", CHECKPOINT)
    assert f"In doubt: {doubts} submission" in said.out


def states(checkpoint: Path) -> Counter[str]:
    return Counter(item["state"] for item in items(checkpoint))
