"""Which files `export` wrote: a list beside the checkpoint, which a reader must not change."""

import os
from pathlib import Path

from enricher.errors import CheckpointError
from enricher.places import Place


def note_export(checkpoint: Path, output: Place) -> None:
    """Remember that `output` is an export, so that the next one may replace it.

    Raises:
        CheckpointError: the list cannot be written.
    """
    if was_exported(checkpoint, output):
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(list_of(checkpoint), flags, 0o600), "ab") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o600)
            file.write(os.fsencode(str(output)) + b"\n")
    except OSError as error:
        raise CheckpointError(
            f"{list_of(checkpoint)} cannot be written: {error.strerror}.",
            mend="Make the checkpoint's directory writable.",
        ) from None


def was_exported(checkpoint: Path, output: Place) -> bool:
    """Whether an earlier export wrote `output`."""
    try:
        return os.fsencode(str(output)) in list_of(checkpoint).read_bytes().split(b"\n")
    except OSError:
        return False


def list_of(checkpoint: Path) -> Path:
    """Where the list stands."""
    return checkpoint.with_name(checkpoint.name + ".exports")
