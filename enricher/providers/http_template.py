"""Two small languages of the provider `http`: where something is in JSON, and JSON with gaps. Pure.

Neither can do more than it says: a place is a list of names, a template a text with `{label}`.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from enricher.model import Json

_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")


class Missing(enum.Enum):
    """What is at a place that is not there; null is there."""

    MISSING = "nothing"


MISSING = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: fields and, in lists, numbers from 0, `data.items.0.id`; `.` for all."""

    steps: tuple[str, ...]

    @classmethod
    def parsed(cls, text: str) -> "Place":
        """Raises `ValueError` if `text` is no place."""
        steps = () if text == "." else tuple(text.split("."))
        if not all(steps):
            raise ValueError(f"{text!r} is no place such as data.result.id, or . for all")
        return cls(steps)

    def of(self, value: Json) -> Json:
        """What is there, or `MISSING`."""
        for step in self.steps:
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
                value = value[int(step)]
            else:
                return MISSING
        return value

    def __str__(self) -> str:
        return ".".join(self.steps) or "."


def labels_in(template: Json) -> tuple[str, ...]:
    """The labels of a template's texts, each once, by first appearance.

    Raises:
        ValueError: a brace stands alone.
    """
    return tuple(dict.fromkeys(label for text in _texts(template) for label in _labels(text)))


def filled(template: Json, inputs: Mapping[str, str]) -> Json:
    """`template` with the text of its input in place of each `{label}`, whatever that text is."""
    if isinstance(template, str):
        return _PIECE.sub(lambda piece: _put(piece, inputs), template)
    if isinstance(template, list):
        return [filled(item, inputs) for item in template]
    if isinstance(template, dict):
        return {name: filled(item, inputs) for name, item in template.items()}
    return template


def _put(piece: re.Match[str], inputs: Mapping[str, str]) -> str:
    return piece[0][0] if piece[1] is None else inputs.get(piece[1], "")


def _texts(template: Json) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, list | dict):
        for item in template.values() if isinstance(template, dict) else template:
            yield from _texts(item)


def _labels(text: str) -> Iterator[str]:
    for piece in _PIECE.finditer(text):
        if piece[0] in "{}":
            raise ValueError(f"{text!r} has a lone brace; {{{{ and }}}} stand for braces")
        if piece[1] is not None:
            yield piece[1]
