"""The files of the host's budgets: how one is opened, and when old ones go.

There is a file for each key and base URL, and one that is not used any more would stay for ever. To
remove it is harmless if nobody has it open: whoever needs it again makes it anew, and waits a
second. If somebody had, there would be two limits. So files are opened and removed under one lock
of their folder, and removed only where SQLite tells that there is no other connection.
"""

import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from filelock import FileLock

LIFETIME = 30 * 24 * 3600.0
"""Seconds without use after which a file is removed."""

_PATIENCE = 5.0
"""Seconds to wait for another process that opens a file; it needs some milliseconds."""

_OURS = re.compile(r"[0-9a-f]{32}\.db")


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Open `path`, which is there and private by then, within this context.

    Raises:
        OSError: it cannot be made (a `TimeoutError` if another process holds the folder).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path.with_name(".lock"), timeout=_PATIENCE, mode=0o600):
        _make(path)
        yield
        with suppress(OSError):  # it is housekeeping only
            _remove_old(path)


def _make(path: Path) -> None:
    """An existing file is not opened: to close it would take SQLite's own locks on it away."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise
        os.utime(path)


def _remove_old(used: Path) -> None:
    """What counts is the clock that stamps files: that of `used` was stamped just now."""
    before = used.stat().st_mtime - LIFETIME
    for file in used.parent.iterdir():
        if _OURS.fullmatch(file.name) and _last_used(file) < before and _is_free(file):
            file.unlink()


def _last_used(file: Path) -> float:
    parts = (file, file.with_name(f"{file.name}-wal"))
    return max(part.lstat().st_mtime for part in parts if part.exists())


def _is_free(file: Path) -> bool:
    """Whether nobody has it open: only then does SQLite fold its log up."""
    try:
        with closing(sqlite3.connect(file, timeout=0.0)) as sql:
            return bool(sql.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete")
    except sqlite3.Error:
        return False
