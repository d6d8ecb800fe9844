"""One writer a checkpoint: an OS file lock, which ends with the process however it ends."""

from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout

from enricher.errors import CheckpointError, CheckpointInUse

_TO_HOLD = 0.5
"""Seconds in which `hold` outlasts the looks of `is_held`, which take the lock for an instant."""

_TO_LOOK = 0.2
"""Likewise for one look among several."""

_BETWEEN = 0.01
"""Seconds between two tries."""


def lock_path(checkpoint: Path) -> Path:
    return checkpoint.with_name(checkpoint.name + ".lock")


def hold(checkpoint: Path) -> AbstractContextManager[object]:
    """Take the lock of `checkpoint`, or raise soon; leaving the context gives it back.

    Raises:
        CheckpointInUse: another process holds it.
        CheckpointError: the lock file cannot be made.
    """
    lock = _lock(checkpoint, _TO_HOLD)
    try:
        checkpoint.parent.stat()  # or the lock would make the directory
        return lock.acquire()  # not the lock: to enter that is to take it a second time
    except Timeout:
        raise CheckpointInUse(
            f"{checkpoint} is in use by another enricher process.",
            mend="Wait for it to end (--retry-lock 10m does), or watch it with `enricher status`."
            " With another --checkpoint the list would be bought again.",
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"The lock file {lock_path(checkpoint)} cannot be made: {error.strerror}.",
            mend="Use a --checkpoint in a directory on a local disk that you may write to.",
        ) from None


def is_held(checkpoint: Path) -> bool:
    """Whether a process is at work on `checkpoint`; never makes or changes a file."""
    if not lock_path(checkpoint).exists():
        return False
    try:
        with _lock(checkpoint, _TO_LOOK):
            return False
    except (Timeout, OSError):
        return True


def _lock(checkpoint: Path, timeout: float) -> FileLock:
    return FileLock(
        lock_path(checkpoint),
        timeout=timeout,
        mode=0o600,
        thread_local=False,
        poll_interval=_BETWEEN,
    )
