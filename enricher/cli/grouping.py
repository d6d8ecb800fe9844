"""How options are declared, and `--help` in groups: the everyday ones first."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Pair(click.ParamType[Any]):
    """`LABEL=…`: the text before the first `=`, and the one after it."""

    name = "pair"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        label, separator, text = str(value).partition("=")
        if not separator or not label:
            self.fail(f"{value!r} is not of the form LABEL=…", param, ctx)
        return label, text


class Parsed(click.ParamType[Any]):
    """A value whose form is known to `enricher.job`, which is imported only when one is given."""

    def __init__(self, name: str, parser: str) -> None:
        self.name = name
        self._parser = parser

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        from enricher import api

        try:
            return getattr(api, self._parser)(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Grouped(click.Option):
    """An option that stands under a heading of its own in `--help`."""

    def __init__(self, *args: Any, group: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(click.Command):
    """Shows its options under their headings, in the order in which they first appear."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                heading = getattr(param, "group", "") or "Options"
                groups.setdefault(heading, []).append(record)
        general = groups.pop("Options", [])
        for heading, records in [*groups.items(), ("Options", general)]:
            with formatter.section(heading):
                formatter.write_dl(records, col_max=34)


WHAT, ROWS = "What and where", "Rows and mapping"
PACE, MONEY = "Pace", "Money and stops"
AGAIN, TELLING = "Again and again", "Telling"


def option(*names: str, group: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=Grouped, group=group, **settings)


def together(options: Sequence[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """One decorator of several, in the order in which `--help` shows them."""

    def decorate(command: Command) -> Command:
        for add in reversed(options):
            command = add(command)
        return command

    return decorate
