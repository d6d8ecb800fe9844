"""How a command ended, told to people and to programs: a summary, an error, a signal."""

import signal
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from enricher.cli.programs import (
    check_summary_file,
    programs_listen,
    summary_file_of,
    tell_programs,
)
from enricher.cli.telling import complain, say
from enricher.cli.voice import voice
from enricher.errors import EnricherError, OutputError
from enricher.notice import EventName

if TYPE_CHECKING:
    from enricher.api import Summary

_LAST_CALLS = 4
"""So many tell where a mistake is."""


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
    complain(error)
    if programs_listen(arguments):
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
    if programs_listen(arguments):
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


def _try_programs(summary: "Summary", arguments: Sequence[str]) -> None:
    """Tell programs, and a person if that cannot be done: there is an error to tell already."""
    try:
        check_summary_file(summary_file_of(arguments))
        _to_programs(summary, voice.programs, summary_file_of(arguments))
    except OutputError as error:
        complain(error)
        _to_programs(summary, voice.programs, None)


def _to_programs(summary: "Summary", as_json: bool, summary_file: Path | None) -> None:
    tell_programs(summary.to_json(), as_json, summary_file)
