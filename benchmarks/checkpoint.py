"""How fast events become durable, and how many bytes an item takes.

    python -m benchmarks.checkpoint                          in the system's temporary directory
    python -m benchmarks.checkpoint --directory . --items 1_000_000

Commits are synced to the disk that holds the directory, so its figures are of that disk. Items have
random keys, about 100 bytes of inputs and 200 of outputs, and a UUID as run id; they are bought in
random order, 200 events a transaction. "Besides" is the size of the closed file, not vacuumed, less
the bytes of inputs and outputs.
"""

import argparse
import asyncio
import hashlib
import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from enricher.checkpoint import Committer, JobSpec, Reader, Store, in_thread
from enricher.model import Completed, Context, Event, GotId, Intended, Item

_CONTEXT = Context("bitscale", "https://api.example", "ws", "grid")
_GROUP = 200
_LOOKUP = 10_000


def main() -> None:
    """Measure everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement of speed")
    options = parser.parse_args()
    print(f"{'what':48}{'figure':>14}")
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        _commits_alone(folder / "alone.db", options.seconds)
        for writers in (1, 10, 100, 1000):
            _commits_in_groups(folder / f"{writers}.db", writers, options.seconds)
        with _another_busy_thread():
            _commits_in_groups(folder / "busy.db", 100, options.seconds, "while a thread computes")
        _sizes(folder / "items.db", options.items)


def _told(what: str, figure: float, unit: str = "", digits: int = 0) -> None:
    print(f"{what:48}{figure:14,.{digits}f} {unit}", flush=True)


@contextmanager
def _writing(path: Path) -> Iterator[Store]:
    with closing(Store.open(path)) as store:
        store.begin(JobSpec("job", _CONTEXT))
        yield store


def _key(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def _events(number: int) -> tuple[Event, Event, Event]:
    key = _key(number)
    inputs = {"company_name": f"Acme Corporation {number}", "website": f"https://acme{number}.test"}
    inputs["country"] = "United States of America"
    outputs = {"description": f"Acme {number} makes anvils, and rockets " * 4, "headcount": number}
    return (
        Intended(Item(key, inputs)),
        GotId(key, str(uuid.UUID(bytes=key))),
        Completed(key, outputs, {"description": "Description", "headcount": "Headcount"}),
    )


def _commits_alone(path: Path, seconds: float) -> None:
    took: list[float] = []
    with _writing(path) as store:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for event in _events(len(took)):
                began = time.perf_counter()
                store.apply([event])
                took.append(time.perf_counter() - began)
    _told("commits of one event", len(took) / sum(took), "/s")
    _told("  median", statistics.median(took) * 1000, "ms", 2)
    _told("  99 of 100 are below", statistics.quantiles(took, n=100)[98] * 1000, "ms", 2)
    _told("  slowest", max(took) * 1000, "ms", 1)


@contextmanager
def _another_busy_thread() -> Iterator[None]:
    """As when the input is read at the same time: the writer has to wait for the interpreter."""
    done = threading.Event()

    def compute() -> None:
        number = 0
        while not done.is_set():
            number += 1

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _commits_in_groups(path: Path, writers: int, seconds: float, remark: str = "at once") -> None:
    with _writing(path) as store, ThreadPoolExecutor(1) as executor:
        transactions = 0

        def apply(events: Sequence[Event]) -> list[bool]:
            nonlocal transactions
            transactions += 1
            return store.apply(events)

        journal = Committer(apply, in_thread(executor))
        began = time.perf_counter()
        events = asyncio.run(_write_together(journal.write, writers, began + seconds))
        passed = time.perf_counter() - began
    _told(f"events awaited by {writers} writers {remark}", events / passed, "/s")
    _told("  events a transaction", events / transactions, digits=1)


async def _write_together(
    write: Callable[[Event], Awaitable[bool]], writers: int, end: float
) -> int:
    counts = [0] * writers

    async def work(writer: int) -> None:
        while time.perf_counter() < end:
            for event in _events(writer + writers * counts[writer]):
                await write(event)
            counts[writer] += 1

    await asyncio.gather(*(work(writer) for writer in range(writers)))
    return 3 * sum(counts)


def _sizes(path: Path, items: int) -> None:
    began = time.perf_counter()
    with _writing(path) as store:
        for start in range(0, items, _GROUP):
            lives = [_events(number) for number in range(start, min(start + _GROUP, items))]
            for events in zip(*lives, strict=True):
                store.apply(events)
        passed = time.perf_counter() - began
        store.finish_pass()
    _told(f"events in groups of {_GROUP}, {items:,} items", 3 * items / passed, "/s")
    with closing(sqlite3.connect(path)) as connection:
        inputs, runs = connection.execute(
            "SELECT sum(length(CAST(inputs AS BLOB))), sum(length(run_id)) FROM items"
        ).fetchone()
        (outputs,) = connection.execute(
            "SELECT sum(length(CAST(outputs AS BLOB))) FROM results"
        ).fetchone()
    size = path.stat().st_size
    _told("bytes of inputs an item", inputs / items, digits=1)
    _told("bytes of outputs an item", outputs / items, digits=1)
    _told("bytes besides an item", (size - inputs - outputs) / items, digits=1)
    _told("  of them the run id and the key", runs / items + 16, digits=1)
    _reading(path, items)


def _reading(path: Path, items: int) -> None:
    with _writing(path), Reader(path) as reader:
        for outputs in (False, True):
            keys = [_key(number) for number in range(0, items, max(1, items // _LOOKUP))]
            began = time.perf_counter()
            assert len(reader.records(keys, outputs=outputs)) == len(keys)  # noqa: S101
            passed = time.perf_counter() - began
            what = "with outputs" if outputs else "alone"
            _told(f"records looked up, {what}", len(keys) / passed, "/s")
        began = time.perf_counter()
        assert not reader.pass_has_answers("job")  # noqa: S101
        _told("to see that a new pass has no answers", (time.perf_counter() - began) * 1000, "ms")


if __name__ == "__main__":
    main()
