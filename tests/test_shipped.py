"""A checkpoint in an object store: whoever takes it over finds what was acknowledged, and is alone.

Against an S3 on loopback. Time is a number that the tests set.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from enricher.checkpoint import Store, shipped
from enricher.checkpoint.events import decoded, encoded
from enricher.errors import CheckpointError, StateGone, Superseded
from enricher.model import (
    Batch,
    BatchEnded,
    BatchFormed,
    Doubted,
    Event,
    Failed,
    GotId,
    Intended,
    Item,
    Stalled,
    Withdrew,
)
from enricher.objects import Folder
from enricher.places import StoredObject
from tests.support.checkpoints import begin, completed, everything_in, item, rows_of
from tests.support.object_store import emptied, served

pytest.importorskip("obstore")

PLACE = StoredObject("s3://state/job/shard-0-of-3")
NOON = 1_764_072_000.5


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(autouse=True)
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in emptied(endpoint, "state").items():
        monkeypatch.setenv(name, value)


class Worker:
    """Who has the shard, or believes so."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        checkpoint.parent.mkdir()
        self.log = shipped.taken_over(Folder(PLACE), checkpoint, lambda: NOON)
        self.store = Store.open(checkpoint, lambda: NOON)
        begin(self.store)
        self.write = self.log.through(self.store)

    def end(self) -> None:
        """End as a process does that is told to."""
        self.store.close()
        self.log.close(self.checkpoint)


def seen(folder: Path) -> dict[str, int]:
    """The state of each item, to who only looks."""
    copy = folder / "seen.db"
    shipped.fetch(Folder(PLACE), copy)
    return {key.decode(): state for key, state in rows_of(copy, "SELECT key, state FROM items")}


EVENTS: list[Event] = [
    Intended(item("a")),
    Intended(item("b", 3), batched=True),
    Withdrew(b"a"),
    GotId(b"a", "run-1"),
    completed("a", revenue=1.5, names=["é", None, {"": "\ud800"}]),
    Failed(b"a", "no_match", "none was found"),
    Stalled(b"a", "RUN_TIMEOUT", "2 h"),
    Doubted(b"a", "the answer was lost", again=True),
    BatchFormed(Batch("batch-1", (Item(b"a", {}), Item(b"b", {})), b'{"x":\xff}')),
    BatchEnded("batch-1", (Withdrew(b"a"), completed("b"), Failed(b"c", "x", "y"))),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_from_json(event: Event) -> None:
    assert decoded(json.loads(json.dumps(encoded(event)))) == event


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(ValueError, match="no event"):
        decoded(["intended", "00"])


def test_who_takes_over_finds_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    first = Worker(tmp_path / "first" / "c.db")
    first.write([Intended(item("a")), Intended(item("b")), Intended(item("c"))])
    first.write([GotId(b"a", "run-a"), GotId(b"b", "run-b")])
    first.write([completed("b", revenue=7)])
    before = everything_in(first.checkpoint)
    found = tmp_path / "found.db"
    shipped.taken_over(Folder(PLACE), found)
    assert everything_in(found) == before
    assert found.stat().st_mode & 0o777 == 0o600
    first.store.close()


def test_what_was_under_way_is_in_doubt_and_ids_are_kept(tmp_path: Path) -> None:
    first = Worker(tmp_path / "first" / "c.db")
    first.write([Intended(item("a")), Intended(item("b"))])
    first.write([GotId(b"a", "run-a")])
    second = Worker(tmp_path / "second" / "c.db")
    second.write([completed("a", revenue=7)])
    second.end()
    assert seen(tmp_path) == {"a": 5, "b": 4}, "completed, and in doubt"


def test_who_had_it_before_can_add_no_intent(tmp_path: Path) -> None:
    """Which is then not submitted; and its file, which holds the intent, is not put there."""
    first = Worker(tmp_path / "first" / "c.db")
    first.write([Intended(item("a"))])
    second = Worker(tmp_path / "second" / "c.db")
    with pytest.raises(Superseded, match="another worker has taken this shard over"):
        first.write([Intended(item("b"))])
    first.end()
    assert seen(tmp_path) == {"a": 1}
    second.write([Intended(item("b"))])
    second.end()
    assert seen(tmp_path) == {"a": 4, "b": 1}


def test_who_sleeps_through_many_copies_still_finds_itself_out(tmp_path: Path) -> None:
    sleeper = Worker(tmp_path / "sleeper" / "c.db")
    sleeper.write([Intended(item("a"))])
    for name in ("second", "third"):
        worker = Worker(tmp_path / name / "c.db")
        worker.write([Intended(item(name))])
        worker.end()
    with pytest.raises(Superseded):
        sleeper.write([Intended(item("b"))])
    sleeper.store.close()


def test_an_answer_that_was_lost_does_not_lose_the_log(tmp_path: Path) -> None:
    """The record is there, made by the try whose answer nobody heard."""
    assert Folder(PLACE).create("0000000001.log", b"mine")
    assert Folder(PLACE).create("0000000001.log", b"mine")
    assert not Folder(PLACE).create("0000000001.log", b"theirs")


def test_records_that_a_copy_makes_needless_go(tmp_path: Path) -> None:
    """20 MB of answers in 100 groups; takeovers stay, since who sleeps may run into them."""
    worker = Worker(tmp_path / "first" / "c.db")
    for number in range(100):
        key = f"{number:03}"
        worker.write(
            [Intended(item(key)), GotId(key.encode(), key), completed(key, x="y" * 200_000)]
        )
    names = Folder(PLACE).names()
    assert len(names) < 60
    assert "0000000001.log" in names
    assert len([name for name in names if name.endswith(".db")]) == 1
    worker.end()
    left = sorted(Folder(PLACE).names())
    assert left == ["0000000001.log", "0000000101.db"]
    before = everything_in(worker.checkpoint)
    shipped.fetch(Folder(PLACE), tmp_path / "seen.db")
    assert everything_in(tmp_path / "seen.db") == before


def test_a_gap_is_told_and_nothing_goes_on(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "first" / "c.db")
    for key in "abc":
        worker.write([Intended(item(key))])
    worker.store.close()
    Folder(PLACE).discard(["0000000003.log"])
    with pytest.raises(CheckpointError, match="objects of it are missing") as caught:
        shipped.taken_over(Folder(PLACE), tmp_path / "second.db")
    assert caught.value.code == "state_damaged"
    assert not (tmp_path / "second.db").exists()


def test_a_store_that_refuses_stops_the_work(tmp_path: Path, endpoint: str) -> None:
    worker = Worker(tmp_path / "first" / "c.db")
    worker.write([Intended(item("a"))])
    emptied(endpoint, "another")
    with pytest.raises(StateGone, match="cannot be written"):
        worker.write([Intended(item("b"))])
    emptied(endpoint, "state")
    with pytest.raises(StateGone, match="did not take what came before"):
        worker.write([Intended(item("c"))])
    worker.end()
    assert Folder(PLACE).names() == [], "its file is ahead of the log"


def test_nothing_there_is_nothing_begun(tmp_path: Path) -> None:
    assert not shipped.is_begun(Folder(PLACE))
    shipped.fetch(Folder(PLACE), tmp_path / "c.db")
    shipped.taken_over(Folder(PLACE), tmp_path / "c.db")
    assert not (tmp_path / "c.db").exists()
    assert not shipped.is_begun(Folder(PLACE))


@pytest.mark.parametrize("seed", range(12))
def test_takeovers_at_any_moment(seed: int, tmp_path: Path) -> None:
    """Of workers that are lost, alive or closed: nothing acknowledged is lost, or done twice."""
    dice = random.Random(seed)
    alive: list[Worker] = []
    newest: Worker | None = None
    acknowledged: set[str] = set()
    for number in range(40):
        if not alive or dice.random() < 0.15:
            newest = Worker(tmp_path / str(number) / "c.db")
            alive.append(newest)
        worker = dice.choice(alive[-3:])
        keys = [f"{number}-{n}" for n in range(dice.randint(1, 4))]
        try:
            worker.write([event for key in keys for event in _bought(key)])
        except Superseded:
            assert worker is not newest
        else:
            assert worker is newest, "only the newest may write"
            acknowledged.update(keys)
        if worker is not newest or dice.random() < 0.1:
            alive.remove(worker)
            worker.end()
    assert set(seen(tmp_path)) == acknowledged
    for worker in alive:
        worker.store.close()


def _bought(key: str) -> list[Event]:
    return [Intended(item(key)), GotId(key.encode(), key), completed(key, revenue=1)]
