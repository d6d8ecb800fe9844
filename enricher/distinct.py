"""Counting digests in bounded memory: how many are distinct, and which of its equals each is."""

import struct
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

DIGEST_SIZE = 16
_PARTITIONS = 64
"""Files held open; some systems allow a process 256, and two counters are in use at once."""


class DistinctCounter:
    """Counts distinct 16-byte digests; a context manager, since it may hold files.

    Up to `in_memory` of them cost about 100 bytes each in memory; beyond that they are spread by
    their first byte over files, counted one file at a time.
    """

    def __init__(self, in_memory: int = 500_000) -> None:
        self._in_memory = in_memory
        self._seen: set[bytes] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove its files, if there are some."""
        for file in self._files:
            file.close()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, digests: Iterable[bytes]) -> None:
        self._seen.update(digests)
        if len(self._seen) > self._in_memory:
            self._spill()

    def count(self) -> int:
        if not self._files:
            return len(self._seen)
        self._spill()
        return sum(self._distinct_in(file) for file in self._files)

    def _spill(self) -> None:
        if not self._files:
            self._folder = tempfile.TemporaryDirectory(prefix="enricher-")
            folder = Path(self._folder.name)
            self._files = [(folder / f"{n:02x}").open("w+b") for n in range(_PARTITIONS)]
        for digest in self._seen:
            self._files[digest[0] % _PARTITIONS].write(digest)
        self._seen.clear()

    @staticmethod
    def _distinct_in(file: IO[bytes]) -> int:
        file.flush()
        file.seek(0)
        data = file.read()
        return len({data[at : at + DIGEST_SIZE] for at in range(0, len(data), DIGEST_SIZE)})


_ROW = struct.Struct(f"<{DIGEST_SIZE}sQ")
_NUMBER = struct.Struct("<II")
_ROWS_A_BLOCK = 1 << 20


class Occurrences:
    """Of each digest of a long sequence, how many equal ones stand before it.

    A context manager: everything lies in temporary files, 24 bytes a digest and 8 for each that is
    not the first of its equals. Memory holds a 64th of the digests at a time.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._parts = [self._new_file() for _ in range(_PARTITIONS)]
        self._blocks: list[IO[bytes]] = []
        self._rows = 0
        self.is_ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _new_file(self) -> IO[bytes]:
        return self._held.enter_context(tempfile.TemporaryFile())

    def add(self, digests: Iterable[bytes]) -> None:
        """Append `digests` to the sequence."""
        for row, digest in enumerate(digests, self._rows):
            self._parts[digest[0] % _PARTITIONS].write(_ROW.pack(digest, row))
            self._rows = row + 1

    def finish(self) -> None:
        """The sequence is complete: number its digests."""
        blocks = -(-self._rows // _ROWS_A_BLOCK)
        self._blocks = [self._new_file() for _ in range(blocks)]
        for file in self._parts:
            file.seek(0)
            seen: Counter[bytes] = Counter()
            for digest, row in _ROW.iter_unpack(file.read()):
                if number := seen[digest]:
                    block = self._blocks[row // _ROWS_A_BLOCK]
                    block.write(_NUMBER.pack(row % _ROWS_A_BLOCK, number))
                seen[digest] += 1
            file.close()
        self.is_ready = True

    def numbers(self) -> Iterator[int]:
        """How many equal ones stand before each, in the order of the sequence; any number of times.

        Two iterations must not be under way at once.
        """
        for block in self._blocks:
            numbers = array("L", bytes(array("L").itemsize * _ROWS_A_BLOCK))
            block.seek(0)
            for row, number in _NUMBER.iter_unpack(block.read()):
                numbers[row] = number
            yield from numbers
