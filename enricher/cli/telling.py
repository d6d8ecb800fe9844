"""What is told: lines for people on standard error, one JSON object on standard output."""

import errno
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from enricher.cli.voice import voice
from enricher.errors import EnricherError, OutputError
from enricher.harmless import is_harmless, printable, printable_lines
from enricher.notice import EventName, event_of

if TYPE_CHECKING:
    from enricher.api import Summary


_SUMMARY_BEGINS = b'{"schema"'
_LAST_CALLS = 4
"""So many tell where a mistake is."""
_UNUSUAL = re.compile(r"[^ -~]")


class Listener:
    """A standard stream that nobody may listen to any more.

    A reader that has left or a terminal that was closed stops no job and changes no exit code:
    from then on what is written goes nowhere. Only what was asked for (standard output) must not
    be lost to a full disk.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._heard():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._heard():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is in the buffer must go somewhere, or the interpreter fails when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self._stream is sys.stdout and error.errno not in (errno.EPIPE, errno.EIO):
                raise OutputError(
                    f"Standard output cannot be written: {error.strerror}.",
                    mend="Send it to another place.",
                ) from None


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


def _log(text: str, event: EventName, level: str, facts: dict[str, Any]) -> None:
    """One object of the log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    record = {"time": stamp, "level": level, "event": str(event), "message": text, **facts}
    click.echo(one_line(record), file=people())


def _coloured(text: str, colour: str) -> None:
    click.echo(click.style(text, fg=colour) if voice.colour else text, file=people())


def tell(text: str) -> None:
    """What was asked for: it goes to standard output."""
    click.echo(printable_lines(text), file=cast(TextIO, Listener(sys.stdout)))


def people() -> TextIO:
    """Standard error, where everything that people are told besides goes."""
    return cast(TextIO, Listener(sys.stderr))


def tell_summary(summary: "Summary", *, as_json: bool, summary_file: Path | None) -> int:
    """Show how a job ended, and return its exit code."""
    from enricher.api import summary_lines

    _to_programs(summary, as_json, summary_file)
    code = summary.exit_code or 0
    if voice.as_json:
        told = {"outcome": str(summary.outcome), "exit_code": code}
        say(summary_lines(summary)[0], EventName.ENDED, **told, summary=summary.to_json())
    elif code or not voice.quiet:
        for line in summary_lines(summary):
            say(line)
    return code


def tell_error(error: EnricherError, arguments: Sequence[str]) -> int:
    """Show an error to a person, and to a program if the command line asks for JSON."""
    _say_error(error)
    if _programs_listen(arguments):
        from enricher import api

        told = api.ErrorTold(error.code, error.message)
        outcome, known = api.JobOutcome.ERROR, {**voice.known, **error.known}
        if "rows" not in known and "job" in known and "checkpoint" in known:
            known["rows"] = api.rows_saved(Path(known["checkpoint"]), known["job"])
        summary = api.Summary(outcome=outcome, exit_code=error.exit_code, error=told, **known)
        _try_programs(summary, arguments)
    return error.exit_code


def bug_of(error: BaseException) -> EnricherError:
    """A mistake of ours, as a person can act on it and report it."""
    calls = traceback.extract_tb(error.__traceback__)[-_LAST_CALLS:]
    places = [f"{Path(*Path(call.filename).parts[-2:])}:{call.lineno}" for call in calls]
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    return EnricherError(
        f"enricher broke, which is a mistake in enricher: {what} (at {' > '.join(places)})",
        mend="Nothing that was acknowledged is lost, and the same command goes on. Please report"
        " the line above.",
        code="bug",
    )


def tell_stop(signum: int, arguments: Sequence[str]) -> int:
    """Show that a signal ended the program before there was a job to stop."""
    say("Stopped.")
    code = 128 + signum
    if _programs_listen(arguments):
        # Not by way of `api`: the signal may have come in the middle of importing it.
        from enricher.report.summary import JobOutcome, Summary

        reason = f"stopped by {signal_name(signum)}"
        summary = Summary(
            outcome=JobOutcome.STOPPED,
            exit_code=code,
            reason_code="signal",
            reason=reason,
            **voice.known,
        )
        _try_programs(summary, arguments)
    return code


def signal_name(signum: int) -> str:
    """`Ctrl-C`, `SIGTERM` …"""
    return "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name


def check_summary_file(path: Path | None) -> None:
    """Make sure, before money is spent, that the summary can be written to `path`.

    Raises:
        OutputError: it cannot, or a file that is no summary would be lost.
    """
    if path is None or path.is_fifo() or path.is_char_device():
        return
    try:
        with path.open("ab+") as file:
            file.seek(0)
            found = file.read(len(_SUMMARY_BEGINS))
    except OSError as error:
        raise _no_summary(path, error) from None
    if found and found != _SUMMARY_BEGINS:
        raise OutputError(
            f"{path} exists and is no summary: it is not replaced.",
            mend="Name another file with --summary-file.",
            code="summary_exists",
        )


def _say_error(error: EnricherError) -> None:
    if voice.as_json:
        _log(error.message, EventName.ERROR, "error", {"code": error.code, "mend": error.mend})
        return
    _coloured(f"Error: {printable_lines(error.message)}", "red")
    if error.mend:
        say(error.mend)


def _programs_listen(arguments: Sequence[str]) -> bool:
    return voice.programs or _summary_file(arguments) is not None


def _try_programs(summary: "Summary", arguments: Sequence[str]) -> None:
    """Tell programs, and a person if that cannot be done: there is an error to tell already."""
    try:
        check_summary_file(_summary_file(arguments))
        _to_programs(summary, voice.programs, _summary_file(arguments))
    except OutputError as error:
        _say_error(error)
        _to_programs(summary, voice.programs, None)


def _to_programs(summary: "Summary", as_json: bool, summary_file: Path | None) -> None:
    tell_programs(summary.to_json(), as_json, summary_file)


def tell_programs(data: Any, as_json: bool, summary_file: Path | None) -> None:
    """The one object, to where it is wanted."""
    text = one_line(data)
    if summary_file is not None:  # first: it may fail, and there is one object to tell
        try:
            summary_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise _no_summary(summary_file, error) from None
    if as_json:
        tell(text)


def _no_summary(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The summary cannot be written to {path}: {error.strerror}.",
        mend="Name a writable file with --summary-file.",
    )


def one_line(data: Any) -> str:
    """`data` as JSON that does no harm on a terminal either: such characters are escaped."""
    text = json.dumps(data, ensure_ascii=False)
    return text if text.isprintable() else _UNUSUAL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """A character as JSON escapes it (RFC 8259, section 7); it can only stand inside a string."""
    character = found[0]
    return character if is_harmless(character) else json.dumps(character)[1:-1]


def _summary_file(arguments: Sequence[str]) -> Path | None:
    """The file that `--summary-file` names, also on a command line that does not parse."""
    if voice.summary_file is not None:
        return voice.summary_file
    for option, value in zip(arguments, [*arguments[1:], ""], strict=False):
        if option == "--summary-file" and value:
            return Path(value)
        if option.startswith("--summary-file="):
            return Path(option.partition("=")[2])
    return None


def is_terminal() -> bool:
    return sys.stderr.isatty()
