"""What a workbook's file says of a sheet and its reader does not: errors, and formulas without a
result.

Both come out of the reader as empty cells. Most sheets have neither, which a look at the bytes
shows; only the others are parsed.
"""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import join, normpath
from typing import Any
from xml.parsers import expat

_BLOCK = 1 << 20
_MARKS = (b"<f>", b"<f ", b"<f/", b":f>", b":f ", b'"e"', b"'e'")
_WORKBOOK = "xl/workbook.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"

Place = tuple[int, int]
"""Row and column of a cell, both from 0."""


@dataclass(slots=True)
class Oddities:
    """Cells that hold no value of their own.

    `errors` have the text that a spreadsheet shows (`#N/A`); `unsolved` is the first formula
    whose result was never stored.
    """

    errors: dict[Place, str] = field(default_factory=dict)
    unsolved: Place | None = None


def oddities_of(path: Path, sheet: str) -> Oddities:
    """Look through the sheet of that name.

    Raises:
        zipfile.BadZipFile, KeyError, expat.ExpatError: the file is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        part = _part_of(archive, sheet)
        if not _is_marked(archive, part):
            return Oddities()
        cells = _Cells()
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = cells.start
        parser.EndElementHandler = cells.end
        parser.CharacterDataHandler = cells.text
        with archive.open(part) as file:
            parser.ParseFile(file)
        return cells.found


def name_of(place: Place) -> str:
    """`(4, 1)` is `B5`."""
    row, column = place
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row + 1}"


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """The name of the sheet's file in the archive."""
    identities = {
        attributes["name"]: _identity(attributes)
        for tag, attributes in _elements(archive, _WORKBOOK)
        if tag == "sheet"
    }
    targets = {
        attributes["Id"]: attributes["Target"]
        for tag, attributes in _elements(archive, _RELATIONS)
        if tag == "Relationship"
    }
    return normpath(join("/xl", targets[identities[sheet]])).lstrip("/")


def _identity(attributes: Mapping[str, str]) -> str:
    """`r:id`, whose namespace is another one in strict workbooks."""
    return next((value for name, value in attributes.items() if name.endswith(" id")), "")


def _elements(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    found: list[tuple[str, Mapping[str, str]]] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = lambda tag, attributes: found.append(
        (tag.rpartition(" ")[2], attributes)
    )
    parser.Parse(archive.read(part), True)
    return iter(found)


def _is_marked(archive: zipfile.ZipFile, part: str) -> bool:
    """Whether the sheet may hold a formula or an error."""
    before = b""
    with archive.open(part) as file:
        while block := file.read(_BLOCK):
            seen = before + block
            if any(mark in seen for mark in _MARKS):
                return True
            before = block[-4:]
    return False


class _Cells:
    """Takes the events of a sheet's XML; a cell without a reference stands after the one before."""

    def __init__(self) -> None:
        self.found = Oddities()
        self._row = self._column = -1
        self._kind = ""
        self._has_formula = False
        self._value: str | None = None
        self._is_value = False

    def start(self, tag: str, attributes: Any) -> None:
        match tag.rpartition(" ")[2]:
            case "row":
                self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
                self._column = -1
            case "c":
                reference = attributes.get("r")
                self._column = _column_of(reference) if reference else self._column + 1
                self._kind = attributes.get("t", "")
                self._has_formula, self._value = False, None
            case "f":
                self._has_formula = True
            case "v":
                self._is_value, self._value = True, ""

    def text(self, text: str) -> None:
        if self._is_value:
            self._value = (self._value or "") + text

    def end(self, tag: str) -> None:
        match tag.rpartition(" ")[2]:
            case "v":
                self._is_value = False
            case "c" if self._kind == "e":
                self.found.errors[self._row, self._column] = self._value or "#N/A"
            case "c" if self._has_formula and not self._value and self._kind != "str":
                self.found.unsolved = self.found.unsolved or (self._row, self._column)


def _column_of(reference: str) -> int:
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = number * 26 + ord(letter.upper()) - ord("A") + 1
    return number - 1
