"""Steps of a benchmark, each in a process of its own: a child begins with its parent's peak."""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def in_steps(
    module: str,
    steps: Sequence[str],
    measure: Callable[[str, Path], None],
    *,
    rows: Sequence[int],
    heading: str,
) -> None:
    """Read the command line; print `heading`, and have each step print its line.

    Args:
        module: what `python -m` runs; it calls this, here and in each process.
        measure: does a step in a directory; the first one is `make ROWS`.
        rows: for how many rows all is done, unless --rows says otherwise.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=rows)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        measure(options.step, options.directory)
        return
    print(heading)
    for count in options.rows:
        with tempfile.TemporaryDirectory() as directory:
            for step in (f"make {count}", *steps):
                command = [sys.executable, "-m", module, "--step", step, "--directory", directory]
                subprocess.run(command, check=True)  # noqa: S603 — the very file that asks


def peak_mb() -> float:
    """Peak memory of this process, by the word of the operating system."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
