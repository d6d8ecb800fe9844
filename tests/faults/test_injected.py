"""Errors and deaths at chosen system calls of the real program, by strace.

The calls are counted in each thread for itself, and only those on the checkpoint and its log.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.acceptance.desk import COMPANIES, STATUS, Desk, answers, cells, items

TOTAL = 16
ROWS = ["No.,Company Name,Website", *(f"{n},Company {n},c{n}.com" for n in range(TOTAL))]
CHECKPOINT = "out.csv.checkpoint.db"
FILES = (CHECKPOINT, f"{CHECKPOINT}-wal")
LOG = "strace.log"
RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json", "--rate", 20)


@pytest.fixture(scope="module")
def strace() -> str:
    """The program, if it may watch a process and spoil its calls."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    spoilt = [found, "-qq", "-o", "/dev/null", "-e", "inject=getcwd:error=EIO"]
    code = "import os\ntry: os.getcwd()\nexcept OSError as error: print(error.errno)"
    said = subprocess.run(
        [*spoilt, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    if said.stdout.strip() != "5":
        pytest.skip("strace may not trace here")
    return found


def spoiling(strace: str, desk: Desk, call: str, what: str, *files: str) -> list[str]:
    """The words before a command under which its `call`s, on these files only, go wrong."""
    watched = [word for name in files for word in ("-P", str(desk.folder / name))]
    words = [strace, "-f", "-qq", "-o", str(desk.folder / LOG), *watched]
    return [*words, "-e", f"trace={call}", "-e", f"inject={call}:{what}"]


def injected(desk: Desk) -> int:
    """How many calls did go wrong."""
    log = desk.folder / LOG
    text = log.read_text(errors="replace")
    log.unlink()
    return text.count("(INJECTED)") + text.count("killed by SIGKILL")


def check_on_record(desk: Desk) -> None:
    """What was bought stands in the checkpoint; nothing was bought twice."""
    inputs = [json.loads(item["inputs"]) for item in items(desk.folder / CHECKPOINT)]
    known = {one["company_name"] for one in inputs}
    bought = Counter(run["company_name"] for run in desk.bought)
    assert bought.keys() <= known, "submitted after an intent that could not be written"
    assert set(bought.values()) <= {1}


def check_goes_on(desk: Desk) -> None:
    desk.do(*RUN, "--rate", "unlimited", exits=3 if doubts_of(desk) else 0)
    check_on_record(desk)
    out = cells(desk.folder / "out.csv")
    assert out.header[-2:] == [*STATUS]
    assert [row[:3] for row in out.rows] == cells(desk.folder / "leads.csv").rows
    for row in out.rows:
        if row[-2] == "completed":
            right = answers(COMPANIES, {"company_name": row[1], "website": row[2]})
            assert row[3] == right[0]
        else:
            assert row[-2] == "in_doubt"


def doubts_of(desk: Desk) -> int:
    """Of a dead process: what a start will find in doubt."""
    states = Counter(item["state"] for item in items(desk.folder / CHECKPOINT))
    return states["submitting"] + states["in_doubt"]


OPENING, WORKING = "checkpoint_error", "checkpoint_write"
ERRORS = [
    ("fdatasync", "EIO", 3, OPENING),
    ("pwrite64", "ENOSPC", 30, OPENING),
    ("fdatasync", "ENOSPC", 12, WORKING),
    ("fdatasync", "EIO", 25, WORKING),
    ("pwrite64", "EROFS", 120, WORKING),
]
"""From which call on, and whether the checkpoint is being made then."""


@pytest.mark.parametrize(("call", "error", "nth", "when"), ERRORS)
def test_a_disk_that_refuses_stops_the_job_and_nothing_is_bought_unrecorded(
    desk: Desk, strace, call, error, nth, when
) -> None:
    desk.write("leads.csv", ROWS)
    under = spoiling(strace, desk, call, f"error={error}:when={nth}+", *FILES)
    said = desk.start(*RUN, under=under).end(exits=1)
    assert injected(desk), "no call went wrong"
    assert said.json["error"]["code"] == when
    assert "disk" in said.err.splitlines()[-1], "the mend"
    if when == WORKING:
        assert len(desk.bought) < TOTAL
    check_on_record(desk)
    check_goes_on(desk)


@pytest.mark.parametrize(
    ("call", "nth"), [("fdatasync", 2), ("fdatasync", 9), ("pwrite64", 21), ("pwrite64", 60)]
)
def test_death_at_a_call_loses_nothing(desk: Desk, strace, call, nth) -> None:
    desk.write("leads.csv", ROWS)
    under = spoiling(strace, desk, call, f"signal=KILL:when={nth}", *FILES)
    desk.start(*RUN, under=under).end(exits=-signal.SIGKILL)
    assert injected(desk), "it did not die of that call"
    check_on_record(desk)
    check_goes_on(desk)


@pytest.mark.parametrize(("call", "error"), [("fsync", "EIO"), ("rename", "EACCES")])
def test_an_output_that_cannot_be_finished_is_told_and_written_later(
    desk: Desk, strace, call, error
) -> None:
    desk.write("leads.csv", ROWS)
    said = desk.start(*RUN, under=spoiling(strace, desk, call, f"error={error}")).end(exits=1)
    assert injected(desk), "no call went wrong"
    assert said.json["error"]["code"] == "output_error"
    assert "out.csv cannot be written" in said.err
    assert not [name for name in desk.files() if name.startswith((".out", "out.csv.tmp"))]
    assert len(desk.bought) == TOTAL
    check_goes_on(desk)
    assert len(desk.bought) == TOTAL
