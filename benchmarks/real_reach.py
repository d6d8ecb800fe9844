"""Real jobs that keep one limit together: the shards of one list, each a process of the program.

Runs take a second, and the server costs next to nothing (`thin_server`), so that it is the clients
that are measured. "used" is the share of the limit that the server saw, and "most" the requests in
any second, both without the first five seconds and the last four, in which not every process is at
work; CPU is that of a whole process, its start with it, in cores while it lived.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine import make_table
from benchmarks.server import running_thin

_STEADY = slice(5, -4)


@dataclass(frozen=True)
class Life:
    """One process: user and system seconds, and how long it lived."""

    cpu: float
    seconds: float


def measure(rate: float, count: int, rows: int) -> None:
    """Run a list of `rows` rows in `count` shards, and print what was seen."""
    with running_thin(rate) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_table(folder / "in.csv", rows)
        environ = _environ(folder, server.address)
        grid = ("--grid", server.address["grid"], "--rate", f"{rate:g}", "--shards", str(count))
        _ended([_started(folder, environ, "plan", "in.csv", *grid, "-o", "m.json")])
        began = time.monotonic()
        shards = [
            _started(folder, environ, "run", "--manifest", "m.json", "--shard", str(index))
            for index in range(count)
        ]
        lives = _ended(shards)
        seconds = time.monotonic() - began
    _tell(rate, server.seen["accepted"], lives)
    print(
        f"  {sum(server.seen['accepted']) / rows:.2f} requests a row;"
        f" most {server.seen['most']} in a second, {server.seen['rate_limited']} answered 429;"
        f" the server took {server.seen['cpu'] / seconds:.2f} of a core"
    )


def _tell(rate: float, accepted: Sequence[int], lives: Sequence[Life]) -> None:
    steady = accepted[_STEADY]
    if not steady:
        raise SystemExit("too few rows: name more with --rows")
    sent = sum(steady) / len(steady)
    cores = ", ".join(f"{life.cpu / life.seconds:.2f}" for life in lives)
    each = 1000 * sum(life.cpu for life in lives) / sum(accepted)
    print(
        f"{len(lives)} processes at {rate:g}/s: {sent:.0f} requests/s, {sent / rate:.1%}"
        f" (over {len(steady)} s); cores {cores}; {each:.2f} ms of CPU a request",
        flush=True,
    )


def _environ(folder: Path, address: Mapping[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(Path.cwd()),
        "BITSCALE_BASE_URL": address["base_url"],
        "BITSCALE_API_KEY": address["api_key"],
        "XDG_STATE_HOME": str(folder / "state"),
    }


def _started(
    folder: Path, environ: Mapping[str, str], *words: str
) -> "tuple[subprocess.Popen[bytes], float]":
    command = [sys.executable, "-m", "enricher", *words, "-q"]
    process = subprocess.Popen(  # noqa: S603 — the program itself
        command, cwd=folder, env=environ, stdout=subprocess.DEVNULL
    )
    return process, time.monotonic()


def _ended(started: "Sequence[tuple[subprocess.Popen[bytes], float]]") -> list[Life]:
    """Wait for all; the system tells what each has used when it is waited for."""
    lives: list[Life] = []
    for _ in started:
        pid, status, usage = os.wait3(0)
        process, began = next(one for one in started if one[0].pid == pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"a process ended with {process.returncode}")
        lives.append(Life(usage.ru_utime + usage.ru_stime, time.monotonic() - began))
    return lives
