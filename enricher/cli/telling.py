"""What is told: lines for people on standard error, one JSON object on standard output."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enricher.errors import EnricherError, OutputError

if TYPE_CHECKING:
    from enricher.api import Summary


def say(line: str) -> None:
    """One line for a person."""
    click.echo(line, err=True)


def warn(line: str) -> None:
    click.secho(f"Note: {line}", err=True, fg="yellow")


def tell_summary(summary: "Summary", *, as_json: bool, summary_file: Path | None) -> int:
    """Show how a job ended, and return its exit code."""
    from enricher.api import summary_lines

    _to_programs(summary, as_json, summary_file)
    for line in summary_lines(summary):
        say(line)
    return summary.exit_code or 0


def tell_error(error: EnricherError, arguments: Sequence[str]) -> int:
    """Show an error to a person, and to a program if the command line asks for JSON."""
    click.secho(f"Error: {error.message}", err=True, fg="red")
    if error.mend:
        say(error.mend)
    as_json, summary_file = "--json" in arguments, _summary_file(arguments)
    if as_json or summary_file:
        from enricher.api import ErrorTold, JobOutcome, Summary

        told = Summary(
            outcome=JobOutcome.ERROR,
            exit_code=error.exit_code,
            error=ErrorTold(error.code, error.message),
        )
        _to_programs(told, as_json, summary_file)
    return error.exit_code


def _to_programs(summary: "Summary", as_json: bool, summary_file: Path | None) -> None:
    text = one_line(summary.to_json())
    if as_json:
        click.echo(text)
    if summary_file is not None:
        try:
            summary_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"The summary could not be written to {summary_file}: {error.strerror}.",
                mend="Name a writable file with --summary-file.",
            ) from None


def one_line(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


def _summary_file(arguments: Sequence[str]) -> Path | None:
    """The file that `--summary-file` names, also on a command line that does not parse."""
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if option == "--summary-file" and value:
            return Path(value)
        if option.startswith("--summary-file="):
            return Path(option.partition("=")[2])
    return None


def is_terminal() -> bool:
    return sys.stderr.isatty()
