"""Opening the SQLite file: ours or refused, durable, private, never trusted."""

import os
import sqlite3
import stat
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlite_utils import Database

from enricher.checkpoint.schema import APPLICATION_ID, SCHEMA_VERSION, migrations, planted
from enricher.errors import CheckpointError

_HEADER = b"SQLite format 3\x00"
_APPLICATION_ID_AT = 68
"""Offset of the application id in the header (SQLite file format, section 1.3)."""

_JOURNAL_HEADER = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_PAGES_BEFORE_AT = 16
"""Offset, in the header of a rollback journal, of the size to which it takes the file back."""

_NOT_OURS = "Name another file with --checkpoint; enricher never changes a file it did not make."


class _Connection(sqlite3.Connection):
    """A connection that is listed until it is closed."""

    def close(self) -> None:
        super().close()
        _connected.pop(self, None)


_connected: WeakKeyDictionary[sqlite3.Connection, tuple[int, int]] = WeakKeyDictionary()
"""The connections of this process, each with device and inode of its file.

Whoever closes a file loses every lock that the process has on it (POSIX). To look at the first
bytes of a checkpoint that is connected here would take SQLite's locks away, and the next SQLite
tool that opens and leaves the file would delete the log that is still written to.
"""

_opening = threading.Lock()
"""Held from the look at the first bytes until the connection is listed."""


def connect_writer(path: Path) -> Database:
    """Open `path` for writing, or make it, mode 0600.

    Every commit is synced (`synchronous=FULL`): a fact that was acknowledged survives power loss.

    Raises:
        CheckpointError: not a checkpoint, not a local disk, or not writable.
    """
    try:
        with ExitStack() as until_checked:
            with _opening:
                found = _found(path)
                if found is None or found.st_size == 0:
                    _create(path)
                else:
                    _check_ours(path)
                connection = until_checked.enter_context(closing(_connect(path, "rw")))
            _check_version(path, connection)
            _check_schema(path, connection)
            db = Database(connection, recursive_triggers=False, execute_plugins=False)
            _sign(path, db)  # first of all, so that a kill from here on leaves a file that is ours
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise CheckpointError(
                    f"{path} cannot keep a write-ahead log (journal mode {mode!r}).",
                    mend="Put the checkpoint on a local disk, not on a network share.",
                )
            for pragma in ("synchronous = FULL", "journal_size_limit = 16777216"):
                db.execute(f"PRAGMA {pragma}")
            migrations.apply(db)
            until_checked.pop_all()
            return db
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open `path` for reading; safe while another process writes it.

    Raises:
        CheckpointError: missing, not a checkpoint, or nothing in it yet.
    """
    try:
        with ExitStack() as until_checked:
            with _opening:
                _check_ours(path)
                connection = until_checked.enter_context(closing(_connect(path, "ro")))
            if _check_version(path, connection) == 0:
                raise _nothing_yet(path)
            _check_schema(path, connection)
            until_checked.pop_all()
            return connection
    except sqlite3.Error as error:
        if _pages_before(path) is not None:  # only a writer can take it back to what it was
            raise _nothing_yet(path) from None
        raise unreadable(path, error) from error


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Write all that `connection` sees to a new file at `path`.

    Raises:
        CheckpointError: the disk did not take it.
    """
    try:
        with closing(sqlite3.connect(path)) as target:
            connection.backup(target)
    except sqlite3.Error as error:
        raise CheckpointError(
            f"The checkpoint could not be copied to {path}: {error}.",
            mend="Free space there, then run the same command again: nothing is lost.",
            code="checkpoint_write",
        ) from error


def unreadable(path: Path, error: sqlite3.Error) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint {path} cannot be read: {error}.",
        mend="If its disk is full or read-only, mend that. A damaged file can be read with"
        " `sqlite3 FILE .recover`.",
    )


def _check_ours(path: Path) -> None:
    """Look at the first bytes before SQLite does: a planted file is never opened."""
    found = _found(path)
    if found is None:
        raise CheckpointError(
            f"There is no checkpoint at {path}.",
            mend="It is made by `enricher run`: by default beside the output as"
            " <output>.checkpoint.db, beside a job file as <its stem>.checkpoint.db.",
            code="checkpoint_missing",
        )
    if _identity(found) in _connected.values():
        return
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise _out_of_reach(path, error) from None
    if not header:
        raise _nothing_yet(path)
    if not header.startswith(_HEADER):
        if _pages_before(path) == 0:  # a power cut while it was made: SQLite will empty it
            return
        raise CheckpointError(f"{path} is not a checkpoint of enricher.", mend=_NOT_OURS)
    application_id = int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big")
    if application_id != APPLICATION_ID:
        raise _of_something_else(path)


def _pages_before(path: Path) -> int | None:
    """The size to which an interrupted transaction takes the file back; `None` if there is none.

    A checkpoint has a rollback journal only while it is made; from then on it has a log.
    """
    try:
        with path.with_name(path.name + "-journal").open("rb") as file:
            header = file.read(_PAGES_BEFORE_AT + 4)
    except OSError:
        return None
    return int.from_bytes(header[-4:], "big") if header.startswith(_JOURNAL_HEADER) else None


def _sign(path: Path, db: Database) -> None:
    """Make an empty file known as ours.

    The first bytes do not tell whether it is empty: they are read before SQLite takes back a
    transaction that a kill or a power cut interrupted, which may have been the very first.
    """
    if db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
        return
    if db.execute("PRAGMA page_count").fetchone()[0]:
        raise _of_something_else(path)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _check_companions(path: Path) -> None:
    """SQLite would follow a planted link and write its log over another file."""
    place = Path(os.path.realpath(path))
    for ending in ("-journal", "-wal", "-shm"):
        companion = place.with_name(place.name + ending)
        if companion.is_symlink():
            raise CheckpointError(
                f"{companion} is a link, which SQLite never makes.",
                mend="Find out who made it; the checkpoint can be used once it is removed.",
            )


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    if found := planted(connection):
        raise CheckpointError(
            f"{path} holds what enricher never puts in a checkpoint: {found[0]}.",
            mend="Use a checkpoint that comes from nobody else. What you have added to your own"
            " can be dropped with a SQLite tool.",
        )


def _check_version(path: Path, connection: sqlite3.Connection) -> int:
    """The version of the tables, 0 before there are any.

    The first bytes do not tell it: while the file is written, it may stand in the log.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} was written by a newer enricher (its format {version},"
            f" ours {SCHEMA_VERSION}).",
            mend="Update enricher; the checkpoint is unharmed.",
        )
    return version


def _found(path: Path) -> os.stat_result | None:
    """What the system says of the file, `None` if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _out_of_reach(path, error) from None
    if not stat.S_ISREG(found.st_mode):  # a pipe would block, and a device must not be changed
        raise CheckpointError(f"{path} is a directory, a pipe or a device.", mend=_NOT_OURS)
    return found


def _create(path: Path) -> None:
    try:
        flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o600)
        os.fchmod(descriptor, 0o600) if hasattr(os, "fchmod") else None
        os.close(descriptor)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint {path} cannot be made: {error.strerror}.",
            mend="Choose a --checkpoint in a directory that exists and that you may write to.",
        ) from None


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    _check_companions(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=10,
        factory=_Connection,
    )
    _connected[connection] = _identity(path.stat())
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _out_of_reach(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read: {error.strerror}.",
        mend="Make it readable, or name another file with --checkpoint.",
    )


def _of_something_else(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is a SQLite database of something else, not a checkpoint of enricher.",
        mend=_NOT_OURS,
    )


def _nothing_yet(path: Path) -> CheckpointError:
    return CheckpointError(
        f"There is nothing in the checkpoint {path}: the run that made it had only begun.",
        mend="`enricher run` goes on with it; it can also be deleted.",
        code="checkpoint_missing",
    )
