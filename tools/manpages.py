"""Manual pages from the tree of commands: `python -m tools.manpages man` writes `man/enricher*.1`.

click-man does the same for plain click; it knows no options under headings, and no examples.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from enricher.cli.tree import cli

EXIT_STATUS = {
    "0": "Finished; every row is completed or skipped, or --allow-failures covers the rest.",
    "1": "Could not start or go on; nothing is lost, and the message says what to do.",
    "2": "Wrong usage.",
    "3": "Finished; some rows failed or are in doubt.",
    "4": "Stopped, resumable; the same command later is enough.",
    "5": "Stopped, resumable; a person must act first.",
    "129, 130, 143": "Stopped by SIGHUP, SIGINT or SIGTERM after saving; resumable.",
}

TOP = click.Context(cli, info_name="enricher", **cli.context_settings)


def pages() -> Iterator[tuple[str, str]]:
    """The name of each page's file, and its text."""
    for context in contexts(TOP):
        yield f"{_name(context)}.1", "\n".join(_page(context)) + "\n"


def contexts(context: click.Context) -> Iterator[click.Context]:
    """`context`, and those of all commands below it."""
    yield context
    for _, command in _commands(context):
        below = click.Context(command, parent=context, info_name=command.name)
        yield from contexts(below)


def _commands(context: click.Context) -> list[tuple[str, click.Command]]:
    group = context.command
    if not isinstance(group, click.Group):
        return []
    found = ((name, group.get_command(context, name)) for name in group.list_commands(context))
    return [(name, command) for name, command in found if command and not command.hidden]


def _name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _page(context: click.Context) -> Iterator[str]:
    name, command = _name(context), context.command
    # groff 1.23 and newer take it from these at every heading, older ones from .nh and .ad below.
    yield from (".nr HY 0", ".ds AD l")
    yield f'.TH "{name.upper()}" "1" "" "enricher {version("enricher")}" "enricher"'
    yield from (".SH NAME", f"{_plain(name)} \\- {_plain(_in_short(command))}")
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", f"\\fB{_plain(context.command_path)}\\fR {_plain(pieces)}")
    yield from (".nh", ".ad l", ".SH DESCRIPTION")
    yield from _description(command.help or "")
    if commands := _commands(context):
        yield ".SH COMMANDS"
        for below, its in commands:
            yield from _item(below, _in_short(its))
    yield ".SH OPTIONS"
    yield from _options(context)
    if context.parent is None:
        yield ".SH EXIT STATUS"
        for code, meaning in EXIT_STATUS.items():
            yield from _item(code, meaning)
    if others := [context.parent] if context.parent else []:
        yield from (".SH SEE ALSO", ", ".join(f"\\fB{_plain(_name(o))}\\fR(1)" for o in others))


def _in_short(command: click.Command) -> str:
    return command.get_short_help_str(limit=200).rstrip(".")


def _description(text: str) -> Iterator[str]:
    """Paragraphs, and what stands after a `\\b` as it stands: click's own mark."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if paragraph.lstrip().startswith("\b"):
            lines = paragraph.lstrip().removeprefix("\b").strip("\n").splitlines()
            yield from (".PP", ".nf", *(_plain(line) for line in lines), ".fi")
        else:
            yield from (*([".PP"] if number else []), _plain(" ".join(paragraph.split())))


def _options(context: click.Context) -> Iterator[str]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in context.command.get_params(context):
        record = param.get_help_record(context) if isinstance(param, click.Option) else None
        if record is not None:
            groups.setdefault(getattr(param, "group", ""), []).append(record)
    for heading, records in sorted(groups.items(), key=lambda group: not group[0]):
        yield f'.SS "{heading or "General"}"'
        for names, text in records:
            yield from _item(names, text)


def _item(names: str, text: str) -> tuple[str, ...]:
    return ".TP", f"\\fB{_plain(names)}\\fR", _plain(" ".join(text.split()))


def _plain(text: str) -> str:
    """Text that roff shows as it is: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    folder = Path(sys.argv[1] if sys.argv[1:] else "man")
    folder.mkdir(parents=True, exist_ok=True)
    for file, page in pages():
        (folder / file).write_text(page, encoding="utf-8")
