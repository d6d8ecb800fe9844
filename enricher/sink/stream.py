"""Where the bytes of a text format go: a file, packed as its name says, or standard output."""

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from enricher.errors import OutputError
from enricher.formats import STANDARD, Packing, parse_name
from enricher.sink.target import blamed, replacing
from enricher.zstd import ZstdFile

Write = Callable[[bytes], None]

_STANDARD_OUTPUT = 1


@contextmanager
def written_to(path: Path) -> Iterator[Write]:
    """Give a function that writes to `path`, which appears whole when the block ends well.

    Standard output is written as it comes; when its reader has left, what is written goes nowhere.

    Raises:
        OutputError: the file cannot be made, or the disk did not take it.
    """
    if str(path) == STANDARD:
        with _standard() as write:
            yield write
        return
    with replacing(path) as (file, _), _packed(path, file) as packed:

        def write_packed(data: bytes) -> None:
            with blamed(path):
                packed.write(data)

        yield write_packed


@contextmanager
def _packed(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    packing = parse_name(path.name).packing
    if packing is Packing.NONE:
        yield file
        return
    if packing is Packing.GZIP:  # without name and time: equal tables are equal files
        packed = cast(BinaryIO, gzip.GzipFile("", "wb", 6, file, mtime=0))
    else:
        packed = cast(BinaryIO, ZstdFile(file, "w"))
    try:
        yield packed
    finally:
        with blamed(path):
            packed.close()


@contextmanager
def _standard() -> Iterator[Write]:
    """Not by way of `sys.stdout`, whose buffer fails once more when the interpreter ends."""
    is_heard = True
    file = os.fdopen(os.dup(_STANDARD_OUTPUT), "wb")

    def write(data: bytes) -> None:
        nonlocal is_heard
        if not is_heard:
            return
        try:
            file.write(data)
            file.flush()
        except BrokenPipeError:
            is_heard = False
        except OSError as error:
            raise OutputError(
                f"Standard output cannot be written: {error.strerror}.",
                mend="Nothing is lost: `enricher export` writes it again, to another place.",
            ) from error

    try:
        yield write
    finally:
        with suppress(OSError):  # what a reader that has left did not take
            file.close()
