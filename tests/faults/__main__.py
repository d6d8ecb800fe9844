"""Any number of real kills: `python -m tests.faults --kills N --from SEED`.

Jobs of the real program against the simulator are killed at random moments, again and again until
they finish, and looked through; as many jobs as it takes for so many kills. `--stops N` does the
same with SIGINT, SIGTERM and SIGHUP.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

from tests.faults.interrupted import Plan, Played, killed, play_somewhere, stopped

KINDS = {"kills": killed, "stops": stopped}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="N")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="SEED")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at once")
    given = parser.parse_args(arguments)
    failed = 0
    for kind, plan in KINDS.items():
        if wanted := getattr(given, kind):
            failed += report(kind, plan, wanted, given.first, given.jobs)
    return 1 if failed else 0


def report(
    kind: str, plan: Callable[[int], Plan], wanted: int, first: int = 0, jobs: int = 2
) -> int:
    """Play until `wanted` interruptions hit; prints the findings, returns how many there are."""
    began = time.monotonic()
    good: list[Played] = []
    failed = 0
    for seed, result in campaign(plan, wanted, first, jobs):
        if isinstance(result, Played):
            good.append(result)
        else:
            failed += 1
            print(
                f"seed {seed}: {result}\n  near it:  python -m tests.faults --{kind} 1"
                f" --from {seed}\n"
            )
    hits = sum((job.hits for job in good), Counter[int]())
    print(
        f"{kind}: {hits.total()} in {len(good)} jobs from seed {first},"
        f" {sum(job.lives for job in good)} lives; {sum(job.submissions for job in good)} runs"
        f" bought, {sum(job.doubts for job in good)} in doubt,"
        f" {sum(job.sent_again for job in good)} of them sent again on demand;"
        f" {failed} jobs with findings; {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return failed


def campaign(
    plan: Callable[[int], Plan], wanted: int, first: int, jobs: int
) -> Iterator[tuple[int, Played | str]]:
    """Jobs from seed `first` on, `jobs` at once, until so many interruptions hit."""
    seeds = count(first)
    hits = 0
    with ThreadPoolExecutor(jobs) as pool:
        under_way: list[tuple[int, Future[Played | str]]] = []
        while hits < wanted or under_way:
            while hits < wanted and len(under_way) < jobs:
                seed = next(seeds)
                under_way.append((seed, pool.submit(play_somewhere, plan(seed))))
            seed, future = under_way.pop(0)
            result = future.result()
            hits += result.hits.total() if isinstance(result, Played) else 1
            yield seed, result


if __name__ == "__main__":
    sys.exit(main())
