"""Checkpoints for tests, and small programs over them that a test can kill.

`python -m tests.support.checkpoints PROGRAM PATH [ARGUMENT]` runs one; `running` starts it.
"""

import asyncio
import itertools
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import urllib.parse  # noqa: F401  # pathlib imports it late, and the library may be out of reach then
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from enricher.checkpoint import Committer, JobSpec, Store, hold, in_thread, is_held
from enricher.errors import CheckpointError
from enricher.model import (
    Completed,
    Context,
    Event,
    GotId,
    Intended,
    Item,
    Json,
    OutputColumn,
)

ROOT = Path(__file__).parents[2]
CONTEXT = Context("bitscale", "https://api.example", "ws", "grid", "")
LIMIT = 600_000
"""Bytes that no file of the program `fill` may exceed."""


def item(key: str, supersedes: int = 0) -> Item:
    return Item(key.encode(), {"company_name": f"Company {key}"}, supersedes)


def completed(key: str, **outputs: Json) -> Completed:
    return Completed(key.encode(), outputs, {name: name.title() for name in outputs})


def begin(
    store: Store,
    job: str = "job",
    *,
    asked: Sequence[str] | None = None,
    columns: Sequence[OutputColumn] = (),
    context: Context = CONTEXT,
) -> int:
    """`Store.begin` where options and mapping do not matter."""
    return store.begin(JobSpec(job, context, asked, output_columns=columns))


@contextmanager
def writing(path: Path, clock: Any = None, **about: Any) -> Iterator[Store]:
    """A store in an invocation, closed at the end."""
    with closing(Store.open(path, clock or itertools.count(1_000_000).__next__)) as store:
        begin(store, **about)
        yield store


def everything_in(path: Path) -> list[str]:
    """The whole contents of a SQLite file, as another program sees them."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def rows_of(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


# --- programs ----------------------------------------------------------------------------------


@contextmanager
def running(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """One of the programs below in a process of its own, which is killed at the end."""
    command = [sys.executable, "-m", "tests.support.checkpoints", program, *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a program."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def outcome_of(program: str, *arguments: object) -> list[str]:
    """The lines of a program that ends by itself."""
    with running(program, *arguments) as process:
        lines = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 0
    return lines


def append(path: Path, life: str) -> None:
    """Write runs, many at once and without end, and say every event once it is on disk."""
    with writing(path) as store, ThreadPoolExecutor(1) as executor:
        asyncio.run(_append(Committer(store.apply, in_thread(executor)), life))


async def _append(journal: Committer, life: str) -> None:
    numbers = itertools.count()

    async def one_after_another() -> None:
        while True:
            key = f"{life}-{next(numbers)}"
            for event, name in _life_of(key):
                await journal.write(event)
                print(key, name, flush=True)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(one_after_another())


def _life_of(key: str) -> list[tuple[Event, str]]:
    return [
        (Intended(item(key)), "intended"),
        (GotId(key.encode(), f"run-{key}"), "running"),
        (completed(key, answer=key), "completed"),
    ]


def make(folder: Path) -> None:
    """Make checkpoints without end."""
    for number in itertools.count():
        Store.open(folder / f"{number}.db").close()
        print(number, flush=True)


def fill(path: Path) -> None:
    """Apply groups until the disk takes no more; say how many it took, and then the error."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    with writing(path) as store:
        for number in itertools.count():
            keys = [f"{number}-{n}" for n in range(20)]
            try:
                store.apply([Intended(item(key)) for key in keys])
            except CheckpointError as error:
                print(number)
                print(error.code)
                print(error.mend)
                return


def in_read_only_directory(folder: Path) -> None:
    """Say what making, holding and reopening a checkpoint comes to where nothing may be made."""
    if os.geteuid() == 0:  # to whom nothing is forbidden
        os.seteuid(65534)
    old = folder / "old.db"
    Store.open(old).close()
    folder.chmod(0o500)
    for attempt in (
        lambda: Store.open(folder / "new.db"),
        lambda: hold(folder / "new.db"),
        lambda: Store.open(old),
    ):
        try:
            attempt()
            print("taken")
        except CheckpointError as error:
            print(f"{bool(error.mend)} {error.message}")
    folder.chmod(0o700)
    Store.open(old).close()


def hold_until_killed(path: Path) -> None:
    with hold(path):
        print("held", flush=True)
        sys.stdin.read()


def look_without_end(path: Path) -> None:
    """Ask again and again whether the lock is held, and say each new answer."""
    before = None
    while True:
        held = is_held(path)
        if held is not before:
            print(held, flush=True)
            before = held


PROGRAMS = (append, make, fill, in_read_only_directory, hold_until_killed, look_without_end)

if __name__ == "__main__":
    _, name, path, *arguments = sys.argv
    {program.__name__: program for program in PROGRAMS}[name](Path(path), *arguments)
