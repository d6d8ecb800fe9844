"""Any number of fuzz cases: `python -m tests.fuzz --answers N --tables N --from SEED`.

The cases run in a process of their own, which says what it begins before it does: one that hangs,
is killed or dies in native code is a finding like any other, and the rest goes on after it.
"""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
LONGEST_CASE = 60.0
"""Seconds after which a case counts as hanging, on a busy machine too."""

KINDS = ("answers", "tables")

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where nothing waits for a disk: what is synced there is at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="N")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="SEED")
    parser.add_argument("--here", action="store_true", help="no process of their own")
    given = parser.parse_args(arguments)
    failed = 0
    for kind in KINDS:
        seeds = range(given.first, given.first + getattr(given, kind))
        if seeds and given.here:
            work(kind, seeds)
        elif seeds:
            failed += report(kind, seeds)
    return 1 if failed else 0


# --- in a process of their own ----------------------------------------------------------------


def work(kind: str, seeds: Sequence[int]) -> None:
    """Work the cases off, telling before each that it begins, and after it how it ended."""
    check = checker(kind)
    for seed in seeds:
        print(json.dumps({"begins": seed}), flush=True)
        finding = ""
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY) as folder:
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    check(seed, Path(folder))
            except BaseException:  # noqa: BLE001  # a panic of polars is no Exception
                finding = traceback.format_exc()
        print(json.dumps({"ended": seed, "finding": finding}), flush=True)


def checker(kind: str) -> Callable[[int, Path], None]:
    if kind == "answers":
        from tests.fuzz.answers import check
    else:
        from tests.fuzz.tables import check
    return check


# --- whoever watches --------------------------------------------------------------------------


def report(kind: str, seeds: range) -> int:
    """Print every finding with the command that repeats it, and return how many there are."""
    began = time.monotonic()
    failed = 0
    for seed, finding in findings(kind, seeds):
        failed += 1
        print(
            f"{finding.rstrip()}\n  again:  python -m tests.fuzz --{kind} 1 --from {seed} --here\n"
        )
    seconds = time.monotonic() - began
    print(f"{kind}: {len(seeds)} cases from {seeds.start}, {failed} findings, {seconds:.0f} s")
    return failed


def findings(kind: str, seeds: range) -> Iterator[tuple[int, str]]:
    while seeds:
        last, crash = seeds.start, ""
        for told in watched(kind, seeds):
            last = told.get("begins", last)
            if told.get("finding"):
                yield last, told["finding"]
            crash = told.get("crash", "")
        if not crash:
            return
        yield last, crash
        seeds = range(last + 1, seeds.stop)


def watched(kind: str, seeds: range) -> Iterator[dict[str, Any]]:
    """What the working process tells; the last word is of a crash, if it did not end well."""
    command = [sys.executable, "-m", "tests.fuzz", f"--{kind}", str(len(seeds)), "--here"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, "--from", str(seeds.start)],
            cwd=ROOT,
            # A trust store of one certificate: the system's takes longer to load than a case.
            env={**os.environ, "SSL_CERT_FILE": str(ROOT / "tests/support/loopback.pem")},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        with process, process.stdout as lines:
            while line := _line_in_time(lines, process):
                yield json.loads(line)
        if process.returncode:
            errors.seek(0)
            hung = process.returncode == -signal.SIGKILL
            cause = f"no end within {LONGEST_CASE:g} s" if hung else "the process died"
            end = errors.read()[-3000:].decode(errors="replace")
            yield {"crash": f"{cause} (code {process.returncode})\n{end}"}


def _line_in_time(lines: IO[str], process: "subprocess.Popen[str]") -> str:
    """The next line; empty at the end, which comes soon to one that says nothing for too long."""
    watch = threading.Timer(LONGEST_CASE, process.kill)
    watch.start()
    line = lines.readline()
    watch.cancel()
    return line


if __name__ == "__main__":
    sys.exit(main())
