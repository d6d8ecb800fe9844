"""Where tables are: a file, standard input or output, an object of a store, a database.

A place is written as one text, and that text never holds a password: what does is refused without
being repeated.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from enricher.formats import STANDARD, parse_name

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OBJECTS = ("s3", "gs", "az")
_POSTGRESQL = ("postgresql", "postgres")
_SQLITE = "sqlite"
_SECRETS = ("password", "sslpassword", "passfile")

OBJECT_FORM = "s3://bucket/folder/leads.csv"
POSTGRESQL_FORM = "postgresql://user@host/database"
SQLITE_FORM = "sqlite:///leads.db"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a store, such as `s3://bucket/folder/leads.csv`."""

    uri: str

    @property
    def name(self) -> str:
        """The last part of its key, which tells the format."""
        return self.uri.rpartition("/")[2]

    def with_name(self, name: str) -> "StoredObject":
        return StoredObject(f"{self.uri.rpartition('/')[0]}/{name}")

    def below(self, name: str) -> "StoredObject":
        """An object in the folder that this names."""
        return StoredObject(f"{self.uri}/{name}")

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and one table of it where `table` is given.

    `url` has no password. `table` may have its schema before it (`crm.leads`).
    """

    url: str
    table: str | None = None

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database."""
        prefix = f"{_SQLITE}:///"
        return Path(self.url.removeprefix(prefix)) if self.url.startswith(prefix) else None

    def of(self, table: str | None) -> "Database":
        return replace(self, table=table)

    def __str__(self) -> str:
        return self.url if self.table is None else f"{self.url}#{self.table}"


Place = Path | StoredObject | Database


def parse_place(text: str) -> Place:
    """Read what a person or a checkpoint calls a place; a path stays as it is.

    Raises:
        ValueError: a URL that is not of its form, or holds a password.
    """
    found = _SCHEME.match(text)
    if text == STANDARD or found is None:
        return Path(text)
    scheme = found[1].lower()
    if scheme in _OBJECTS:
        return _object(text)
    if scheme in _POSTGRESQL:
        return _postgresql(text)
    if scheme == _SQLITE:
        return _sqlite(text)
    known = ", ".join(f"{one}://" for one in (*_OBJECTS, _POSTGRESQL[0], _SQLITE))
    raise ValueError(f"{scheme}:// is no place of tables; there are {known} and files")


def is_standard(place: Place) -> bool:
    """Whether it is standard input or output."""
    return isinstance(place, Path) and str(place) == STANDARD


def format_of(place: Place) -> str:
    """The format that its name tells (`.csv`); empty for a database."""
    if isinstance(place, Database):
        return ""
    return ".csv" if is_standard(place) else parse_name(place.name).format


def marked(place: Place, mark: str) -> Place | None:
    """`leads.csv` marked `partial` is `leads.partial.csv`; `None` where there is no such place."""
    if is_standard(place) or isinstance(place, Database):
        return None
    return place.with_name(parse_name(place.name).marked(mark))


def _object(text: str) -> StoredObject:
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if "@" in bucket or re.search(r"\?(.*&)?(sig|sv|x-amz-\w+|x-goog-\w+)=", rest.lower()):
        raise ValueError(
            f"the {scheme}:// address must not hold a key or a signature; credentials come from the"
            " environment"
        )
    if not bucket or not key or key.endswith("/"):
        raise ValueError(f"{text!r} names no object such as {OBJECT_FORM}")
    return StoredObject(f"{scheme.lower()}://{rest}")


def _postgresql(text: str) -> Database:
    url, _, table = text.partition("#")
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or _has_secret(parts.query)
    except ValueError:  # no such port, half an IPv6 address
        raise ValueError(
            f"the address of the database is not of the form {POSTGRESQL_FORM}"
        ) from None
    if secret:
        raise ValueError(
            "the address of the database must not hold a password: put it into PGPASSWORD, or into"
            " ~/.pgpass or a service file of PostgreSQL"
        )
    return Database(url, unquote(table) or None)


def _has_secret(query: str) -> bool:
    return any(name.lower() in _SECRETS for name, _ in parse_qsl(query, keep_blank_values=True))


def _sqlite(text: str) -> Database:
    """`sqlite:///leads.db` is relative, `sqlite:////var/leads.db` absolute, as is customary."""
    url, _, table = text.partition("#")
    host, _, path = url[len("sqlite://") :].partition("/")
    if host or not path or path.endswith("/"):
        raise ValueError(f"{text!r} is not of the form {SQLITE_FORM}, or with //// for a full path")
    return Database(f"{_SQLITE}:///{Path(path).absolute()}", unquote(table) or None)
