"""A file that appears whole or not at all."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from enricher.durable import sync_directory
from enricher.errors import OutputError

_SAFE = "Nothing is lost: what was bought is in the checkpoint."

_CAUSES = {
    errno.ENOSPC: ("the disk is full", f"Make room, or choose another disk. {_SAFE}"),
    errno.EDQUOT: ("your disk quota is used up", f"Make room, or choose another place. {_SAFE}"),
    errno.EFBIG: (
        "the file would be larger than is allowed here",
        f"Choose another place. {_SAFE}",
    ),
    errno.EACCES: ("you may not write there", "Choose a place where you may write."),
    errno.EPERM: ("you may not replace what is there", "Choose another name or place."),
    errno.EROFS: ("the disk is read-only", "Choose a place where you may write."),
    errno.ENOENT: ("its directory does not exist", "Create the directory, or correct the path."),
    errno.ENOTDIR: ("its directory is a file", "Correct the path."),
    errno.ENAMETOOLONG: ("its name is too long", "Choose a shorter name."),
}


ABANDONED = 86400.0
"""Seconds without a write after which a temporary file belongs to nobody who lives."""


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[tuple[BinaryIO, Path]]:
    """Give a file to write to, and where it is; it becomes `path` when the block ends well.

    It lies beside the target as `.<name>.<random>.tmp`, is on the disk before it is renamed, and
    is removed after any error or interruption. Until then it is private. A file that is replaced
    leaves its permissions to the new one; a symbolic link stays, and the file that it points to
    is replaced.

    Args:
        durable: it survives a power cut; a file that is written every second need not.

    Raises:
        OutputError: the file cannot be made, or not be put in its place.
    """
    with blamed(path):
        target = _target(path)
        mode = _mode_of(target)
        temporary, file = _create_beside(target)
    if durable:
        _remove_leftovers(target, temporary)
    try:
        yield file, temporary
        with blamed(path):
            _finish(file, mode, durable)
            temporary.replace(target)
    finally:
        with suppress(OSError):  # a buffer that could not be written fails again when it closes
            file.close()
        with suppress(OSError):  # after the rename there is nothing to remove
            temporary.unlink()
    if durable:
        sync_directory(target.parent)


def check_own(path: Path, begins: str, refusal: OutputError) -> None:
    """Make sure that a file can stand there, and replaces nothing but what begins like it.

    Raises:
        OutputError: it cannot; `refusal` if something else would be lost.
    """
    check_place(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        found = file.read(len(begins.encode()))
    if found and found != begins.encode():
        raise refusal


def check_place(path: Path) -> None:
    """Make sure that a file can be made where `path` is.

    Raises:
        OutputError: it cannot.
    """
    with blamed(path):
        target = _target(path)
        temporary, file = _create_beside(target)
        file.close()
        temporary.unlink()


@contextmanager
def blamed(path: Path) -> Iterator[None]:
    """Turn what the system says about writing `path` into an `OutputError`."""
    try:
        yield
    except OSError as error:
        cause, mend = _CAUSES.get(error.errno or 0, (error.strerror or str(error), _SAFE))
        raise OutputError(f"{path} cannot be written: {cause}", mend=mend) from error
    except ValueError as error:  # a NUL in the name
        raise OutputError(f"{path!r} cannot be written: {error}", mend="Correct it.") from error


def _target(path: Path) -> Path:
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISDIR(mode):
        raise OutputError(
            f"{path} is a directory, not a file", mend="Name a file, such as leads.enriched.csv."
        )
    if not stat.S_ISREG(mode):
        raise OutputError(
            f"{path} is not a regular file (a pipe, a device or a socket)",
            mend="Name a regular file.",
        )
    return target


def _mode_of(target: Path) -> int:
    """The permissions of the file, or those that a new one gets here."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0o077)  # can only be asked for by setting it: for an instant, stricter
        os.umask(mask)
        return 0o666 & ~mask


def _create_beside(target: Path) -> tuple[Path, BinaryIO]:
    """Create the temporary file, which nobody else may read whatever the umask."""
    name = f".{target.name[:40]}.{secrets.token_hex(6)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    temporary = target.with_name(name)
    descriptor = os.open(temporary, flags, 0o600)
    _set_mode(descriptor, 0o600)
    return temporary, os.fdopen(descriptor, "wb")


def _remove_leftovers(target: Path, temporary: Path) -> None:
    """Remove what processes that were killed in the middle of writing `target` have left."""
    with suppress(OSError):
        now = temporary.stat().st_mtime
        ours = re.compile(re.escape(f".{target.name[:40]}.") + r"[0-9a-f]{12}\.tmp")
        for found in os.scandir(target.parent):
            if not ours.fullmatch(found.name) or not found.is_file(follow_symlinks=False):
                continue
            if now - found.stat(follow_symlinks=False).st_mtime > ABANDONED:
                Path(found).unlink()


def _finish(file: BinaryIO, mode: int, durable: bool) -> None:
    file.flush()
    _set_mode(file.fileno(), mode)
    if durable:
        os.fsync(file.fileno())
    file.close()


def _set_mode(descriptor: int, mode: int) -> None:
    if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        with suppress(PermissionError):  # a file system that keeps no permissions
            os.fchmod(descriptor, mode)
