"""A terminal with somebody who waits for a question and types an answer."""

import os
import select
import signal
import subprocess
from collections.abc import Mapping

from tests.acceptance.desk import PATIENCE, PROGRAM, Desk

QUESTION, CTRL_C = b"[y/N] ", "\x03"


def at_terminal(
    desk: Desk, prompt: bytes, typed: str, *words: str, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Do a command, and type once it has shown `prompt`; its code, and all that was shown."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=desk.folder,
        env={**desk.env, "TERM": "dumb", "COLUMNS": "200", **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = _read_until(ours, prompt)
        if typed == CTRL_C:  # nobody's terminal: it makes no signal of the key
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, typed.encode())
        shown += _read_until(ours, None)
        return process.wait(PATIENCE), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(terminal: int, end: bytes | None) -> bytes:
    """What is shown up to `end`, or to the end of it all."""
    shown = b""
    while end is None or not shown.endswith(end):
        assert select.select([terminal], [], [], PATIENCE)[0], f"nothing more came after {shown!r}"
        try:
            more = os.read(terminal, 1000)
        except OSError:  # the other side is closed
            return shown
        if not more:
            return shown
        shown += more
    return shown
