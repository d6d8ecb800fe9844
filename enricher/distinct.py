"""Counting distinct digests in bounded memory: a set first, files of a temporary folder then."""

import tempfile
from collections.abc import Iterable
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
