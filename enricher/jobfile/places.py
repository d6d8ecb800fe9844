"""Which line of a TOML file a key stands in; the standard library's parser does not tell."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

Path = tuple[str, ...]


def places(text: str) -> dict[Path, int]:
    """The line, from 1, of every key's statement or table header.

    The file is parsed line by line longer: a key that comes to light with the statement that ends
    in a line stands where that statement begins. So the parser itself decides what is a key.
    """
    lines = text.split("\n")
    found: dict[Path, int] = {}
    begins = 1
    for number in range(1, len(lines) + 1):
        try:
            data = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a value
        for path in _paths(data):
            found.setdefault(path, begins)
        begins = number + 1
    return found


def _paths(data: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, value in data.items():
        yield (*above, key)
        if isinstance(value, list):
            tables = ((str(n), one) for n, one in enumerate(value) if isinstance(one, dict))
            value = dict(tables)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))


def syntax_error(error: tomllib.TOMLDecodeError, text: str) -> tuple[int, int, str]:
    """Line, column and cause; nothing of the file's text, which may hold a secret by mistake."""
    words = str(error)
    found = _AT.search(words)
    if found is None or found[1] is None:
        lines = text.split("\n")
        return len(lines), len(lines[-1]) + 1, _AT.sub("", words)
    return int(found[1]), int(found[2]), _AT.sub("", words)
