"""A batch in a process of its own, and what its log tells."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from enricher.errors import CannotGoOn, EnricherError, TryLater
from enricher.notice import EventName

START_PATIENCE = 20.0
"""Seconds in which a batch tells that it has begun; a long input is counted for longer."""

NOTES = 20
"""Lines of the log that are told."""

_LOOK = 0.1
_TAIL = 1 << 16

_children: list["subprocess.Popen[bytes]"] = []
"""Batches that this process started: each is looked at now and then, or it would stay a zombie."""


def log_of(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.log")


def stop_file_of(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.stop")


async def start(source: str, options: Mapping[str, Any], checkpoint: Path) -> bool:
    """Start a batch; whether it has begun to work already, or still counts its input.

    Raises:
        EnricherError: it could not begin; what its log says.
    """
    child, told = _spawned(source, options, checkpoint)
    loop = asyncio.get_running_loop()
    until = loop.time() + START_PATIENCE
    while loop.time() < until:
        ended = child.poll() is not None
        lines = [line for line in _lines(log_of(checkpoint), told) if line["pid"] == child.pid]
        for line in lines:
            if line["event"] == EventName.ERROR:
                raise _error_of(line)
        if ended or any(line["event"] == EventName.STARTED for line in lines):
            return True
        await asyncio.sleep(_LOOK)
    return False


def _spawned(
    source: str, options: Mapping[str, Any], checkpoint: Path
) -> tuple["subprocess.Popen[bytes]", int]:
    """The process, and where in the log its lines begin."""
    _children[:] = [child for child in _children if child.poll() is None]
    order = {
        "source": source,
        "options": {name: _plain(value) for name, value in options.items()},
        "stop_file": str(stop_file_of(checkpoint)),
    }
    with os.fdopen(_opened(log_of(checkpoint)), "ab") as stream:
        told = stream.tell()
        child = subprocess.Popen(  # a session of its own: it outlives the server
            [sys.executable, "-m", "enricher.mcp.worker"],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    _children.append(child)
    if child.stdin is not None:
        with child.stdin as pipe:
            pipe.write(json.dumps(order).encode())
    return child, told


def ask_to_stop(checkpoint: Path) -> None:
    """Have the batch of `checkpoint` stop at its next look.

    Raises:
        CannotGoOn: the file that asks for it cannot be made.
    """
    path = stop_file_of(checkpoint)
    os.close(_opened(path))
    os.utime(path)


def _opened(path: Path) -> int:
    """A private file of ours to be appended to; a link would lead out of the roots."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CannotGoOn(
            f"{path} cannot be written: {error.strerror}.",
            mend="Name an output in a directory that may be written to.",
        ) from None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def notes_of(checkpoint: Path) -> Sequence[str]:
    """The latest lines of a batch's log, for people."""
    lines = _lines(log_of(checkpoint), None)
    return [f"{line['event']}: {line['text']}" for line in lines][-NOTES:]


def last_error(checkpoint: Path) -> EnricherError | None:
    """What the last process of this checkpoint ended with, if that was an error."""
    lines = _lines(log_of(checkpoint), None)
    return _error_of(lines[-1]) if lines and lines[-1]["event"] == EventName.ERROR else None


def _error_of(line: Mapping[str, Any]) -> EnricherError:
    later = line.get("code") in ("checkpoint_in_use", "server_gone")
    kind = TryLater if later else CannotGoOn
    return kind(line["text"], mend=line.get("mend", ""), code=line.get("code", ""))


def _lines(log: Path, begin: int | None) -> list[dict[str, Any]]:
    """The objects of the log from `begin`, or near its end; what is no object is left out."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL) if begin is None else begin)
            content = stream.read()
    except OSError:
        return []
    lines = []
    for line in content.decode("utf-8", "replace").split("\n")[:-1]:
        if line.startswith("{") and line.endswith("}"):
            lines.append(json.loads(line))
    return lines
