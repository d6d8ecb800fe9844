"""Bytes that can be read only once, copied to a file that can be read ever after."""

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from enricher.durable import sync_directory
from enricher.errors import InputError, OutputError
from enricher.zstd import ZstdFile

_BLOCK = 1 << 20
_NAME = re.compile(r"\.input-[0-9a-f]{16}(\.parquet)?$")


@dataclass(frozen=True, slots=True)
class Spool:
    """A copy of an input that came from elsewhere: packed text (zstd), or Parquet."""

    path: Path
    is_new: bool


def is_spool(path: Path) -> bool:
    """Whether `path` has the name of such a copy."""
    return _NAME.search(path.name) is not None


def spooled(stream: BinaryIO, checkpoint: Path, shown: str) -> Spool:
    """Copy `stream` to its end to `<checkpoint>.input-<digest>`; the digest is of its bytes.

    The copy is private, appears when it is complete and on the disk, and is written once: the same
    bytes again find it there.

    Raises:
        InputError: the stream is empty or cannot be read.
        OutputError: the copy cannot be written.
    """
    digest = hashlib.blake2b(digest_size=8)
    with temporary_copy(checkpoint) as (file, place):
        size = 0
        with ZstdFile(file, "w") as packed:
            for block in blocks_of(stream, shown):
                digest.update(block)
                packed.write(block)
                size += len(block)
        if not size:
            raise InputError(
                f"{shown} is empty (0 bytes), without even a header",
                mend="Did the command before the pipe work? `enricher resume` needs no input.",
            )
        return kept_copy(file, place, copy_path(checkpoint, digest.hexdigest()))


def spooled_table(write: Callable[[Path], None], checkpoint: Path) -> Spool:
    """Have `write` make a Parquet file, and keep it as `spooled` keeps text.

    Its extension tells what it is: nothing else does, where the input is no place of its own.

    Raises:
        InputError: what `write` raises.
        OutputError: the copy cannot be written.
    """
    with temporary_copy(checkpoint) as (file, place):
        write(place)
        digest = hashlib.blake2b(digest_size=8)
        for block in blocks_of(file, "the copy"):
            digest.update(block)
        path = copy_path(checkpoint, digest.hexdigest())
        return kept_copy(file, place, path.with_name(f"{path.name}.parquet"))


def copy_path(checkpoint: Path, digest: str) -> Path:
    """Where the copy with that digest of 16 hexadecimal digits belongs."""
    return checkpoint.with_name(f"{checkpoint.name}.input-{digest}")


def kept_copy(file: BinaryIO, place: Path, path: Path) -> Spool:
    """Make the temporary file at `place`, complete and still open, the copy at `path`."""
    file.flush()
    os.fsync(file.fileno())
    is_new = not path.exists()
    if is_new:
        place.replace(path)
        sync_directory(path.parent)
    return Spool(path, is_new)


@contextmanager
def temporary_copy(checkpoint: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Give a private file beside the checkpoint, and where it is; it is gone after the block.

    Raises:
        OutputError: it cannot be made or written.
    """
    place = checkpoint.with_name(f".{checkpoint.name[:40]}.input-{secrets.token_hex(6)}.tmp")
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            yield file, place
    except OSError as error:
        raise OutputError(
            f"The input cannot be copied beside the checkpoint {checkpoint}: {error.strerror}.",
            mend="Make room, or choose another place with --checkpoint.",
        ) from error
    finally:
        with suppress(OSError):  # after the rename there is nothing to remove
            place.unlink()


def blocks_of(stream: BinaryIO, shown: str) -> Iterator[bytes]:
    """The bytes of `stream`; a read that fails is an `InputError`."""
    while True:
        try:
            block = stream.read(_BLOCK)
        except OSError as error:
            raise InputError(
                f"{shown} cannot be read: {error.strerror}.", mend="Give it again."
            ) from error
        if not block:
            return
        yield block
