"""A long job on a bad network: do memory, open files and the checkpoint stay what they were?

    python -m benchmarks.soak                       an hour at 5/s
    python -m benchmarks.soak --minutes 5 --rate 50 --every 30

The real program enriches a list against the built-in simulator, each a process of its own, while
requests are dropped before and after they are handled, cut short, kept waiting, and answered with
429, 500 and 503. Every `--every` seconds a line tells the program's resident memory, its open
files, the rows that have ended, and the checkpoint's bytes (with its log) for each of these. The
job is stopped when the time is over, as a person would stop it. Linux only: it reads /proc.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FAULTS = "drop_before=0.01,drop_after=0.005,truncate=0.005,slow=0.02,429=0.002,500=0.005,503=0.002"
ENRICHER = (sys.executable, "-m", "enricher")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--every", type=float, default=300.0, metavar="SECONDS")
    given = parser.parse_args(arguments)
    rows = int(given.minutes * 60 * given.rate)  # more than can be asked about meanwhile
    with tempfile.TemporaryDirectory() as folder, _simulator(given.rate) as server:
        return _soak(Path(folder), server, rows, given)


@contextmanager
def _simulator(rate: float) -> Iterator[dict[str, Any]]:
    words = ("simulate", "--rate", str(rate), "--faults", FAULTS, "--duration", "lognormal:20")
    command = (*ENRICHER, *words, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603
        if process.stdout is not None:
            yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)


def _soak(folder: Path, server: dict[str, Any], rows: int, given: argparse.Namespace) -> int:
    lines = (f"Company {n},company{n}.example" for n in range(rows))
    (folder / "leads.csv").write_text("\n".join(["Company Name,Website", *lines]))
    words = (
        "run",
        "leads.csv",
        "--grid",
        server["grids"][0]["id"],
        "-o",
        "out.csv",
        "--rate",
        given.rate,
    )
    environ = {
        **os.environ,
        "BITSCALE_BASE_URL": server["base_url"],
        "BITSCALE_API_KEY": server["api_key"],
    }
    process = subprocess.Popen(  # noqa: S603
        (*ENRICHER, *map(str, words), "--limiter", "local", "--yes", "--no-progress", "--json"),
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    print(f"{'minute':>7}{'MB':>8}{'files':>7}{'ended':>8}{'bytes/row':>11}", flush=True)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < given.minutes * 60 and process.poll() is None:
        time.sleep(min(given.every, given.minutes * 60 - passed))
        _tell(process.pid, folder, (time.monotonic() - began) / 60)
    process.send_signal(signal.SIGTERM)
    told = json.loads(process.communicate()[0])
    for what in ("outcome", "rows", "runs", "requests"):
        print(f"{what}: {json.dumps(told[what])}")
    used = told["requests"]["total"] / told["seconds"] / given.rate
    print(f"requests: {used:.1%} of the limit over {told['seconds']:.0f} s")
    return 0


def _tell(pid: int, folder: Path, minute: float) -> None:
    checkpoint = folder / "out.csv.checkpoint.db"
    words = (*ENRICHER, "status", str(checkpoint), "--json")
    said = subprocess.run(words, capture_output=True, check=True, text=True)  # noqa: S603
    told = json.loads(said.stdout)
    ended = told["rows"]["completed"] + told["rows"]["failed"]
    size = sum(path.stat().st_size for path in folder.glob(f"{checkpoint.name}*"))
    memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    print(
        f"{minute:7.1f}{memory / 1e6:8.1f}{files:7}{ended:8}{size / max(1, ended):11.0f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
