"""Inputs that are not on this machine, copied beside the checkpoint and read from there."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from enricher import databases, objects
from enricher.errors import InputError
from enricher.formats import TableName, parse_name
from enricher.places import Database, StoredObject
from enricher.source.spool import Spool, blocks_of, copy_path, kept_copy, temporary_copy
from enricher.source.stored import unpacked
from enricher.zstd import ZstdFile


def object_copied(place: StoredObject, checkpoint: Path, *, is_text: bool) -> Spool:
    """Copy an object; the same version of it again finds the copy, and nothing is loaded.

    Text is unpacked, and packed as all copies are; other formats stay as they are.

    Raises:
        InputError: it cannot be read, or not to its end.
        OutputError: the copy cannot be written.
    """
    with objects.downloaded(place) as found:
        digest = hashlib.blake2b(found.version.encode(), digest_size=8).hexdigest()
        path = copy_path(checkpoint, digest)
        if path.exists():
            return Spool(path, is_new=False)
        if not found.size:
            raise InputError(
                f"{place} is empty (0 bytes), without even a header",
                mend="Was it uploaded to the end? Make it again.",
            )
        with temporary_copy(checkpoint) as (file, temporary):
            stream = _Stream(found.blocks)
            _copy(stream, file, parse_name(place.name), str(place), is_text=is_text)
            if stream.size != found.size:
                raise InputError(
                    f"{place}: {stream.size:,} of {found.size:,} bytes arrived",
                    mend="Repeat the command.",
                )
            return kept_copy(file, temporary, path)


def query_copied(place: Database, query: str | None, checkpoint: Path) -> Spool:
    """Copy what a query gives, or else the table of `place`, as Parquet.

    Raises:
        InputError: the database cannot be reached, or refuses.
        OutputError: the copy cannot be written.
    """
    with temporary_copy(checkpoint) as (file, temporary):
        databases.copy_rows(place, query, file)
        file.seek(0)
        digest = hashlib.blake2b(digest_size=8)
        for block in blocks_of(file, str(place)):
            digest.update(block)
        return kept_copy(file, temporary, copy_path(checkpoint, digest.hexdigest()))


def _copy(stream: "_Stream", file: BinaryIO, name: TableName, shown: str, *, is_text: bool) -> None:
    source = cast(BinaryIO, io.BufferedReader(stream))
    if not is_text:
        for block in blocks_of(source, shown):
            file.write(block)
        return
    with ZstdFile(file, "w") as packed, unpacked(source, name.packing, shown) as plain:
        for block in blocks_of(plain, shown):
            packed.write(block)


class _Stream(io.RawIOBase):
    """Blocks of bytes as a file that can be read once; `size` is what was read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.size = 0
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer there
        if not self._rest:
            self._rest = next(self._blocks, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        self.size += count
        return count
