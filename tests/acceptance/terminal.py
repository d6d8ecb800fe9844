"""The program on a pseudo-terminal, as a person has it in front of them."""

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping

from tests.acceptance.desk import PROGRAM, Desk, until

ON_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A command that has a pseudo-terminal for everything; `shown` is what it wrote there."""

    def __init__(
        self, desk: Desk, *words: object, columns: int = 100, env: Mapping[str, str] | None = None
    ) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *PROGRAM, *map(str, words)],
            cwd=desk.folder,
            env={**desk.env, "TERM": "xterm-256color", **(env or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def until(self, words: str) -> None:
        until(lambda: words in self._read(), f"{words!r} on the terminal")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def end(self) -> int:
        """Its exit code, after everything that it shows was read."""
        until(lambda: self._read() and self.process.poll() is not None, "its end")
        self._read()
        return self.process.wait()

    @property
    def lines(self) -> list[str]:
        """What was drawn, frame after frame, without colours and movements."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown)
        return [line for line in re.split(r"[\r\n]+", text) if line]

    def _read(self) -> str:
        try:
            while select.select([self._master], [], [], 0)[0]:
                self.shown += os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # nobody holds the other end any more
            pass
        return self.shown
