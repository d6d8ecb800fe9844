"""The API key: from the environment or a private file, checked when loaded, never shown."""

import json
import os
import stat
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from urllib.parse import quote

from enricher.errors import KeyProblem
from enricher.model import Json

_LARGEST_FILE = 1 << 16
"""Bytes; a larger file is no key file."""

_LEAST_KEY = 8
"""A key of so many characters is blackened where the server's words repeat it."""


class ApiKey:
    """A key that can be loaded again when the server stops taking it.

    Raises:
        KeyProblem: no key, not the form of a key, or a file that others can read.
    """

    def __init__(self, variable: str, file: Path | None, environ: Mapping[str, str]) -> None:
        self._variable = variable
        self._file = file
        self._environ = environ
        self._value = self._load()

    @property
    def value(self) -> str:
        return self._value

    def reload(self) -> bool:
        """Read the key file again; whether it holds another key now.

        An unreadable file is no other key: the server's refusal is what a person must hear of.
        """
        if self._file is None:
            return False
        try:
            fresh = self._load()
        except KeyProblem:
            return False
        changed, self._value = fresh != self._value, fresh
        return changed

    def __repr__(self) -> str:
        return f"ApiKey(from {self._origin})"

    @property
    def _origin(self) -> str:
        return f"{self._file}" if self._file else f"${self._variable}"

    def _load(self) -> str:
        text = _read_private(self._file) if self._file else self._environ.get(self._variable, "")
        key = text.strip()
        if not key:
            raise KeyProblem(
                f"No API key: {self._origin} is empty or not set.",
                mend=f"Set {self._variable} in the environment, or name a private file with"
                " --api-key-file.",
                code="key_missing",
            )
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise KeyProblem(
                f"The API key in {self._origin} has spaces, line ends or characters that no key"
                " has.",
                mend="Copy it again from the workspace's settings, one line and nothing else.",
                code="key_malformed",
            )
        return key


def _read_private(path: Path) -> str:
    try:
        with path.open("rb") as file:  # the very file that is read is asked who may read it
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LARGEST_FILE).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not text"
        raise KeyProblem(
            f"The key file {path} cannot be read: {cause}.",
            mend="Name a text file that holds the key and nothing else.",
            code="key_missing",
        ) from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise KeyProblem(
            f"The key file {path} can be read by other users (mode {stat.S_IMODE(mode):04o}).",
            mend=f"Run: chmod 600 {path}",
            code="key_not_private",
        )
    return text


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
