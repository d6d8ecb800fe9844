"""How long it takes to begin, in times of a Python that does nothing.

    python -m benchmarks.startup                     15 rounds
    python -m benchmarks.startup --rounds 50

Each round starts every command once, one after the other, so that a machine that is busy for a
while slows them alike. The ratio is that of the fastest starts; the goals are 3 times for
`import enricher` and 8 times for `enricher --help`.
"""

import argparse
import subprocess
import sys
import time

_BARE = "python -c pass"
_STARTS = {
    _BARE: ("-c", "pass"),
    "import enricher": ("-c", "import enricher"),
    "enricher --help": ("-m", "enricher", "--help"),
    "enricher run --help": ("-m", "enricher", "run", "--help"),
    "import enricher.api": ("-c", "import enricher.api"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--rounds", type=int, default=15, help="how often each begins (15)")
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in _STARTS}
    for _ in range(rounds):
        for name, words in _STARTS.items():
            taken[name].append(_seconds(words))
    bare = min(taken[_BARE])
    for name, seconds in taken.items():
        print(f"{name:20} {min(seconds) * 1000:6.0f} ms  {min(seconds) / bare:5.1f} times")


def _seconds(words: tuple[str, ...]) -> float:
    began = time.perf_counter()
    command = [sys.executable, *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 — the starts above
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
