"""What a person sees while a job runs, on terminals wide and narrow, and what programs read."""

import json
import signal
from pathlib import Path

import pytest

from tests.acceptance.desk import COMPANIES, Desk, until
from tests.acceptance.terminal import Terminal

MANY = ["Company Name,Website", *(f"C{n},c{n}.com" for n in range(1001))]
SOME = MANY[:31]
RUN = ("run", "leads.csv", "--grid", COMPANIES.id)
CHECKPOINT = "leads.enriched.csv.checkpoint.db"


@pytest.mark.parametrize("columns", [40, 100])
def test_the_picture_fits_the_terminal_and_leaves_the_summary(desk: Desk, columns) -> None:
    desk.write("leads.csv", SOME)
    with Terminal(desk, *RUN, "--rate", "10", columns=columns) as terminal:
        terminal.until("of 10 requests/s")
        until(lambda: len(desk.bought) >= 5, "five submissions")
        terminal.type("\x03")
        assert terminal.end() == 130
    picture = terminal.lines[: terminal.lines.index("Stopped; everything acknowledged is kept.")]
    assert any("━" in line and " %" in line for line in picture)
    assert any("in flight" in line for line in picture)
    assert any("credits" in line for line in picture)
    assert max(map(len, picture)) <= columns
    assert terminal.lines[-1].startswith("Go on with:  enricher resume ")


def test_no_colour_where_none_is_wanted(desk: Desk) -> None:
    desk.write("leads.csv", SOME)
    words = (*RUN, "--rate", "unlimited")
    with Terminal(desk, *words, env={"NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
    assert "of 30 rows" in terminal.shown
    assert "\x1b[3" not in terminal.shown  # foreground colours


# --- before money ---------------------------------------------------------------------------------


def test_more_than_a_thousand_runs_are_asked_about_and_no_means_no(desk: Desk) -> None:
    desk.write("leads.csv", MANY)
    with Terminal(desk, *RUN, "--rate", "unlimited") as terminal:
        terminal.until("Submit 1,001 new runs? [y/N]")
        assert desk.bought == []
        terminal.type("n\n")
        assert terminal.end() == 1
    assert "New runs:  1,001" in terminal.shown
    assert "'C0', 'C1', 'C2'" in terminal.shown
    assert "the answer was no" in terminal.shown
    assert (desk.bought, desk.files()) == ([], ["leads.csv"])


@pytest.mark.parametrize(("typed", "code"), [("\x03", 130), ("\x04", 1)], ids=["Ctrl-C", "Ctrl-D"])
def test_the_question_can_be_left(desk: Desk, typed, code) -> None:
    desk.write("leads.csv", MANY)
    with Terminal(desk, *RUN, "--rate", "unlimited") as terminal:
        terminal.until("[y/N]")
        terminal.type(typed)
        assert terminal.end() == code
    assert (desk.bought, desk.files()) == ([], ["leads.csv"])


def test_yes_goes_on_and_what_is_left_is_asked_about_anew(desk: Desk) -> None:
    desk.write("leads.csv", [*MANY, *(f"D{n},d{n}.com" for n in range(10))])
    with Terminal(desk, *RUN, "--rate", "unlimited", "--max-runs", "1005") as terminal:
        terminal.until("Submit 1,011 new runs? [y/N]")
        terminal.type("yes\n")
        assert terminal.end() == 4
    assert len(desk.bought) == 1005
    desk.do("resume", CHECKPOINT)
    assert len(desk.bought) == 1011


@pytest.mark.parametrize("answer", ["--yes", "--max-runs=20"])
def test_nothing_is_asked_that_was_answered_or_is_few(desk: Desk, answer) -> None:
    desk.write("leads.csv", MANY)
    with Terminal(desk, *RUN, "--rate", "unlimited", answer) as terminal:
        until(lambda: len(desk.bought) >= 10, "ten submissions")
        terminal.type("\x03")
        terminal.end()
    assert "[y/N]" not in terminal.shown


def test_nothing_is_asked_without_a_terminal(desk: Desk) -> None:
    desk.write("leads.csv", MANY)
    life = desk.start(*RUN, "--rate", "unlimited")
    until(lambda: len(desk.bought) >= 10, "ten submissions")
    life.process.send_signal(signal.SIGTERM)
    assert "[y/N]" not in life.end(exits=143).err


# --- from another terminal ------------------------------------------------------------------------


def test_status_watches_a_job_until_it_ends(desk: Desk) -> None:
    desk.write("leads.csv", SOME)
    life = desk.start(*RUN, "--rate", "10")
    until(lambda: len(desk.bought) >= 3, "three submissions")
    with Terminal(desk, "status", CHECKPOINT, "--watch", columns=60) as terminal:
        terminal.until("of 30 rows")
        terminal.until("of 10 requests/s")
        assert life.end(exits=0).code == 0
        assert terminal.end() == 0
    assert "Finished." in terminal.shown


def test_status_lists_the_jobs_of_a_checkpoint(desk: Desk) -> None:
    for name in ("a.csv", "b.csv"):
        desk.write(name, MANY[:3])
        shared = ("--checkpoint", "all.db", "--rate", "unlimited")
        desk.do("run", name, "--grid", COMPANIES.id, *shared)
    told = desk.do("status", "all.db", "--jobs", "--json").json
    assert [Path(job["input"]).name for job in told] == ["b.csv", "a.csv"]
    assert {job["outcome"] for job in told} == {"finished"}
    text = desk.do("status", "all.db", "--jobs").out
    assert text.count("finished: 2 completed") == 2
    assert all(job["job"] in text for job in told)
    assert "exclude each other" in desk.do("status", "all.db", "--jobs", "--watch", exits=2).err


# --- for programs, and for quiet people -----------------------------------------------------------


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_log_in_json_has_one_object_a_line_with_stable_events(new_desk) -> None:
    desk = new_desk(fail_rate=1.0)
    desk.write("leads.csv", SOME)
    words = (*RUN, "--rate", "unlimited", "--log-format", "json", "-v")
    said = desk.do(*words, exits=3)
    told = events(said.err)
    names = [line["event"] for line in told]
    assert names.count("run_failed") == 30
    assert (names.count("started"), names[-1]) == (1, "ended")
    assert (told[-1]["outcome"], told[-1]["exit_code"]) == ("finished_with_failures", 3)
    assert told[-1]["summary"]["rows"]["failed"] == 30
    assert all({"time", "level", "event", "message"} <= line.keys() for line in told)
    wrong = events(desk.do(*words, "--nonsense", exits=2).err)
    assert [line["event"] for line in wrong] == ["error"]


def test_quiet_says_nothing_of_what_went_well(desk: Desk) -> None:
    desk.write("leads.csv", SOME)
    words = (*RUN, "--rate", "unlimited", "-q")
    said = desk.do(*words)
    assert (said.out, said.err) == ("", "")
    stopped = desk.do(*words, "--refresh-after", "0s", "--max-runs", "2", exits=4)
    assert stopped.err.startswith("Stopped;")
    both = desk.do(*words, "-v", exits=2)
    assert "--quiet and --verbose contradict each other" in both.err


def test_the_shells_complete_commands_and_options(desk: Desk) -> None:
    env = {"_ENRICHER_COMPLETE": "bash_complete", "COMP_WORDS": "enricher run --max-f"}
    said = desk.do(env={**env, "COMP_CWORD": "2"})
    assert said.out == "plain,--max-failures\n"
    for shell in ("bash", "zsh", "fish"):
        assert "enricher" in desk.do(env={"_ENRICHER_COMPLETE": f"{shell}_source"}).out
