"""The wall clock jumps by hours, forwards and back; only the monotonic clock decides.

In virtual time the whole job is compared with one whose clock stands right. For the real program
the clock is libfaketime's, where that is installed.
"""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from enricher.api import Hooks, Stop, StopCode, Summary, job_of
from enricher.api.outside import Outside, alone
from enricher.api.running import run_job
from enricher.simulator import Settings, Workspace, parse_duration
from tests.acceptance.desk import COMPANIES, Desk, cells, until
from tests.simulation.loop import Loop
from tests.support.canary import KEY
from tests.support.network import PREFIX, SimulatedNetwork

BASE_URL = f"http://localhost{PREFIX}"
HOUR = 3600.0
JUMPS = [5 * HOUR, -5 * HOUR, 24 * 365 * HOUR]
ROWS = ["No.,Company Name,Website", *(f"{n},Company {n},c{n}.com" for n in range(30))]


# --- in virtual time ------------------------------------------------------------------------------


@dataclass
class Told:
    """What a life asked, at which second of it, what it wrote and what it said."""

    requests: list[tuple[float, str]]
    output: bytes
    summary: Summary


class Lives:
    """One job in a folder of its own. By the wall clock it begins in the year 2001."""

    def __init__(self, folder: Path, **options: Any) -> None:
        folder.mkdir()
        leads = folder / "leads.csv"
        leads.write_text("\n".join([*ROWS, ""]), encoding="utf-8")
        settings = Settings(api_key=KEY, duration=parse_duration("uniform:1:9"))
        self.workspace = Workspace(settings, BASE_URL)
        self.network = SimulatedNetwork(self.workspace)
        self.options = {"input": leads, "grid": COMPANIES.id, "base_url": BASE_URL, **options}
        self.loop = Loop(lambda: 0.004)
        self._ahead = 1e9

    def live(self, *, jump: float = 0.0, after: int = 0, stop_at: int = 0, **more: Any) -> Told:
        """One life, in which the clock jumps once, and stays so, when so many requests arrived."""
        first = len(self.network.arrived)

        def clock() -> float:
            is_later = len(self.network.arrived) - first >= after
            return self.loop.time() + self._ahead + (jump if is_later else 0.0)

        job = job_of({**self.options, **more}, {})
        hooks = Hooks(ready=partial(self._stop_in_time, first + stop_at) if stop_at else _go_on)
        work = run_job(
            job, {"BITSCALE_API_KEY": KEY}, hooks, job.id, Outside(clock, self.network, alone)
        )
        began = self.loop.time()
        summary = self.loop.run_until_complete(work)
        self._ahead += jump
        arrived = self.network.arrived[first:]
        told = [(round(sent.at - began, 3), sent.request.path) for sent in arrived]
        where = job.output if summary.exit_code in (0, 3) else job.partial
        return Told(told, where.read_bytes(), summary)

    def _stop_in_time(self, at: int, stop: Callable[[Stop], None]) -> None:
        """Stop the job when `at` requests have arrived, in all its lives."""

        def script(_: object) -> None:
            if len(self.network.arrived) == at:
                stop(Stop(StopCode.SIGNAL, "stopped", signal.SIGTERM))

        self.network.script = script

    @property
    def bought(self) -> Counter[str]:
        """How often each company was."""
        return Counter(str(run.inputs["company_name"]) for run in self.workspace.runs)


def _go_on(_: object) -> None:
    """Nobody stops it."""


@pytest.fixture
def lives_of(tmp_path):
    made: list[Lives] = []

    def make(name: str, **options: Any) -> Lives:
        made.append(Lives(tmp_path / name, **options))
        return made[-1]

    yield make
    for lives in made:
        lives.loop.close()


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("after", [8, 20, 40])
def test_a_clock_that_jumps_in_mid_job_changes_nothing_that_is_done(lives_of, jump, after):
    options = {"stop_after": 600.0, "max_outage": 60.0, "run_timeout": 1200.0}
    right = lives_of("right", **options).live()
    jumped = lives_of("jumped", **options).live(jump=jump, after=after)
    assert jumped.requests == right.requests
    assert jumped.output == right.output
    assert jumped.summary.exit_code == right.summary.exit_code == 0
    assert jumped.summary.seconds == right.summary.seconds


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumped_between_two_lives_buys_nothing_twice(lives_of, jump):
    """A run that only seems old is looked at, and looked at once more: it is never sent again."""
    lives = lives_of("lives", run_timeout=1200.0)
    stopped = lives.live(jump=jump, after=24, stop_at=30)
    assert stopped.summary.exit_code == 128 + signal.SIGTERM
    assert stopped.summary.rows.pending
    codes = [lives.live().summary.exit_code, lives.live().summary.exit_code]
    assert codes[1] == 0
    assert set(lives.bought.values()) == {1}
    assert lives.bought.total() == len(ROWS) - 1


@pytest.mark.parametrize("jump", JUMPS)
def test_a_refresh_is_made_once_whatever_the_clock_says(lives_of, jump):
    lives = lives_of("lives")
    lives.live()
    lives.live(refresh_after=0.0, jump=jump, after=24, stop_at=30)
    lives.live(refresh_after=0.0)
    assert set(lives.bought.values()) == {2}


# --- the program ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FakeClock:
    """libfaketime, told by a file how far the clock is off; the monotonic clock stays right."""

    library: Path
    says: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.says),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, hours: int) -> None:
        fresh = self.says.with_suffix(".new")
        fresh.write_text(f"{hours:+}h\n", encoding="ascii")
        fresh.replace(self.says)


@pytest.fixture
def clock(tmp_path) -> FakeClock:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("libfaketime is not installed: the clock cannot be made to jump")
    fake = FakeClock(found[0], tmp_path / "clock")
    fake.jump(+0)
    read = [sys.executable, "-c", "import time; print(time.time())"]
    fake.jump(-5)
    said = subprocess.run(read, env=fake.env, capture_output=True, text=True, check=False)
    if said.returncode or not 17_000 < time.time() - float(said.stdout) < 19_000:
        pytest.skip("libfaketime does not work here: the clock cannot be made to jump")
    fake.jump(+0)
    return fake


@pytest.mark.parametrize("hours", [+7, -7])
def test_the_program_does_not_care_for_a_clock_that_jumps(desk: Desk, clock, hours) -> None:
    desk.write("leads.csv", ROWS)
    command = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json")
    options = ("--rate", 15, "--stop-after", "30m", "--run-timeout", "1h")
    before = time.time()
    life = desk.start(*command, *options, env=clock.env)
    until(lambda: len(desk.bought) >= 8, "eight submissions")
    clock.jump(hours)
    told = life.end(exits=0).json
    assert (told["rows"]["completed"], told["runs"]["submitted"]) == (30, 30)
    assert len(desk.bought) == 30
    assert told["seconds"] < 60, "time is told by the clock that does not jump"
    ended = datetime.fromisoformat(told["updated_at"]).timestamp()
    assert abs(ended - before - hours * 3600) < 120, "the clock did jump"
    assert set(cells(desk.folder / "out.csv").column("enrichment_status")) == {"completed"}
