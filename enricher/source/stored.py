"""The bytes of one file, unpacked: what every text format reads from."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from enricher.errors import InputError
from enricher.formats import Fingerprint, Packing
from enricher.source.files import opened, regular_file, unchanged
from enricher.zstd import ZstdError, ZstdFile

_UNPACKING = {Packing.GZIP: "gzip", Packing.ZSTD: "zstd"}


class StoredFile:
    """A file on this machine, as it was when it was first looked at.

    Args:
        path: the file.
        packing: how its bytes are packed.
        shown: what messages call it; by default `path`.

    Raises:
        InputError: there is no such file, or it is none that can be read twice.
    """

    def __init__(self, path: Path, packing: Packing = Packing.NONE, shown: str = "") -> None:
        self.path = path
        self.packing = packing
        self.shown = shown or str(path)
        self._opened_as = regular_file(path)

    def fingerprint(self) -> Fingerprint:
        """The file as it is now."""
        return regular_file(self.path)

    def unchanged(self) -> AbstractContextManager[None]:
        """Make sure that nobody writes to it meanwhile; see `files.unchanged`."""
        return unchanged(self.path, self._opened_as)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open it where its unpacked bytes begin; all members of a packed file are read.

        Raises:
            InputError: it is empty, cannot be opened, or a read inside the block fails: what is
                packed is damaged or cut short.
        """
        with opened(self.path) as file, unpacked(file, self.packing, self.shown) as plain:
            yield plain


@contextmanager
def unpacked(file: BinaryIO, packing: Packing, shown: str) -> Iterator[BinaryIO]:
    """Give what the packed bytes of `file` hold; `shown` is what messages call it.

    Raises:
        InputError: what is packed is damaged or cut short.
    """
    if packing is Packing.NONE:
        yield file
        return
    packed = gzip.GzipFile(fileobj=file) if packing is Packing.GZIP else ZstdFile(file)
    kind = _UNPACKING[packing]
    try:
        with packed:
            yield cast(BinaryIO, packed)
    except EOFError as error:
        raise InputError(
            f"{shown} ends in the middle: the {kind} data is cut short",
            mend="It was probably not written or copied to the end: do that again.",
        ) from error
    except (gzip.BadGzipFile, zlib.error, ZstdError) as error:
        raise InputError(
            f"{shown} cannot be unpacked as {kind}: {error}",
            mend="The file is damaged, or has the wrong extension: write or copy it again.",
        ) from error
