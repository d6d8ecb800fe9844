"""Outputs that are not on this machine: written to a file here, and handed over whole."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeGuard

from enricher import databases, objects
from enricher.errors import OutputError
from enricher.places import Database, Place, StoredObject
from enricher.sink.target import blamed, check_place


def is_elsewhere(place: Place) -> TypeGuard[StoredObject | Database]:
    """Whether it is an object of a store or a table of a database."""
    return isinstance(place, StoredObject | Database)


@contextmanager
def written_elsewhere(place: StoredObject | Database) -> Iterator[Path]:
    """Give a path to write to; what is there when the block ends well goes to `place`.

    Raises:
        OutputError: the store or database does not take it.
    """
    with blamed(Path(str(place))):
        folder = TemporaryDirectory(prefix="enricher-")
    with folder as held:
        if isinstance(place, Database):
            path = Path(held) / "table.parquet"
            yield path
            _check_is_table(place)
            databases.load(place, path)
        else:
            path = Path(held) / place.name
            yield path
            objects.upload(place, path)


def exists(place: Place) -> bool:
    """Whether there is something that writing would replace.

    Raises:
        OutputError: the store or database does not tell.
    """
    if isinstance(place, StoredObject):
        return objects.exists(place)
    return databases.exists(place) if isinstance(place, Database) else place.exists()


def remove(place: Place) -> None:
    """Remove what a job wrote there before it was finished.

    Raises:
        OutputError: the store does not let it go.
    """
    if isinstance(place, StoredObject):
        objects.remove(place)
    elif isinstance(place, Path):
        place.unlink(missing_ok=True)


def check_reachable(place: StoredObject | Database) -> None:
    """Make sure that the output can be handed over.

    Raises:
        OutputError: it cannot.
    """
    if isinstance(place, StoredObject):
        objects.check_uploadable(place)
        return
    _check_is_table(place)
    databases.check_loadable(place)


def _check_is_table(place: Database) -> None:
    if place.file is not None and not place.file.exists():
        check_place(place.file.with_name(f"{place.file.name}.{secrets.token_hex(4)}"))
    if place.table is None:
        raise OutputError(f"{place} names no table.", mend=f"Write it after a #: {place}#leads")
