"""Sentences of the docs that no other test would miss; docs/promises.md says which."""

import json
import signal
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from enricher.simulator.settings import DEFAULT_API_KEY
from tests.acceptance.desk import COMPANIES, Desk, cells, until
from tests.acceptance.proxy import proxy_before
from tests.acceptance.terminal import Terminal
from tests.support.canary import KEY

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json")
FAST = ("--rate", "unlimited")
CHECKPOINT = "out.csv.checkpoint.db"
RESUME = ("resume", CHECKPOINT, "--json")


def leads(desk: Desk, count: int, name: str = "leads.csv") -> list[str]:
    rows = ["Company Name,Website", *(f"C{n},c{n}.com" for n in range(count))]
    desk.write(name, rows)
    return rows


def has_bought(desk: Desk, least: int) -> bool:
    return len(desk.bought) >= least


def times(desk: Desk) -> Counter[str]:
    return Counter(run["company_name"] for run in desk.bought)


# --- an input that changes, and errors in mid-job -------------------------------------------------


@pytest.mark.parametrize("count", [20, 1100], ids=["when it is written", "when it is read on"])
def test_an_input_that_changes_in_mid_job_stops_it_and_the_same_command_goes_on(
    desk: Desk, count
) -> None:
    rows = leads(desk, count)
    life = desk.start(*RUN, "--rate", "50" if count > 1000 else "5")
    until(partial(has_bought, desk, 4), "four submissions")
    desk.write("leads.csv", [*rows, "New,new.io"])
    said = life.end(exits=4)
    told = said.json
    assert (told["outcome"], told["reason_code"], told["error"]) == (
        "stopped",
        "input_changed",
        None,
    )
    assert "leads.csv changed while it was being read" in told["reason"]
    assert told["runs"]["submitted"] == len(desk.bought) >= 4
    assert told["rows"]["in_doubt"] == 0
    assert "partial" not in said.err
    assert not [name for name in desk.files() if "partial" in name or name == "out.csv"]
    left = count + 1 - len(desk.bought)
    few = min(left, 10)
    again = desk.do(*RUN, *FAST, "--max-runs", few, exits=0 if few == left else 4).json
    assert (again["runs"]["submitted"], again["rows"]["in_doubt"]) == (few, 0)
    assert set(times(desk).values()) == {1}


def test_an_error_in_mid_job_tells_programs_what_was_submitted(desk: Desk) -> None:
    leads(desk, 12)
    (desk.folder / "place").mkdir()
    there = ("-o", "place/out.csv", "--checkpoint", "all.db")
    life = desk.start(*RUN, *there, "--rate", "5", "--summary-file", "s.json")
    until(partial(has_bought, desk, 4), "four submissions")
    (desk.folder / "place").rename(desk.folder / "moved")
    told = life.end(exits=1).json
    assert (told["outcome"], told["error"]["code"]) == ("error", "output_error")
    assert told["runs"]["submitted"] == told["rows"]["completed"] == len(desk.bought) == 12
    assert told["requests"]["submit"] == 12
    assert told == json.loads((desk.folder / "s.json").read_text())
    (desk.folder / "moved").rename(desk.folder / "place")
    desk.do(*RUN, *there, *FAST)
    assert len(desk.bought) == 12


# --- runs that take too long ----------------------------------------------------------------------


def test_a_run_that_takes_too_long_fails_is_looked_at_again_and_is_never_bought_again(
    new_desk,
) -> None:
    desk = new_desk(duration="constant:3600")
    leads(desk, 3)
    told = desk.do(*RUN, *FAST, "--run-timeout", "2s", exits=3).json
    assert told["rows"]["failed"] == 3
    errors = cells(desk.folder / "out.csv").column("enrichment_error")
    assert all(error.startswith("RUN_TIMEOUT: ") for error in errors)
    told = desk.do(*RESUME, "--retry-failed", "--in-doubt", "retry", exits=3).json
    assert (told["rows"]["failed"], told["requests"]["poll"] >= 3) == (3, True)
    assert times(desk) == {"C0": 1, "C1": 1, "C2": 1}


# --- given anew, and kept -------------------------------------------------------------------------


def test_what_sends_again_is_given_anew_to_each_resume(desk: Desk) -> None:
    leads(desk, 6)
    with proxy_before(desk.world.port) as proxy:
        do = partial(desk.do, env=proxy.env)
        proxy.lost = {"C2"}
        do(*RUN, *FAST, "--in-doubt", "retry", exits=3)
        assert times(desk)["C2"] == 2
        assert do(*RESUME, exits=3).json["runs"]["submitted"] == 0, "--in-doubt is not kept"
        assert do(*RUN, *FAST, "--allow-failures", "100%", exits=3).json["rows"]["in_doubt"] == 1
        do(*RUN, *FAST, "--refresh-after", "0s", "--max-runs", 2, exits=4)
        assert times(desk).total() == 6 + 1 + 2
        assert do(*RESUME, exits=3).json["runs"]["submitted"] == 0, "--refresh-after is not kept"


def test_who_is_not_sent_again_for_having_been_sent_so_often_is_told(desk: Desk) -> None:
    leads(desk, 4)
    with proxy_before(desk.world.port) as proxy:
        do = partial(desk.do, env=proxy.env)
        proxy.lost, proxy.failing = {"C2"}, {"C1"}
        assert "--max-attempts" not in do(*RUN, *FAST, exits=3).err
        again = (*RUN, *FAST, "--in-doubt", "retry", "--retry-failed", "--max-attempts")
        said = do(*again, 1, exits=3)
        assert "2 rows are not sent again" in said.err
        assert "--max-attempts 1" in said.err
        assert said.json["runs"]["resubmitted_in_doubt"] == 0
        assert do("plan", *again[1:], 1).json["new_runs"] == 0
        proxy.lost, proxy.failing = set(), set()
        assert "not sent again" not in do(*again, 2).err
        assert times(desk) == {"C0": 1, "C1": 2, "C2": 2, "C3": 1}


def test_caps_hold_for_what_is_sent_again_too(desk: Desk) -> None:
    leads(desk, 12)
    with proxy_before(desk.world.port) as proxy:
        do = partial(desk.do, env=proxy.env)
        proxy.lost = {f"C{n}" for n in range(6)}
        proxy.failing = {"C6", "C7", "C8"}
        do(*RUN, *FAST, exits=3)
        proxy.lost.clear()
        doubts = (*RESUME, "--in-doubt", "retry")
        assert do(*doubts, "--max-runs", 2, exits=4).json["runs"]["resubmitted_in_doubt"] == 2
        told = do(*doubts, "--max-credits", 5, exits=5).json
        assert told["credits"]["before"] - told["credits"]["after"] <= 5
        assert do(*doubts, "--stop-after", "0s", exits=4).json["runs"]["submitted"] == 0
        do(*doubts, "--max-credits", 1000, exits=3)
        failures = (*RESUME, "--retry-failed")
        assert do(*failures, "--max-runs", 1, exits=4).json["runs"]["resubmitted_failed"] == 1
        assert do(*failures, exits=3).json["runs"]["resubmitted_failed"] == 2, "once in the pass"
        assert times(desk) == {f"C{n}": 1 if n > 8 else 2 for n in range(12)}


def test_failures_are_half_of_all_at_most_unless_told_otherwise_and_the_cap_is_kept(
    new_desk,
) -> None:
    desk = new_desk(fail_rate=1.0)
    leads(desk, 60)
    pace = ("--rate", "40", "--max-in-flight", 5)
    told = desk.do(*RUN, *pace, exits=5).json
    assert told["reason_code"] == "max_failures"
    assert 20 <= len(desk.bought) <= 25, "a share counts after 20"
    assert (desk.folder / "out.partial.csv").exists()
    told = desk.do(*RESUME, "--max-failures", 3, exits=5).json
    assert 3 <= told["runs"]["submitted"] <= 8
    assert 3 <= desk.do(*RESUME, exits=5).json["runs"]["submitted"] <= 8, "kept"
    assert set(times(desk).values()) == {1}


def test_resume_asks_at_a_terminal_too(desk: Desk) -> None:
    leads(desk, 1010)
    desk.do(*RUN, *FAST, "--max-runs", 3, exits=4)
    with Terminal(desk, *RESUME[:2]) as terminal:
        terminal.until("Submit 1,007 new runs? [y/N]")
        terminal.type("\n")
        assert terminal.end() == 1
    with Terminal(desk, *RESUME[:2], "--yes", *FAST) as terminal:
        until(partial(has_bought, desk, 10), "ten submissions")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert "[y/N]" not in terminal.shown


def test_what_does_not_change_what_is_asked_can_be_changed_at_a_resume(desk: Desk) -> None:
    leads(desk, 3)
    desk.do(*RUN, *FAST, "--max-runs", 1, exits=4)
    desk.do(*RESUME, "--status-prefix", "my", "--limiter", "local")
    assert cells(desk.folder / "out.csv").header[-2:] == ["my_status", "my_error"]
    desk.do(*RESUME)
    assert cells(desk.folder / "out.csv").header[-2:] == ["my_status", "my_error"], "kept"
    assert times(desk) == {"C0": 1, "C1": 1, "C2": 1}


def test_no_more_credits_in_mid_job_stops_it_for_a_person_and_the_same_command_goes_on(
    desk: Desk,
) -> None:
    leads(desk, 12)
    with proxy_before(desk.world.port) as proxy:
        life = desk.start(*RUN, "--rate", "10", env=proxy.env)
        until(partial(has_bought, desk, 4), "four submissions")
        proxy.refused["/run"] = [402] * 9
        said = life.end(exits=5)
        assert (said.json["outcome"], said.json["reason_code"]) == ("stopped", "refused")
        assert said.json["rows"]["in_doubt"] == 0
        assert "enricher resume" in said.err
        proxy.refused.clear()
        desk.do(*RUN, *FAST, env=proxy.env)
    assert list(times(desk).values()) == [1] * 12


# --- files of others ------------------------------------------------------------------------------


def test_overwrite_replaces_what_no_job_wrote(desk: Desk) -> None:
    leads(desk, 3)
    for name in ("out.csv", "out.partial.csv", "other.csv"):
        desk.write(name, ["mine"])
    assert "--overwrite" in desk.do(*RUN, exits=1).err
    assert desk.requests == 0
    desk.do(*RUN, *FAST, "--overwrite", "--max-runs", 1, exits=4)
    assert (desk.folder / "out.csv").read_text() == "mine\n", "until the job has finished"
    assert len(cells(desk.folder / "out.partial.csv").rows) == 3
    desk.do(*RUN, *FAST, "--overwrite")
    assert len(cells(desk.folder / "out.csv").rows) == 3
    desk.do("export", CHECKPOINT, "-o", "other.csv", exits=1)
    desk.do("export", CHECKPOINT, "-o", "other.csv", "--overwrite")
    assert (desk.folder / "other.csv").read_bytes() == (desk.folder / "out.csv").read_bytes()


def test_merge_replaces_what_is_its_own_or_what_it_is_told_to(desk: Desk) -> None:
    leads(desk, 6)
    grid = ("--grid", COMPANIES.id, *FAST)
    desk.do("plan", "leads.csv", *grid, "--shards", 2, "-o", "m.json")
    place = ("--state-dir", "state of shards")
    for number in (0, 1):
        desk.do("run", "--manifest", "m.json", "--shard", number, *place)
    assert "m.shards" not in desk.files()
    desk.do("merge", "m.json", "-o", "out.csv", exits=1)
    desk.write("out.csv", ["mine"])
    assert "--overwrite" in desk.do("merge", "m.json", "-o", "out.csv", *place, exits=1).err
    desk.do("merge", "m.json", "-o", "out.csv", *place, "--overwrite")
    assert len(cells(desk.folder / "out.csv").rows) == 6
    told = desk.do("status", "--manifest", "m.json", *place, "--json").json
    assert told["rows"]["completed"] == 6


# --- looking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "failed", "in doubt"])
def test_who_only_looks_ends_with_0_and_asks_nothing_whatever_became_of_the_job(
    desk: Desk, how
) -> None:
    leads(desk, 4)
    with proxy_before(desk.world.port) as proxy:
        proxy.failing = {"C1"} if how == "failed" else set()
        proxy.lost = {"C1"} if how == "in doubt" else set()
        stop = ("--max-runs", 2) if how == "stopped" else ()
        desk.do(*RUN, *FAST, *stop, env=proxy.env, exits=4 if stop else 3)
    before = desk.requests, len(desk.bought)
    for command in ("status", "export", "report"):
        desk.do(command, CHECKPOINT)
    assert (desk.requests, len(desk.bought)) == before
    desk.do("plan", *RUN[1:])
    assert len(desk.bought) == before[1]


def test_a_job_of_several_is_named_by_its_id(desk: Desk) -> None:
    shared = ("--checkpoint", "all.db", *FAST, "--json")
    jobs = {}
    for name, count in (("a", 2), ("b", 3)):
        leads(desk, count, f"{name}.csv")
        words = ("run", f"{name}.csv", "--grid", COMPANIES.id, *shared, "--max-runs", 1)
        jobs[name] = desk.do(*words, exits=4).json["job"]
    first = ("--job", jobs["a"])
    desk.do("export", "all.db", *first, "-o", "of a.csv")
    assert len(cells(desk.folder / "of a.csv").rows) == 2
    desk.do("report", "all.db", *first, "-o", "a.html")
    assert "a.csv" in (desk.folder / "a.html").read_text("utf-8")
    assert "b.csv" not in (desk.folder / "a.html").read_text("utf-8")
    told = desk.do("resume", "all.db", *first, "--json").json
    assert (told["job"], told["rows"]["total"]) == (jobs["a"], 2)
    assert desk.do("status", "all.db", "--json").json["job"] == jobs["a"], "the one used last"


def test_the_summary_file_is_written_when_a_job_is_stopped_too(desk: Desk) -> None:
    leads(desk, 30)
    words = (*RUN, "--summary-file", "s.json")
    stopped = desk.do(*words, *FAST, "--max-runs", 2, exits=4)
    assert json.loads((desk.folder / "s.json").read_text()) == stopped.json
    life = desk.start(*words, "--rate", "10")
    until(partial(has_bought, desk, 5), "some more submissions")
    life.process.send_signal(signal.SIGTERM)
    assert life.end(exits=143).json == json.loads((desk.folder / "s.json").read_text())


def test_verbose_tells_each_failure_and_no_progress_draws_nothing(new_desk) -> None:
    desk = new_desk(fail_rate=1.0)
    leads(desk, 3)
    said = desk.do(*RUN, *FAST, "-v", exits=3).err
    assert said.count("RUN_FAILED") >= 3
    words = (*RUN[:-1], *FAST, "--no-progress")
    with Terminal(desk, *words, "--retry-failed") as terminal:
        assert terminal.end() == 3
    assert "━" not in terminal.shown
    assert "Finished" in terminal.shown, "the summary"


def test_plan_takes_every_option_of_run_and_writes_neither_output_nor_metrics(desk: Desk) -> None:
    leads(desk, 2)
    stops = ("--max-runs", 1, "--max-failures", "5%", "--stop-after", "1h", "--max-attempts", 2)
    again = ("--in-doubt", "retry", "--retry-failed", "--refresh-after", "0s", "--retry-lock", "1s")
    told = ("--metrics-file", "m.prom", "--failures", "f.csv", "--allow-failures", 1, "--yes", "-q")
    pace = ("--mode", "auto", "--max-in-flight", 3, "--run-timeout", "1m", "--max-outage", "1m")
    said = desk.do("plan", *RUN[1:], *stops, *again, *told, *pace)
    assert said.json["new_runs"] == 2
    assert (desk.bought, desk.files()) == ([], ["leads.csv"])


def test_init_keeps_where_to_ask_and_where_the_key_stands(desk: Desk) -> None:
    leads(desk, 2)
    desk.key_file(KEY)
    named = ("--base-url", desk.world.base_url, "--api-key-file", "api.key")
    nothing = {"BITSCALE_API_KEY": "", "BITSCALE_BASE_URL": ""}
    desk.do("init", "leads.csv", "--grid", COMPANIES.id, *named, env=nothing)
    desk.do("run", "leads.job.toml", *FAST, env=nothing)
    assert len(desk.bought) == 2


def test_a_dumb_terminal_gets_plain_lines(desk: Desk) -> None:
    leads(desk, 3)
    with Terminal(desk, *RUN[:-1], *FAST, env={"TERM": "dumb"}) as terminal:
        assert terminal.end() == 0
    assert "Note: " in terminal.shown
    assert "\x1b" not in terminal.shown


def test_an_input_that_moved_is_remembered(desk: Desk) -> None:
    leads(desk, 3)
    desk.do(*RUN, *FAST)
    (desk.folder / "leads.csv").rename(desk.folder / "moved.csv")
    desk.do(*RESUME, "--input", "moved.csv")
    desk.do(*RESUME)
    desk.do("export", CHECKPOINT, "-o", "copy.csv")
    assert len(cells(desk.folder / "copy.csv").rows) == 3
    assert len(desk.bought) == 3


# --- whose results --------------------------------------------------------------------------------


def test_results_of_another_workspace_or_another_server_are_never_taken(
    desk: Desk, new_desk
) -> None:
    leads(desk, 2)
    desk.do(*RUN, *FAST)
    with proxy_before(desk.world.port) as proxy:  # at another address
        desk.do(*RUN, *FAST, env=proxy.env)
        assert len(desk.bought) == 4
        proxy.changed["/workspace"] = renamed
        desk.do(*RUN, *FAST, env=proxy.env)
        assert len(desk.bought) == 6
        desk.do(*RUN, *FAST, env=proxy.env)
    desk.do(*RUN, *FAST)
    assert len(desk.bought) == 6, "each has its own"


def renamed(answer: bytes) -> bytes:
    told: dict[str, Any] = json.loads(answer)
    return json.dumps({**told, "id": "another-workspace"}).encode()


# --- the simulator --------------------------------------------------------------------------------


def test_simulate_and_demo_do_as_their_options_say(desk: Desk) -> None:
    options = ("--rate", 2, "--duration", "0.1", "--fail-rate", 1, "--seed", 3, "--json")
    life = desk.start("simulate", *options)
    assert life.process.stdout is not None
    facts = json.loads(life.process.stdout.readline())
    desk.secrets.append(facts["api_key"])
    env = {"BITSCALE_BASE_URL": facts["base_url"], "BITSCALE_API_KEY": facts["api_key"]}
    leads(desk, 3)
    told = desk.do(*RUN, env=env, exits=3).json
    assert told["rows"]["failed"] == 3
    assert told["seconds"] > 3, "10 requests at 2 a second, where 5 would take 2 s"
    life.process.send_signal(signal.SIGTERM)
    life.end(exits=0)


def test_a_demo_leaves_its_files_where_it_is_told(desk: Desk) -> None:
    desk.secrets.append(DEFAULT_API_KEY)
    life = desk.start("demo", "--dir", "shown")
    until((desk.folder / "shown/companies.enriched.csv.checkpoint.db").exists, "a checkpoint there")
    life.process.send_signal(signal.SIGINT)
    life.end(exits=130)
    assert {Path(name).parts[0] for name in desk.files()} == {"shown"}
