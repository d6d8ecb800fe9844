"""Objects of S3, Google Cloud Storage and Azure: read, written and looked at as a whole.

Credentials come from the environment, as each store's own tools take them.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from enricher.errors import CannotGoOn, EnricherError, InputError, OutputError, StateGone
from enricher.extras import extra
from enricher.places import StoredObject

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Store = AzureStore | GCSStore | S3Store

_BLOCK = 1 << 20
_PAGE = 1000
_TRIES = 3
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ENDPOINTS = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT"),
    "STORAGE_EMULATOR_HOST",  # of gs://; the address itself is in the service account file
)
_VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_CAUSES = (
    *(r"<Message>(.*?)</Message>", r"<Code>(.*?)</Code>"),
    *(r'message: "([^"\n]*)"', r"\A[^\n]* - ([^\n]*)", r"source: ([^\n]*[^\n(])\n"),
)
_SAFE = "Nothing is lost: `enricher export` writes it again, to another place too."


@dataclass(frozen=True, slots=True)
class Download:
    """One version of an object: what tells it from any other, and its bytes, once."""

    version: str
    size: int
    blocks: Iterator[bytes]


@contextmanager
def downloaded(place: StoredObject) -> Iterator[Download]:
    """Ask for an object; its bytes come as they are taken.

    Raises:
        InputError: there is none, it may not be read, or the store does not answer.
    """
    with _blamed(place, InputError, "read"):
        import obstore

        store, key = _store_of(place)
        found = obstore.get(store, key)
        meta = found.meta
        mark = meta["e_tag"] or meta["last_modified"].isoformat()
        version = f"{place} {meta.get('version')} {mark} {meta['size']}"
        yield Download(version, meta["size"], map(bytes, found.stream(min_chunk_size=_BLOCK)))


def upload(place: StoredObject, file: Path) -> None:
    """Make `file` the object; whoever reads it sees all of it or what was there before.

    Raises:
        OutputError: the store does not take it.
    """
    with _blamed(place, OutputError, "written"):
        import obstore

        store, key = _store_of(place)
        obstore.put(store, key, file)


def check_uploadable(place: StoredObject) -> None:
    """Make sure that an object can be written there: one beside it is, and removed again.

    Raises:
        OutputError: it cannot.
    """
    with _blamed(place, OutputError, "written"):
        import obstore

        store, key = _store_of(place)
        beside = f"{key}.enricher-{os.urandom(4).hex()}.tmp"
        obstore.put(store, beside, b"")
        obstore.delete(store, beside)


def exists(place: StoredObject) -> bool:
    """Whether there is such an object.

    Raises:
        OutputError: the store does not tell.
    """
    with _blamed(place, OutputError, "looked at"):
        import obstore

        store, key = _store_of(place)
        try:
            obstore.head(store, key)
        except FileNotFoundError:
            return False
        return True


def remove(place: StoredObject) -> None:
    """Remove the object if it is there.

    Raises:
        OutputError: the store refuses.
    """
    with _blamed(place, OutputError, "removed"):
        import obstore

        store, key = _store_of(place)
        obstore.delete(store, key)


class Folder:
    """Objects that keep a state, by the last part of their keys.

    One of these keeps its connection, so that a write takes no more than a write.

    Raises:
        StateGone: by every method, if the store does not do it.
    """

    def __init__(self, place: StoredObject) -> None:
        self.place = place
        with _blamed(place, StateGone, "reached"):
            self._store, self._key = _store_of(place)

    def create(self, name: str, body: bytes) -> bool:
        """Make the object, unless there is one already: of several who try, one hears true.

        True also where an earlier try had made it, with these very bytes, and its answer was lost:
        the library does not repeat such a request by itself.
        """
        for _ in range(_TRIES - 1):
            with suppress(StateGone):
                return self._create(name, body)
        return self._create(name, body)

    def _create(self, name: str, body: bytes) -> bool:
        with self._blamed(name, "written"):
            import obstore
            from obstore.exceptions import AlreadyExistsError

            try:
                obstore.put(self._store, self._key_of(name), body, mode="create")
            except AlreadyExistsError:
                return self.read(name) == body
            return True

    def write(self, name: str, content: bytes | Path) -> None:
        """Make `content`, or that of a file, the object, whether there is one or not."""
        with self._blamed(name, "written"):
            import obstore

            obstore.put(self._store, self._key_of(name), content)

    def read(self, name: str) -> bytes | None:
        """All bytes of an object; `None` if there is none."""
        with self._blamed(name, "read"):
            import obstore

            try:
                return bytes(obstore.get(self._store, self._key_of(name)).bytes())
            except FileNotFoundError:
                return None

    def fetch(self, name: str, file: Path) -> bool:
        """Write the object to `file`, in blocks; false, and no file, if there is none."""
        with self._blamed(name, "read"):
            import obstore

            try:
                found = obstore.get(self._store, self._key_of(name))
            except FileNotFoundError:
                return False
            with file.open("wb") as copy:
                for block in found.stream(min_chunk_size=_BLOCK):
                    copy.write(block)
            return True

    def names(self) -> list[str]:
        """The objects just below the folder."""
        with _blamed(self.place, StateGone, "listed"):
            import obstore

            pages = obstore.list(self._store, self._key, chunk_size=_PAGE)
            below = [one["path"].removeprefix(f"{self._key}/") for page in pages for one in page]
            return [name for name in below if "/" not in name]

    def discard(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there any more are nobody's loss."""
        with _blamed(self.place, StateGone, "removed"):
            import obstore

            if names:
                obstore.delete(self._store, [self._key_of(name) for name in names])

    def _key_of(self, name: str) -> str:
        return f"{self._key}/{name}"

    def _blamed(self, name: str, done: str) -> AbstractContextManager[None]:
        return _blamed(self.place.below(name), StateGone, done)


def _store_of(place: StoredObject) -> tuple["Store", str]:
    from obstore.store import AzureStore, GCSStore, S3Store

    scheme, _, rest = place.uri.partition("://")
    bucket, _, key = rest.partition("/")
    options: Any = {"client_options": {"allow_http": _is_at_home()}}
    match scheme:
        case "s3":
            return S3Store(bucket, **options), key
        case "gs":
            return GCSStore(bucket, **options), key
        case _:
            return AzureStore(bucket, **options), key


def _is_at_home() -> bool:
    """Whether the store is named to be on this machine: only there it may be without TLS."""
    named = [os.environ[name] for name in _ENDPOINTS if os.environ.get(name)]
    return any(urlsplit(url).hostname in _LOOPBACK for url in named)


@contextmanager
def _blamed(place: StoredObject, problem: type[EnricherError], done: str) -> Iterator[None]:
    """Turn what the library says into a `problem`; it quotes requests, but no credentials."""
    lacking = problem if issubclass(problem, CannotGoOn) else CannotGoOn
    with extra("cloud", f"Reaching {place}", lacking):
        from obstore.exceptions import BaseError
    try:
        yield
    except FileNotFoundError as error:
        if problem is not InputError:
            raise problem(
                f"{place} cannot be {done}: there is no such bucket", mend="Check the address."
            ) from error
        raise problem(
            f"{place}: there is no such object, or no such bucket",
            mend="Check the address; wildcards do not stand for several objects.",
        ) from error
    except (BaseError, PermissionError, OSError, ValueError) as error:
        scheme = place.uri.partition("://")[0]
        safe = f" {_SAFE}" if problem is OutputError and done == "written" else ""
        raise problem(
            f"{place} cannot be {done}: {_cause(error)}",
            mend=f"Check the address and the credentials in the environment ({_VARIABLES[scheme]})."
            + safe,
        ) from None


def _cause(error: Exception) -> str:
    """The gist of what the library says, which may be pages of XML and the source of the error."""
    text = str(error)
    for pattern in _CAUSES:
        if found := re.search(pattern, text, re.DOTALL):
            return found[1][:200]
    return (text.splitlines() or ["no reason given"])[0][:200]
