"""Opening the SQLite file: ours or refused, durable, private, never trusted."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlite_utils import Database

from enricher.checkpoint.schema import APPLICATION_ID, SCHEMA_VERSION, migrations
from enricher.errors import CheckpointError

_HEADER = b"SQLite format 3\x00"
_APPLICATION_ID_AT = 68
"""Offset of the application id in the header (SQLite file format, section 1.3)."""

_USER_VERSION_AT = 60

_NOT_OURS = "Name another file with --checkpoint; enricher never changes a file it did not make."


def connect_writer(path: Path) -> Database:
    """Open `path` for writing, or make it, mode 0600.

    Every commit is synced (`synchronous=FULL`): a fact that was acknowledged survives power loss.

    Raises:
        CheckpointError: not a checkpoint, not a local disk, or not writable.
    """
    new = not path.exists() or path.stat().st_size == 0
    if new:
        _create(path)
    else:
        check_ours(path)
    try:
        db = Database(_connect(path, "rw"), recursive_triggers=False, execute_plugins=False)
        if new:  # first of all, so that a kill from here on leaves a file that is known as ours
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise CheckpointError(
                f"{path} cannot keep a write-ahead log (journal mode {mode!r}).",
                mend="Put the checkpoint on a local disk, not on a network share.",
            )
        for pragma in ("synchronous = FULL", "journal_size_limit = 16777216"):
            db.execute(f"PRAGMA {pragma}")
        migrations.apply(db)
        return db
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open `path` for reading; safe while another process writes it.

    Raises:
        CheckpointError: missing, or not a checkpoint.
    """
    check_ours(path)
    try:
        return _connect(path, "ro")
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error


def check_ours(path: Path) -> None:
    """Look at the first bytes before SQLite does: a planted file is never opened.

    Raises:
        CheckpointError: missing, unreadable, or not a checkpoint.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        raise CheckpointError(
            f"There is no checkpoint at {path}.",
            mend="It is made by `enricher run`, by default beside the output as"
            " <output>.checkpoint.db.",
            code="checkpoint_missing",
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from None
    if not header.startswith(_HEADER):
        raise CheckpointError(f"{path} is not a checkpoint of enricher.", mend=_NOT_OURS)
    application_id = int.from_bytes(header[_APPLICATION_ID_AT : _APPLICATION_ID_AT + 4], "big")
    if application_id != APPLICATION_ID:
        raise CheckpointError(
            f"{path} is a SQLite database of something else, not a checkpoint of enricher.",
            mend=_NOT_OURS,
        )
    version = int.from_bytes(header[_USER_VERSION_AT : _USER_VERSION_AT + 4], "big")
    if version > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} is of a newer enricher (its format is {version}, ours {SCHEMA_VERSION}).",
            mend="Update enricher; the checkpoint is unharmed.",
        )


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
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _unreadable(path: Path, error: sqlite3.Error) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint {path} cannot be opened: {error}.",
        mend="If its disk is full or read-only, mend that. A damaged file can be read with"
        " `sqlite3 FILE .recover`.",
    )
