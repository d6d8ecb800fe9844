"""Objects of an API, drawn for people: sections, and tables where they fit the terminal.

Every field that an answer holds is shown, in its order, so that one that no document names is not
lost. Whatever stands in it is foreign text, and is made harmless.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from enricher.harmless import printable

USUAL_WIDTH, LEAST_WIDTH, TOO_NARROW = 100, 30, 12
"""Columns where there is no terminal; the fewest that are used; those in which no section fits."""

INDENT = 2
NOTHING = "–"
TITLES = ("name", "display_name")
"""Fields that head what they stand in, where it is one of several."""

AS_THEY_ARE = frozenset({"inputs", "headers"})
"""Objects whose names are data: they are shown to the letter."""


def drawn(data: Mapping[str, Any], width: int | None = None) -> str:
    """The lines of `data`, for a terminal of `width` columns, or for this one."""
    wide = max(LEAST_WIDTH, width or shutil.get_terminal_size((USUAL_WIDTH, 24)).columns)
    console = Console(width=wide, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(Group(*_object(data, wide)))
    return "\n".join(line.rstrip() for line in capture.get().strip("\n").split("\n"))


def _object(
    data: Mapping[str, Any], width: int, verbatim: bool = False, hidden: Sequence[str] = ()
) -> Iterator[RenderableType]:
    """Its plain fields as pairs, then each field with fields of its own as a section."""
    plain = {name: value for name, value in data.items() if not _is_nested(value)}
    rows = [(_name(n, verbatim), _text(v)) for n, v in plain.items() if n not in hidden]
    if rows:
        yield _pairs(rows, width)
    for name, value in data.items():
        if _is_nested(value):
            yield Text()
            yield Text(_name(name, verbatim), style="bold")
            yield Padding(Group(*_section(name, value, width - INDENT)), (0, 0, 0, INDENT))


def _section(name: str, value: Any, width: int) -> Iterator[RenderableType]:
    if width < TOO_NARROW:  # too deep to draw
        yield Text(_text(value), overflow="fold")
    elif isinstance(value, Mapping):
        yield from _object(value, width, verbatim=name in AS_THEY_ARE)
    elif (table := _table(value)) and _width(table) <= width:
        yield _drawn_table(table)
    else:
        yield from _cards(value, width)


def _cards(items: Sequence[Mapping[str, Any]], width: int) -> Iterator[RenderableType]:
    """One under the other, each under its name."""
    for number, item in enumerate(items):
        title = next((field for field in TITLES if isinstance(item.get(field), str)), None)
        if number:
            yield Text()
        if title is None:
            yield from _object(item, width)
        else:
            yield Text(_text(item[title]), style="bold", overflow="fold")
            inside = Group(*_object(item, width - INDENT, hidden=[title]))
            yield Padding(inside, (0, 0, 0, INDENT))


def _table(items: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The header and the rows, if every field of every item is a plain one; else nothing."""
    if any(_is_nested(value) for item in items for value in item.values()):
        return []
    names = list(dict.fromkeys(name for item in items for name in item))
    rows = [[_text(item.get(name)) for name in names] for item in items]
    return [[_name(name) for name in names], *rows]


def _width(table: Sequence[Sequence[str]]) -> int:
    """Columns that it takes, no line of a cell folded."""
    columns = zip(*table, strict=True)
    widths = [max(cell_len(line) for cell in c for line in cell.split("\n")) for c in columns]
    return sum(widths) + (INDENT + 1) * len(widths)


def _drawn_table(lines: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, INDENT, 0, 0), pad_edge=False, show_edge=False)
    for name in lines[0]:
        table.add_column(Text(name))
    for row in lines[1:]:
        table.add_row(*map(Text, row))
    return table


def _pairs(rows: Sequence[tuple[str, str]], width: int) -> Table:
    table = Table.grid(padding=(0, INDENT, 0, 0))
    table.add_column(overflow="fold", max_width=width // 2)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    return table


def _is_nested(value: Any) -> bool:
    """Whether it has fields of its own: an object, or a list of some."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) and item for item in value)
    return isinstance(value, dict) and bool(value)


def _name(name: str, verbatim: bool = False) -> str:
    return printable(name if verbatim else name.replace("_", " "))


def _text(value: Any) -> str:
    match value:
        case None | "" | [] | {}:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.2f}" if round(value, 2) == value else repr(value)
        case str():
            return printable(value)
        case list() if not any(isinstance(item, list | dict) for item in value):
            return "\n".join(map(_text, value))
        case _:
            return printable(repr(value))
