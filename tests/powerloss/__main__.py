"""Power cuts on demand: `python -m tests.powerloss --states 20000`."""

import argparse
import sys
import time

from tests.powerloss.cuts import Findings, job_and_cuts
from tests.powerloss.sqlite_files import Unheard, check_heard

STATES_A_JOB = 500


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.powerloss", description=__doc__)
    parser.add_argument("--states", type=int, default=2000, help="how many states (2000)")
    parser.add_argument("--seed", type=int, default=0, help="the first job's seed (0)")
    asked = parser.parse_args()
    try:
        check_heard()
    except Unheard as error:
        print(f"not here: {error}", file=sys.stderr)
        return 2
    findings = searched(asked.seed, asked.states)
    for lost in findings.lost:
        print(f"job {lost.seed}, state {lost.number}, cut at {lost.position}:", *lost.offences)
    print(
        f"{findings.states} states ({len(findings.different)} different), {findings.facts} facts,"
        f" {len(findings.lost)} states with something lost; {time.process_time():.0f} s of CPU,"
        f" digest {findings.digest}"
    )
    return 1 if findings.lost else 0


def searched(seed: int, states: int) -> Findings:
    findings = Findings()
    while findings.states < states:
        some = min(STATES_A_JOB, states - findings.states)
        findings.add(job_and_cuts(seed, some))
        seed += 1
    return findings


if __name__ == "__main__":
    sys.exit(main())
