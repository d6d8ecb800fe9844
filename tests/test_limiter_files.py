"""Old files of the host's limits go, and never under a process that has one open."""

import asyncio
import os
import sqlite3
import subprocess
import sys

import pytest

from enricher.budget import BudgetBroken
from enricher.limiter import budget_name
from enricher.limiter.host import HostBudget
from enricher.limiter.host_files import LIFETIME


def clock():
    return 100.0


@pytest.fixture
def path(tmp_path):
    def of(key):
        return tmp_path / "limits" / f"{budget_name('bitscale', 'https://a.test', key)}.db"

    return of


def leave(budget):
    asyncio.run(budget.aclose())


def age(path, seconds):
    for part in path.parent.glob(f"{path.name}*"):
        at = part.stat().st_mtime - seconds
        os.utime(part, (at, at))


def names(path):
    return sorted(file.name for file in path.parent.glob("*.db*"))


def test_a_file_that_was_not_used_for_long_goes_with_the_next_opening(path):
    leave(HostBudget(path("old"), clock))
    leave(HostBudget(path("recent"), clock))
    age(path("old"), LIFETIME + 60)
    age(path("recent"), LIFETIME - 60)
    leave(HostBudget(path("now"), clock))
    assert names(path("now")) == sorted([path("recent").name, path("now").name])


def test_a_file_that_is_opened_again_is_not_old(path):
    leave(HostBudget(path("old"), clock))
    age(path("old"), LIFETIME + 60)
    leave(HostBudget(path("old"), clock))
    leave(HostBudget(path("now"), clock))
    assert path("old").exists()


HOLDER = """
import sys
from pathlib import Path
from enricher.limiter.host import HostBudget
budgets = [HostBudget(Path(sys.argv[1]), lambda: 100.0) for _ in range(int(sys.argv[2]))]
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_file_that_another_process_has_open_stays_however_old(path, count):
    """Twice in one process too: a closed descriptor of a file takes the process's locks away."""
    path("held").parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path("held")), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        age(path("held"), LIFETIME + 60)
        leave(HostBudget(path("now"), clock))
        is_there = path("held").exists()
        holder.kill()
    assert is_there
    age(path("held"), LIFETIME + 60)
    leave(HostBudget(path("now"), clock))
    assert names(path("now")) == [path("now").name], "nor is its log left behind"


def test_a_log_in_use_counts(path):
    """A file's log is where it is written to."""
    budget = HostBudget(path("old"), clock)
    at = path("old").stat().st_mtime - LIFETIME - 60
    os.utime(path("old"), (at, at))
    log = path("old").with_name(f"{path('old').name}-wal")
    kept = log.read_bytes()
    leave(budget)
    log.write_bytes(kept)  # as if it had been killed
    leave(HostBudget(path("now"), clock))
    assert path("old").exists()


def test_what_is_not_ours_or_no_database_stays(path):
    leave(HostBudget(path("now"), clock))
    foreign = path("now").with_name("notes.db")
    broken = path("broken")
    for file in (foreign, broken):
        file.write_bytes(b"something else, longer than the header of a database is" * 50)
        age(file, 2 * LIFETIME)
    leave(HostBudget(path("now"), clock))
    assert foreign.exists()
    assert broken.exists()


def test_a_link_in_the_place_of_a_file_is_refused(path, tmp_path):
    elsewhere = tmp_path / "elsewhere.db"
    sqlite3.connect(elsewhere).close()
    path("linked").parent.mkdir()
    path("linked").symlink_to(elsewhere)
    with pytest.raises(BudgetBroken, match="cannot be used"):
        HostBudget(path("linked"), clock)
