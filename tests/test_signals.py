"""Stop signals are heard from the first moment to the last."""

import signal
import subprocess
import sys

import pytest

# Ends the program with 0 if the handlers stand when the first library is looked for.
AT_THE_FIRST_IMPORT = """
import importlib.abc, signal, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {"click", "polars", "pydantic", "httpx2"}:
            handlers = [signal.getsignal(number) for number in NUMBERS]
            sys.exit(0 if all(callable(handler) for handler in handlers) else 1)

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
for number in NUMBERS:
    signal.signal(number, signal.SIG_DFL)
sys.meta_path.insert(0, Watch())
import enricher.cli
sys.exit(2)
"""

# Sends itself a signal when the interpreter ends: the outcome is told by then.
AT_THE_END = """
import os, sys

class Last:
    def __del__(self, kill=os.kill, me=os.getpid()): kill(me, {number})

sys.modules["last"] = Last()
from enricher.cli import cli
sys.exit(cli.main(["--version"], standalone_mode=False) or 3)
"""


def code_of(program: str) -> int:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    return done.returncode


def test_the_handlers_stand_before_the_heavy_imports() -> None:
    assert code_of(AT_THE_FIRST_IMPORT) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_the_last_word_changes_no_code(number: signal.Signals) -> None:
    assert code_of(AT_THE_END.format(number=int(number))) == 3
