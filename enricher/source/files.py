"""One regular file, the same from the start of a pass to its end."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from enricher.errors import InputChanged, InputError
from enricher.formats import Fingerprint


def regular_file(path: Path) -> Fingerprint:
    """Return what tells this version of the file from any other.

    Raises:
        InputError: there is no such file, or it is not one that can be read twice.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(found.st_mode):
        raise InputError(
            f"{path} is a directory, not a file", mend="Name one table, such as leads.csv."
        )
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"{path} is not a regular file (a pipe, a device or a socket); "
            "the input is read several times",
            mend="Copy it to a file first and name that.",
        )
    return Fingerprint(size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading and close it.

    Raises:
        InputError: it cannot be opened, or a read fails inside the block.
    """
    if regular_file(path).size == 0:
        raise InputError(
            f"{path} is empty (0 bytes), without even a header",
            mend="Was it exported or copied to the end? Make it again.",
        )
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise _unreadable(path, error) from error


@contextmanager
def unchanged(path: Path, expected: Fingerprint) -> Iterator[None]:
    """Make sure that the file is `expected` when the block begins and when it is through.

    Inside a generator that is closed early, nothing is compared.

    Raises:
        InputChanged: somebody wrote to the file; also in place of another `InputError`, which then
            speaks of a file half written.
    """
    _compare(path, expected)
    try:
        yield
    except InputError:
        _compare(path, expected)
        raise
    _compare(path, expected)


def _compare(path: Path, expected: Fingerprint) -> None:
    if regular_file(path) != expected:
        raise InputChanged(
            f"{path} changed while it was being read",
            mend="Wait until whoever writes it has finished, then repeat the command.",
        )


def _unreadable(path: Path, error: OSError | ValueError) -> InputError:
    if isinstance(error, FileNotFoundError):
        here = f" (looked in {Path.cwd()})" if not path.is_absolute() else ""
        return InputError(f"{path}: there is no such file{here}", mend="Check the path.")
    if isinstance(error, PermissionError):
        return InputError(
            f"{path}: you may not read this file",
            mend="Give yourself the right to read it, or copy it to a place of yours.",
        )
    cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return InputError(
        f"{path} cannot be read: {cause}",
        mend="Check the path and the disk, or copy the file to another place and name that.",
    )
