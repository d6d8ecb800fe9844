"""Wrong usage, help, `simulate`, `demo`, pipes and terminals: the commands as a shell runs them."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from enricher.simulator.settings import DEFAULT_API_KEY
from tests.acceptance.desk import COMPANIES, PROGRAM, SAMPLES, Desk, Said, cells, until
from tests.acceptance.terminal import Terminal
from tests.support.canary import KEY

ENRICHER = shlex.join(PROGRAM)
RUN = f"{ENRICHER} run leads.csv --grid {COMPANIES.id} --rate unlimited"


def in_a_shell(desk: Desk, script: str) -> Said:
    done = subprocess.run(
        ["sh", "-c", script], cwd=desk.folder, env=desk.env, capture_output=True, text=True
    )
    desk.said.append(said := Said(done.returncode, done.stdout, done.stderr))
    return said


@pytest.fixture
def leads(desk: Desk) -> Desk:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com", "Bolt,bolt.io"])
    return desk


# --- demo: begun before the other tests and looked at after them ---------------------------------


@pytest.fixture(scope="module", autouse=True)
def demos(shared_desk: Desk):
    """The demo in an empty folder, and then once more in the same place."""
    shared_desk.secrets.append(DEFAULT_API_KEY)
    with ThreadPoolExecutor(1) as one_after_the_other:
        yield [one_after_the_other.submit(demo, shared_desk) for _ in range(2)]


def demo(desk: Desk) -> tuple[Said, float]:
    began = time.monotonic()
    return desk.do("demo"), time.monotonic() - began


# --- usage and help ------------------------------------------------------------------------------

COMMANDS = (
    *("run", "plan", "init", "resume", "status", "export", "merge", "report", "serve"),
    *("workspace", "grids", "grid", "contract", "providers", "key", "rotate-key"),
    *("schema", "mcp", "simulate", "demo"),
)

WRONG = {
    "an unknown option": (["run", "l.csv", "--grd", "x"], "No such option '--grd'", "--grid"),
    "an unknown command": (["rum"], "No such command 'rum'", "enricher --help"),
    "no input": (["run", "--grid", "x"], "Missing argument 'INPUT'", "run --help"),
    "no grid": (["run", "l.csv"], "--grid: is required", "run --help"),
    "a map without =": (["run", "l.csv", "-m", "website"], "'website' is not of the form", "-m"),
    "a map without label": (["run", "l.csv", "-m", "=Web"], "'=Web' is not of the form", "-m"),
    "a set without =": (["run", "l.csv", "--set", "website"], "'website' is not of", "--set"),
    "a label fed twice": (
        ["run", "l.csv", "--grid", "x", "-m", "a=B", "--set", "a=c"],
        "fed twice, by -m a=… and by --set a=…",
        "run --help",
    ),
    "a label mapped twice": (
        ["run", "l.csv", "--grid", "x", "-m", "a=B", "-m", "a=C"],
        "-m feeds a more than once",
        "run --help",
    ),
    "no rate": (["run", "l.csv", "--rate", "0"], "'0' is not a number of requests", "unlimited"),
    "a rate below": (["plan", "l.csv", "--rate", "-1"], "'-1' is not a number of", "unlimited"),
    "a rate of nan": (["run", "l.csv", "--rate", "nan"], "'nan' is not a number of", "unlimited"),
    "a rate of words": (["resume", "c.db", "--rate", "abc"], "'abc' is not a number", "unlimited"),
    "nothing in flight": (
        ["run", "l.csv", "--max-in-flight", "0"],
        "'0' is not a whole number from 1 to 100000",
        "`auto`",
    ),
    "half a run in flight": (["plan", "l.csv", "--max-in-flight", "1.5"], "'1.5' is not", "`auto`"),
    "many in flight": (["resume", "c.db", "--max-in-flight=-1"], "'-1' is not", "`auto`"),
    "a mode of its own": (["run", "l.csv", "--mode", "fast"], "'fast' is not one of", "'sync'"),
    "an age without unit": (["run", "l.csv", "--run-timeout", "5"], "'5' is not a number", "15m"),
    "a base URL without TLS": (
        ["run", "l.csv", "--grid", "x", "--base-url", "http://api.example/v1"],
        "would carry the key unencrypted",
        "use https://",
    ),
    "a port out of range": (["simulate", "--port", "70000"], "70000", "65535"),
    "a duration of words": (["simulate", "--duration", "long"], "bad duration 'long'", "uniform:"),
    "a fault that is none": (
        ["simulate", "--faults", "explode=0.1"],
        "'explode' is no fault",
        "  drop_after   processed; the connection breaks before the answer",
    ),
    "a fault without share": (["simulate", "--faults", "html"], "needs a share", "drop_after=0.02"),
    "an API that is none": (["simulate", "--api", "acme"], "'acme' is not one of", "'8bitedge'"),
}


@pytest.mark.parametrize(("words", "cause", "mend"), WRONG.values(), ids=WRONG)
def test_wrong_usage(shared_desk: Desk, words, cause, mend) -> None:
    said = shared_desk.do(*words, exits=2)
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert cause in said.err
    assert mend in said.err
    assert not (shared_desk.folder / "s.json").exists()


def test_programs_are_told_of_wrong_usage_and_of_errors_too(desk: Desk) -> None:
    tries = {
        2: ["run", "l.csv", "--rate", "0", "--json", "--summary-file", "s.json"],
        1: ["run", "l.csv", "--grid", "x", "--json", "--summary-file=s.json"],
    }
    for code, words in tries.items():
        told = desk.do(*words, exits=code).json
        assert (told["outcome"], told["exit_code"]) == ("error", code)
        assert set(told["error"]) == {"code", "message"}
        assert told == json.loads((desk.folder / "s.json").read_text())


def test_no_command_at_all_shows_the_help(desk: Desk) -> None:
    said = desk.do(exits=2)
    assert said.err.startswith("Usage: enricher")
    assert all(f"\n  {command} " in said.err for command in COMMANDS)


def test_version_is_one_line(desk: Desk) -> None:
    assert re.fullmatch(r"enricher\b.*\n", desk.do("--version").out)


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_what_there_is(shared_desk: Desk, command) -> None:
    words = [command] if command else []
    text = shared_desk.do(*words, "--help").out
    assert text.startswith(f"Usage: {' '.join(['enricher', *words])} ")
    assert max(map(len, text.splitlines())) <= 80
    assert f" enricher {command or 'demo'}" in text.partition("\n\n")[2]  # an example
    if not command:
        assert re.findall(r"^  ([\w-]+)  ", text.split("Commands:")[1], re.MULTILINE) == [*COMMANDS]


def test_an_unknown_option_is_refused_and_not_ignored(shared_desk: Desk) -> None:
    said = shared_desk.do("run", "leads.csv", "--grid", COMPANIES.id, "--clusters=3", exits=2)
    assert "No such option '--clusters'" in said.err


# --- simulate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulate_prints_what_a_shell_can_take_over_and_runs_until_a_signal(
    desk: Desk, number
) -> None:
    life = desk.start("simulate", "--rate", "unlimited")
    assert life.process.stdout is not None
    printed = "".join(life.process.stdout.readline() for _ in range(7))
    show = 'printf "%s\\n%s" "$BITSCALE_BASE_URL" "$BITSCALE_API_KEY"'
    base_url, key = in_a_shell(desk, f"{printed}\n{show}").out.splitlines()
    desk.secrets.remove(KEY)
    assert COMPANIES.id in printed
    found = httpx2.get(f"{base_url}/workspace", headers={"X-API-KEY": key})
    assert found.json()["credits"]["remaining"] > 0
    port = int(base_url.split(":")[2].partition("/")[0])
    assert base_url == f"http://127.0.0.1:{port}/api/v1"
    with socket.socket() as elsewhere:  # all of 127/8 is this machine, and only one of it listens
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0 or sys.platform != "linux"
    life.process.send_signal(number)
    assert (life.end(exits=0).err, life.end().out) == ("", "")


def test_simulate_tells_programs_the_same_and_a_taken_port_is_an_error(desk: Desk) -> None:
    life = desk.start("simulate", "--json", "--fail-rate", "0.5", "--seed", "3")
    assert life.process.stdout is not None
    facts = json.loads(life.process.stdout.readline())
    assert {"base_url", "api_key", "grids"} == set(facts)
    assert facts["grids"][0] == {
        "id": COMPANIES.id,
        "name": COMPANIES.name,
        "inputs": ["company_name", "website"],
    }
    port = facts["base_url"].split(":")[2].partition("/")[0]
    said = desk.do("simulate", "--port", port, exits=1)
    assert f"cannot listen on 127.0.0.1:{port}" in said.err
    assert "Choose another --port" in said.err


def test_simulate_tells_the_facts_of_every_api_that_it_was_asked_for(desk: Desk) -> None:
    apis = ("--api", "8bitedge", "--api", "scale", "--faults", "500=0")
    life = desk.start("simulate", *apis)
    assert life.process.stdout is not None
    printed = "".join(life.process.stdout.readline() for _ in range(11))
    for name in ("signals", "enrichment", "intelligence", "wf-company-profile"):
        assert f" {name} " in printed
    names = (
        *("EIGHTBITEDGE_BASE_URL", "EIGHTBITEDGE_TOKEN"),
        *("SCALE_BASE_URL", "SCALE_API_KEY", "SCALE_ACCOUNT_ID"),
    )
    show = "\n".join(f'printf "%s\\n" "${name}"' for name in names)
    edge, token, gp, key, account = in_a_shell(desk, f"{printed}\n{show}").out.splitlines()
    assert edge.endswith("/8bitedge/api/v1")
    assert gp.endswith("/corp-api/compass/api")
    batch = {"requests": [{"id": 1}]}
    headers = {"Authorization": f"Bearer {token}"}
    done = httpx2.post(f"{edge}/signals/batch", json=batch, headers=headers, timeout=30)
    assert done.json()["meta"]["batch"]["succeeded"] == 1
    headers = {"x-scale-api-key": key, "x-selected-account-id": account}
    body = {"workflowId": "wf-company-profile"}
    started = httpx2.post(f"{gp}/v1/workflow/run", json=body, headers=headers)
    assert started.json()["sessionId"]
    life.process.send_signal(signal.SIGINT)
    life.end(exits=0)

    told = desk.start("simulate", *apis, "--json")
    assert told.process.stdout is not None
    facts = json.loads(told.process.stdout.readline())
    assert set(facts) == {"8bitedge", "scale"}
    assert facts["8bitedge"]["max_batch_size"] == 100
    assert facts["scale"]["workflows"][0]["id"] == "wf-company-profile"


# --- pipes ---------------------------------------------------------------------------------------


def test_a_reader_that_leaves_does_not_stop_the_job_nor_change_how_it_ends(leads: Desk) -> None:
    keep_code = "{ %s; echo $? > code; } | true"
    said = in_a_shell(leads, keep_code % f"{RUN} --json 2> err")
    assert said == Said(0, "", "")
    assert (leads.folder / "code").read_text() == "0\n"
    told = (leads.folder / "err").read_text()
    assert "Finished." in told
    assert "Broken" not in told

    again = "-o two.csv --checkpoint leads.enriched.csv.checkpoint.db 2>&1"
    said = in_a_shell(leads, keep_code % f"{RUN} {again}")
    assert said == Said(0, "", "")
    assert (leads.folder / "code").read_text() == "0\n"
    assert len(cells(leads.folder / "two.csv").rows) == 2
    assert len(leads.bought) == 2


@pytest.mark.parametrize("command", ["--help", "status leads.enriched.csv.checkpoint.db"])
def test_what_is_only_said_ends_quietly_when_nobody_listens(desk: Desk, command) -> None:
    said = in_a_shell(desk, f"{ENRICHER} {command} | true")
    assert said.out == ""
    assert "Broken" not in said.err


# --- a terminal ----------------------------------------------------------------------------------


def slow_job(desk: Desk) -> Terminal:
    desk.write("leads.csv", ["Company Name,Website", *(f"C{n},c{n}.com" for n in range(30))])
    return Terminal(desk, "run", "leads.csv", "--grid", COMPANIES.id, "--rate", "10")


def test_on_a_terminal_a_bar_shows_how_far_it_is_and_ctrl_c_stops(desk: Desk) -> None:
    with slow_job(desk) as terminal:
        terminal.until("of 30 rows")
        until(lambda: len(desk.bought) >= 4, "four submissions")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert "\x1b[" in terminal.shown
    assert "━" in terminal.shown
    assert "Ctrl-C: stopping" in terminal.shown
    assert "enricher resume" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert KEY not in terminal.shown
    assert (desk.folder / "leads.enriched.partial.csv").exists()


def test_a_terminal_that_is_closed_stops_the_job_cleanly(desk: Desk) -> None:
    with slow_job(desk) as terminal:
        terminal.until("of 30 rows")
        until(lambda: len(desk.bought) >= 4, "four submissions")
        terminal.hang_up()
        assert terminal.process.wait(30) == 129
    told = desk.do("status", "leads.enriched.csv.checkpoint.db", "--json").json
    assert (told["outcome"], told["exit_code"]) == ("stopped", 129)
    assert told["rows"]["in_doubt"] == 0
    assert (desk.folder / "leads.enriched.partial.csv").exists()


# --- demo: the end -------------------------------------------------------------------------------


def test_the_demo_works_in_an_empty_folder_and_again_in_the_same(
    shared_desk: Desk, demos: list[Future[tuple[Said, float]]]
) -> None:
    for done in demos:
        said, seconds = done.result()
        assert seconds < 40
        assert "40: 39 completed, 1 skipped" in said.err
        assert "36 submitted" in said.err
        for label in ("output", "checkpoint", "summary"):
            (line,) = [line for line in said.err.splitlines() if line.startswith(f"  {label} ")]
            assert Path(line.partition(label)[2].strip()).is_file()
        for shown in ("Lowe's Companies, Inc.", "Company Description", "Employees (enriched)"):
            assert shown in said.out, "whole, not cut to fit"
    folder = shared_desk.folder / "enricher-demo"
    out = cells(folder / "companies.enriched.csv")
    assert [row[:5] for row in out.rows] == cells(SAMPLES / "companies.csv").rows
    requests = json.loads((folder / "summary.json").read_text())["requests"]
    assert requests["total"] <= 2.3 * 36
    # None on an idle machine; a busy one shakes the distances between requests on their way.
    assert requests["rate_limited"] <= 2
