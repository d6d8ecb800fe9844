"""What people are told: lines on standard error, or objects of the log."""

import time
from typing import Any

import click

from enricher.cli.programs import one_line
from enricher.cli.streams import asked_for, people
from enricher.cli.voice import voice
from enricher.errors import EnricherError
from enricher.harmless import printable, printable_lines
from enricher.notice import EventName, event_of


def say(line: str, event: EventName = EventName.NOTE, **facts: Any) -> None:
    """One line for a person, or several of ours; `facts` are for programs that read the log."""
    if voice.as_json:
        _log(line, event, "info", facts)
    else:
        click.echo(voice.stamped(printable_lines(line)), file=people())


def warn(line: str) -> None:
    """Something that a person should know, and need not act on now."""
    if voice.quiet:
        return
    if voice.as_json:
        _log(line, event_of(line), "warning", {})
    else:
        _coloured(voice.stamped(f"Note: {printable(line)}"), "yellow")


def detail(line: str) -> None:
    """Something for who wants to know everything."""
    if not voice.verbose:
        return
    if voice.as_json:
        _log(line, event_of(line), "info", {})
    else:
        click.echo(voice.stamped(printable(line)), file=people())


def complain(error: EnricherError) -> None:
    """An error, and its mend."""
    if voice.as_json:
        _log(error.message, EventName.ERROR, "error", {"code": error.code, "mend": error.mend})
        return
    _coloured(f"Error: {printable_lines(error.message)}", "red")
    if error.mend:
        say(error.mend)


def _log(text: str, event: EventName, level: str, facts: dict[str, Any]) -> None:
    """One object of the log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = {"time": stamp, "level": level, "event": str(event), "message": text, **facts}
    click.echo(one_line(record), file=people())


def _coloured(text: str, colour: str) -> None:
    click.echo(click.style(text, fg=colour) if voice.colour else text, file=people())


def tell(text: str) -> None:
    """What was asked for: it goes to standard output."""
    click.echo(printable_lines(text), file=asked_for())
