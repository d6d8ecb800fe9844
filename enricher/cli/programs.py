"""The one JSON object that programs get: on standard output, and in `--summary-file`."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from enricher.cli.streams import asked_for
from enricher.cli.voice import voice
from enricher.errors import OutputError
from enricher.harmless import is_harmless

_SUMMARY_BEGINS = b'{"schema"'
_UNUSUAL = re.compile(r"[^ -~]")


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


def tell_programs(data: Any, as_json: bool, summary_file: Path | None) -> None:
    """The one object, to where it is wanted."""
    text = one_line(data)
    if summary_file is not None:  # first: it may fail, and there is one object to tell
        try:
            summary_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise _no_summary(summary_file, error) from None
    if as_json:
        click.echo(text, file=asked_for())


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


def summary_file_of(arguments: Sequence[str]) -> Path | None:
    """The file that `--summary-file` names, also on a command line that does not parse."""
    if voice.summary_file is not None:
        return voice.summary_file
    for option, value in zip(arguments, [*arguments[1:], ""], strict=False):
        if option == "--summary-file" and value:
            return Path(value)
        if option.startswith("--summary-file="):
            return Path(option.partition("=")[2])
    return None


def programs_listen(arguments: Sequence[str]) -> bool:
    return voice.programs or summary_file_of(arguments) is not None
