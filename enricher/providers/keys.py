"""The API key: found where a person keeps it, checked when loaded, never shown."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from urllib.parse import quote

from enricher.errors import KeyProblem
from enricher.model import Json
from enricher.providers.key_file import read_private
from enricher.providers.system_keyring import KEYRING, stored_key

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd names the directory of a unit's credentials."""

_LEAST_KEY = 8
"""A key of so many characters is blackened where the server's words repeat it."""


class ApiKey:
    """A key that can be loaded again when the server stops taking it.

    Args:
        variable: what the key is called in the environment, among the credentials of systemd and
            in the keyring; they are looked at in this order.
        file: the only place that is looked at, if there is one.

    Attributes:
        origin: the place that it was found in, for people.

    Raises:
        KeyProblem: no key, not the form of a key, or a file that others can read.
    """

    def __init__(self, variable: str, file: Path | None, environ: Mapping[str, str]) -> None:
        self._place, self._value = _found(variable, _places(variable, file, environ))
        self.origin = self._place.name

    @property
    def value(self) -> str:
        return self._value

    def reload(self) -> bool:
        """Read its file again; whether it holds another key now.

        An unreadable file is no other key: the server's refusal is what a person must hear of.
        """
        if not self._place.is_file:
            return False
        try:
            fresh = checked_key(self._place.read().text, self.origin)
        except KeyProblem:
            return False
        changed, self._value = fresh != self._value, fresh
        return changed

    def __repr__(self) -> str:
        return f"ApiKey(from {self.origin})"


def checked_key(text: str, origin: str) -> str:
    """The key in `text`, without the white space around it.

    Raises:
        KeyProblem: empty, or not the form of a key; the text itself is never shown.
    """
    key = text.strip()
    if not key:
        raise KeyProblem(
            f"No API key: {origin} is empty.",
            mend="Copy the key there, one line and nothing else.",
            code="key_missing",
        )
    if not fit_for_a_header(key):
        raise KeyProblem(
            f"The API key in {origin} has spaces, line ends or characters that no key has.",
            mend="Copy it again from the workspace's settings, one line and nothing else.",
            code="key_malformed",
        )
    return key


def fit_for_a_header(key: str) -> bool:
    """Whether `key` can be sent as it is: ASCII that can be seen, and nothing else."""
    return bool(key) and key.isascii() and key.isprintable() and " " not in key


# --- where it may be kept -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """What a place holds: a text, or why there is none."""

    text: str = ""
    lack: str = "is empty"


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    read: Callable[[], _Found]
    is_file: bool = False


def _places(variable: str, file: Path | None, environ: Mapping[str, str]) -> Iterator[_Place]:
    if file:
        yield _Place(f"{file}", lambda: _Found(read_private(file)), is_file=True)
        return
    told = environ.get(variable, "")
    yield _Place(f"${variable}", lambda: _Found(told, "is empty" if told else "is not set"))
    yield _credential(variable, environ.get(CREDENTIALS, ""))
    yield _Place(KEYRING, partial(_in_keyring, variable))


def _credential(variable: str, folder: str) -> _Place:
    """What systemd gives a unit: `LoadCredential=BITSCALE_API_KEY:/path`, encrypted or not."""
    if not folder:
        return _Place(f"${CREDENTIALS}", lambda: _Found(lack="is not set"))
    path = Path(folder, variable)

    def read() -> _Found:
        try:
            path.stat()
        except OSError as error:
            return _Found(lack=f"cannot be read ({error.strerror})")
        # The unit's user may come in by an access list, which shows as rights of the group.
        return _Found(read_private(path, group_may=True))

    return _Place(f"{path}", read, is_file=True)


def _in_keyring(variable: str) -> _Found:
    """A machine without a keyring is no error; it just holds no key."""
    try:
        return _Found(stored_key(variable), f"holds no {variable}")
    except KeyProblem as problem:
        return _Found(lack=f"cannot be asked ({problem.message.rstrip('.')})")


def _found(variable: str, places: Iterator[_Place]) -> tuple[_Place, str]:
    lacks = []
    for place in places:
        found = place.read()
        if found.text.strip():
            return place, checked_key(found.text, place.name)
        lacks.append(f"{place.name} {found.lack}")
    raise KeyProblem(
        f"No API key: {'; '.join(lacks)}.",
        mend=f"Set {variable} in the environment, name a private file with --api-key-file, or keep"
        " the key in the system keyring: enricher key set (--provider NAME where it is not"
        " BitScale's).",
        code="key_missing",
    )


# --- never shown ----------------------------------------------------------------------------


def blackened(value: Json, key: str) -> Json:
    """`value` with `***` in place of `key` in all its texts, names of fields included.

    A key gets about as it is, and as it stands in a URL, in JSON and in the text of an exception.
    """
    if len(key) < _LEAST_KEY:
        return value
    shown = {key, quote(key), quote(key, safe=""), json.dumps(key)[1:-1], repr(key)[1:-1]}
    forms = sorted(shown, key=len, reverse=True)  # some hold others

    def clean(text: str) -> str:
        return reduce(lambda rest, form: rest.replace(form, "***"), forms, text)

    return _mapped(value, clean)


def _mapped(value: Json, change: Callable[[str], str]) -> Json:
    """`value` with `change` made to every text in it."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {change(name): _mapped(item, change) for name, item in value.items()}
    return value
