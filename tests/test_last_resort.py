"""What nobody expected, a mistake of ours or a panic of a library, is told like any other error."""

import json
import subprocess
import sys

import pytest

from tests.support.canary import KEY

# `enricher status` in a process of its own, whose command does something unexpected.
BROKEN = """
import sys, types, click
def callback():
    {body}
flag = click.Option(["--json"], is_flag=True, expose_value=False)
command = click.Command("status", callback=callback, params=[flag])
sys.modules["enricher.cli.status"] = types.SimpleNamespace(command=command)
from enricher.cli import main
main(["status", "--json"])
"""
PANIC = "import polars as pl; raise pl.exceptions.PanicException('index out of bounds')"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (
            "raise ZeroDivisionError('no such\\x1b[2J number')",
            "ZeroDivisionError: no such�[2J number",
        ),
        ("assert False", "AssertionError (at "),
        ("raise MemoryError", "MemoryError (at "),
        (PANIC, "PanicException: index out of bounds"),
    ],
)
def test_what_nobody_expected_is_an_error_with_its_place_and_a_mend(body: str, named: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN.format(body=body)],
        capture_output=True,
        text=True,
        env={"BITSCALE_API_KEY": KEY, "PYTHONUTF8": "1"},
        check=False,
    )
    error, mend = done.stderr.splitlines()
    assert error.startswith("Error: enricher broke, which is a mistake in enricher: ")
    assert named in error
    assert "<string>:4" in error
    assert "the same command goes on" in mend
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"], told["error"]["code"]) == (1, 1, "bug")
