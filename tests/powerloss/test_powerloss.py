"""Power cuts: nothing that was acknowledged is lost, and no file is half there.

A small job runs over the real checkpoint and the real sink while every request to the disk is
recorded; from the record come the states in which a power cut may leave the disk, each opened and
held against what had been acknowledged. 2,000 states here, any number with
`python -m tests.powerloss --states N`. Mistakes that are planted must be found.
"""

import random

import pytest

from tests.powerloss.cuts import Findings, cut_at, cut_somewhere, folders, job_and_cuts
from tests.powerloss.disk import Disk, Fate, Sync, SyncDirectory, Trace, Truncate, Write
from tests.powerloss.promises import CHECKPOINT, Promises
from tests.powerloss.sqlite_files import Unheard, check_heard
from tests.powerloss.workload import OUTPUT, as_it_is, careless, recorded, short_log

JOBS = range(4)
STATES_A_JOB = 500


@pytest.fixture(scope="module", autouse=True)
def heard():
    try:
        check_heard()
    except Unheard as error:
        pytest.skip(f"{error}")


@pytest.fixture(name="folders")
def empty_folders():
    with folders() as both:
        yield both


def offences(findings: Findings) -> str:
    return "\n".join(f"{lost}" for lost in findings.lost)


@pytest.mark.parametrize("seed", JOBS)
def test_nothing_that_was_acknowledged_is_lost_by_a_power_cut(seed):
    findings = job_and_cuts(seed, STATES_A_JOB)
    assert not findings.lost, offences(findings)
    assert findings.states == STATES_A_JOB
    assert len(findings.different) > STATES_A_JOB / 2
    assert findings.facts > 50 * STATES_A_JOB


def test_a_checkpoint_that_was_being_made_can_be_gone_on_with(folders):
    work, places = folders
    promises = recorded(work, 0)
    made = promises.versions[CHECKPOINT][1].done
    findings = cut_at([*range(int(made)), *range(20)] * 3, promises, places, 0)
    assert not findings.lost, offences(findings)


def test_cuts_come_out_the_same_when_they_are_repeated():
    assert job_and_cuts(1, 40).digest == job_and_cuts(1, 40).digest


# --- it finds what is planted --------------------------------------------------------------------


def test_commits_that_do_not_wait_for_the_disk_are_found(folders):
    findings = cut_somewhere(recorded(folders[0], 1, careless), folders[1], 1, 60)
    assert len(findings.lost) > 15
    assert any("of its events are due" in word for lost in findings.lost for word in lost.offences)


def test_an_output_that_is_renamed_before_it_is_on_the_disk_is_found(folders):
    findings = cut_somewhere(recorded(folders[0], 1, file_sync=False), folders[1], 1, 60)
    assert len(findings.lost) > 15
    assert all(word.startswith("out.") for lost in findings.lost for word in lost.offences)


def test_an_output_whose_name_is_not_made_durable_is_found(folders):
    findings = cut_somewhere(recorded(folders[0], 1, name_sync=False), folders[1], 1, 200)
    words = [word for lost in findings.lost for word in lost.offences]
    assert words
    assert all(word.startswith("out.") for word in words)


# --- what is heard, and what a disk may do -------------------------------------------------------


@pytest.mark.parametrize("opening", [as_it_is, short_log])
def test_everything_that_is_asked_of_the_disk_is_heard(folders, opening):
    promises = recorded(folders[0], 3, opening)
    disk = Disk(promises.trace)
    disk.go_on(promises.trace.position)
    assert disk.now() == {path.name: path.read_bytes() for path in folders[0].iterdir()}
    kinds = {type(operation) for operation in promises.trace.operations}
    assert kinds >= {Write, Truncate, Sync, SyncDirectory}


def test_the_job_does_what_jobs_do(folders):
    promises = recorded(folders[0], 3, short_log)
    kinds = {type(event).__name__ for events in promises.events.values() for event in events}
    assert kinds == {
        "Intended",
        "GotId",
        "Completed",
        "Failed",
        "Stalled",
        "Doubted",
        "Withdrew",
    }
    assert len(promises.versions[OUTPUT]) == 3
    assert log_began_anew(promises) > 5


@pytest.fixture
def trace(tmp_path):
    trace = Trace(tmp_path)
    trace.made("a")
    trace.synced_directory()
    trace.wrote("a", 0, b"1" * 1024)
    trace.synced("a")
    return trace


def left(trace: Trace, **fate) -> set[tuple[tuple[str, bytes], ...]]:
    """All that hundred disks of this fate hold after the trace."""
    given = {"lost": 0.5, "torn": 1.0, "sector": 512, "in_order": False, "fill": None, **fate}
    disk = Disk(trace)
    disk.go_on(trace.position)
    states = (disk.after(random.Random(seed), Fate(**given)) for seed in range(100))
    return {tuple(sorted(state.items())) for state in states}


def test_what_was_synced_stays(trace):
    assert left(trace) == {(("a", b"1" * 1024),)}


def test_what_was_not_synced_comes_or_not_sector_by_sector(trace):
    trace.wrote("a", 0, b"2" * 1024)
    halves = [b"1" * 512, b"2" * 512]
    assert left(trace) == {(("a", one + two),) for one in halves for two in halves}


def test_a_file_may_have_grown_without_its_bytes(trace):
    trace.wrote("a", 1024, b"2")
    assert left(trace, fill=bytes) == {(("a", b"1" * 1024 + last),) for last in (b"2", b"\0")}


def test_a_name_is_sure_when_its_directory_was_synced(trace):
    trace.made("b")
    trace.wrote("b", 0, b"2")
    trace.synced("b")
    trace.renamed("b", "a")
    old, new = ("a", b"1" * 1024), ("b", b"2")
    assert left(trace) == {(old,), (old, new), (("a", b"2"),)}
    trace.synced_directory()
    assert left(trace) == {(("a", b"2"),)}


def log_began_anew(promises: Promises) -> int:
    """How often the log was written from its beginning."""
    return sum(
        isinstance(operation, Write) and operation.offset == 0 and len(operation.data) == 32
        for operation in promises.trace.operations
    )
