"""`python -m tests.simulation`: play disasters; `--seed N -v` tells one of them."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.campaign import Report, campaign, digest_of_all, how_to_repeat, played
from tests.simulation.disaster import drawn
from tests.simulation.every_moment import all_moments, report_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one and say what happened")
    parser.add_argument("--seeds", type=int, default=300, help="how many to play (300)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("-v", action="store_true", dest="verbose", help="tell the whole story")
    parser.add_argument(
        "--every-moment", action="store_true", help="kill a job of 12 rows at each of its moments"
    )
    given = parser.parse_args()
    if given.every_moment:
        return _every_moment(given.jobs)
    if given.seed is not None:
        return _one(given.seed, verbose=given.verbose)
    return _many(range(given.first, given.first + given.seeds), given.jobs)


def _one(seed: int, *, verbose: bool) -> int:
    disaster = drawn(seed)
    report = played(disaster, with_story=verbose)
    if verbose:
        for name, value in vars(disaster).items():
            print(f"{name:18} {value}")
        print(*report.story, sep="\n")
    print(*report.lives, sep="\n")
    print(*report.violations, sep="\n")
    print(_line(report))
    return 1 if report.violations else 0


def _many(seeds: range, jobs: int) -> int:
    began = time.monotonic()
    reports = []
    for report in campaign(seeds, jobs):
        reports.append(report)
        if report.violations:
            print(f"seed {report.seed}: {report.violations[0]}\n  {how_to_repeat(report.seed)}")
    failed = sum(bool(report.violations) for report in reports)
    print(
        f"{len(reports)} disasters, {sum(len(r.lives) for r in reports)} lives,"
        f" {sum(r.kills for r in reports)} of them killed; {sum(r.requests for r in reports)}"
        f" requests, {sum(r.bought for r in reports)} runs, {sum(r.doubts for r in reports)} in"
        f" doubt; {sum(r.seconds for r in reports) / 3600:.0f} h of virtual time"
    )
    cpu = sum(r.cpu for r in reports)
    print(
        f"{failed} with violations; digest {digest_of_all(reports)};"
        f" {cpu / len(reports):.2f} s of CPU each, {time.monotonic() - began:.0f} s in all"
    )
    return 1 if failed else 0


def _every_moment(jobs: int) -> int:
    with ProcessPoolExecutor(jobs) as pool:
        disasters = list(all_moments())
        reports = list(pool.map(report_of, disasters, chunksize=20))
    broken = [(d, r) for d, r in zip(disasters, reports, strict=True) if r.violations]
    for disaster, report in broken:
        print(*disaster.ends, *report.violations, sep="\n  ")
    print(f"{len(reports)} moments, {len(broken)} with violations; {digest_of_all(reports)}")
    return 1 if broken else 0


def _line(report: Report) -> str:
    return (
        f"seed {report.seed}: {len(report.violations)} violations, {len(report.lives)} lives,"
        f" {report.requests} requests, {report.bought} runs, {report.doubts} in doubt,"
        f" {report.seconds:.0f} virtual seconds, {report.cpu:.2f} s of CPU, digest {report.digest}"
    )


if __name__ == "__main__":
    sys.exit(main())
