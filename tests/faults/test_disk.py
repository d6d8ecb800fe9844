"""Disks that take no more: nothing is sent that is not on record, and nothing is paid twice.

In this process SQLite's own requests are refused, one position after the other; the real program
meets a limit on the size of files, and a file system that is really full.
"""

import json
import os
import resource
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from enricher.checkpoint import Reader, Store
from enricher.errors import CheckpointError
from enricher.model import Event, GotId, Intended, State
from tests.acceptance.desk import COMPANIES, Desk, Life, Said, cells, desk_in, items, until
from tests.powerloss.sqlite_files import Unheard, check_heard, sqlite_heard
from tests.support import virtual
from tests.support.checkpoints import begin, completed, item, rows_of
from tests.support.lives import World, companies

FULL = 13
IO_ERROR_WRITE = 778
IO_ERROR_SYNC = 1034
IO_ERROR_TRUNCATE = 1546
READ_ONLY = 8

FAULTS = [
    ("write", FULL),
    ("write", IO_ERROR_WRITE),
    ("write", READ_ONLY),
    ("sync", IO_ERROR_SYNC),
    ("truncate", IO_ERROR_TRUNCATE),
]


@pytest.fixture
def heard():
    try:
        check_heard()
    except Unheard as error:
        pytest.skip(f"{error}")


@dataclass
class Failing:
    """Refuses requests of one kind with `code`, from the one numbered `first` on."""

    kind: str
    code: int
    first: int
    seen: int = 0

    def __call__(self, kind: str) -> int:
        self.seen += kind == self.kind
        return self.code if kind == self.kind and self.seen > self.first else 0


# --- the checkpoint -------------------------------------------------------------------------------

GROUPS: list[list[Event]] = [
    [Intended(item(f"{number}")) for number in range(20)],
    [GotId(b"0", "run-0")],
    [GotId(b"1", "run-1")],
    [GotId(b"2", "run-2")],
    [completed(f"{number}", answer="x" * 9000) for number in range(20)],
    [Intended(item("0", supersedes=1))],
    [completed("0", answer="newer")],
]

AFTER = [
    {},
    {State.IN_DOUBT: 20},
    *({State.RUNNING: ids, State.IN_DOUBT: 20 - ids} for ids in range(1, 4)),
    {State.COMPLETED: 20},
    {State.COMPLETED: 19, State.IN_DOUBT: 1},
    {State.COMPLETED: 20},
]
"""The states of the items after so many groups and a new start."""


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("kind", "code"), FAULTS)
def test_wherever_the_disk_fails_it_is_told_and_what_was_acknowledged_stays(tmp_path, kind, code):
    first = taken = 0
    while taken < len(GROUPS):
        fault = Failing(kind, code, first)
        path = tmp_path / f"{first}.db"
        taken = taken_by(path, fault)
        assert fault.seen
        check_that_it_goes_on(path, taken)
        first += 5 if kind == "write" else 1


def taken_by(path: Path, fault: Failing) -> int:
    """How many groups were acknowledged; a refusal must come as an error with a mend."""
    taken, mend = 0, "no disk failed"
    with sqlite_heard(syncs=False, fault=fault):
        try:
            with closing(Store.open(path)) as store:
                begin(store)
                for group in GROUPS:
                    store.apply(group)
                    taken += 1
        except CheckpointError as error:
            mend = error.mend
    assert "disk" in mend
    return taken


def check_that_it_goes_on(path: Path, taken: int) -> None:
    """All of the acknowledged groups are there, and of the next one all or nothing."""
    with sqlite_heard(syncs=False), closing(Store.open(path)) as store, Reader(path) as reader:
        begin(store)
        held = reader.records([f"{number}".encode() for number in range(20)], outputs=True)
        states = Counter(record.state for record in held.values())
        assert dict(states) in AFTER[taken : taken + 2]
        assert all(record.outputs or taken < 5 for record in held.values())
        assert store.apply([Intended(item("next"))]) == [True]
    assert rows_of(path, "PRAGMA integrity_check") == [("ok",)]


# --- the engine, in virtual time ------------------------------------------------------------------


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("first", [2, 8, 11, 14, 18, 23, 29, 36, 44])
@pytest.mark.parametrize(("kind", "code"), [("sync", IO_ERROR_SYNC), ("write", FULL)])
def test_nothing_is_submitted_after_an_intent_that_could_not_be_written(
    tmp_path, kind, code, first
):
    world = World(tmp_path)
    leads = companies(20)
    fault = Failing(kind, code, first * (1 if kind == "sync" else 6))
    with sqlite_heard(syncs=False, fault=fault), pytest.raises(CheckpointError):
        virtual.run(world.live(leads))
    bought = [run.inputs["company_name"] for run in world.workspace.runs]
    with sqlite_heard(syncs=False):
        on_record = [record is not None for record in known(world, leads)]
        for lead, recorded in zip(leads, on_record, strict=True):
            assert recorded or lead["company_name"] not in bought
        virtual.run(world.live(leads))
        states = Counter(record.state for record in world.records(leads) if record)
    assert set(states) <= {State.COMPLETED, State.IN_DOUBT}
    assert states.total() == len(leads)
    again = Counter(run.inputs["company_name"] for run in world.workspace.runs)
    assert set(again.values()) == {1}


def known(world: World, leads: list[dict[str, str]]) -> list[object]:
    try:
        return list(world.records(leads))
    except CheckpointError:  # its tables were not made yet
        return [None] * len(leads)


# --- the program ----------------------------------------------------------------------------------

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--rate", "40", "--json")
CHECKPOINT = "out.csv.checkpoint.db"
TOTAL = 60


def leads(rows: int = TOTAL, note: str = "") -> list[str]:
    lines = (f"{n},Company {n},c{n}.example,{note}" for n in range(rows))
    return ["No.,Company Name,Website,Note", *lines]


@dataclass(frozen=True)
class Tightness:
    """A way to let a disk take no more, and to mend it."""

    tighten: Callable[[Desk, Life], None]
    loosen: Callable[[Desk], None]


@contextmanager
def limited_files(folder: Path) -> Iterator[Path]:
    """No file may become larger than it is allowed to; see `limit_files`."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("no limit can be set for another process")
    yield folder


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 MB in memory: the logs of checkpoint and limiter, 4 MB each, fit."""
    place = folder / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def limit_files(desk: Desk, life: Life) -> None:
    """No file of the program may become larger than the log is now."""
    size = (desk.folder / f"{CHECKPOINT}-wal").stat().st_size
    resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fill_disk(desk: Desk, _: Life) -> None:
    """Fill the disk to the last byte."""
    with (desk.folder / "ballast").open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass


def unlimited(_: Desk) -> None:
    """The next process has no limit."""


def make_room(desk: Desk) -> None:
    (desk.folder / "ballast").unlink()


KINDS = {
    "file size": (limited_files, Tightness(limit_files, unlimited)),
    "full disk": (small_disk, Tightness(fill_disk, make_room)),
}


@pytest.fixture(params=KINDS)
def tight(request, tmp_path) -> Iterator[tuple[Desk, Tightness]]:
    place, tightness = KINDS[request.param]
    with place(tmp_path) as folder, desk_in(folder) as desk:
        yield desk, tightness


def test_a_checkpoint_that_takes_no_more_stops_the_job_and_nothing_is_paid_twice(tight) -> None:
    desk, tightness = tight
    desk.write("leads.csv", leads())
    life = desk.start(*RUN)
    until(lambda: len(desk.bought) >= 10, "ten submissions")
    tightness.tighten(desk, life)
    said = life.end(exits=1)
    check_told(said, "checkpoint_write", "The checkpoint could not be written")
    bought = {run["company_name"] for run in desk.bought}
    assert len(bought) < TOTAL
    assert bought <= {entry["company_name"] for entry in inputs_of(desk)}
    assert not (desk.folder / "out.csv").exists()
    tightness.loosen(desk)
    check_all_done(desk, desk.start(*RUN).end())


def inputs_of(desk: Desk) -> list[dict[str, str]]:
    return [json.loads(entry["inputs"]) for entry in items(desk.folder / CHECKPOINT)]


def check_told(said: Said, code: str, message: str) -> None:
    """One line says what is wrong and one what to do, to people and to programs."""
    assert said.json["outcome"] == "error"
    assert (said.json["exit_code"], said.json["error"]["code"]) == (1, code)
    assert message in said.json["error"]["message"]
    error, mend = said.err.splitlines()[-2:]
    assert message in error
    assert mend


def check_all_done(desk: Desk, said: Said) -> None:
    """Every row is answered, or in doubt because its answer could not be written."""
    assert said.code in (0, 3), said
    out = cells(desk.folder / "out.csv")
    shown = Counter(out.column("enrichment_status"))
    assert set(shown) <= {"completed", "in_doubt"}
    assert shown.total() == len(cells(desk.folder / "leads.csv").rows)
    assert said.code == (3 if shown["in_doubt"] else 0), said
    assert set(Counter(run["company_name"] for run in desk.bought).values()) == {1}


def test_an_output_that_the_disk_does_not_take_leaves_the_old_one_and_is_written_later(
    tight,
) -> None:
    desk, tightness = tight
    desk.write("leads.csv", leads(4))
    desk.do(*RUN)
    old = (desk.folder / "out.csv").read_bytes()
    desk.write("leads.csv", leads(12, note="x" * 60_000))
    life = desk.start(*RUN)
    until(lambda: len(desk.bought) >= 6, "the second pass")
    leave_room_for_the_checkpoint(desk, life, tightness)
    check_told(life.end(exits=1), "output_error", "out.csv cannot be written")
    assert (desk.folder / "out.csv").read_bytes() == old
    assert not [name for name in desk.files() if name.endswith(".tmp")]
    bought = len(desk.bought)
    assert bought == 12
    tightness.loosen(desk)
    check_all_done(desk, desk.do(*RUN))
    assert len(desk.bought) == bought


def leave_room_for_the_checkpoint(desk: Desk, life: Life, tightness: Tightness) -> None:
    """Let the disk take less than the output needs, and more than the checkpoint does."""
    if tightness.tighten is limit_files:
        limit = (400_000, resource.RLIM_INFINITY)
        resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE, limit)
        return
    fill_disk(desk, life)
    os.truncate(desk.folder / "ballast", (desk.folder / "ballast").stat().st_size - 500_000)
