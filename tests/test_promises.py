"""docs/promises.md keeps up: every test that it names exists, and every option has its line."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from enricher.cli import cli
from tests.test_docs import commands_below

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs/promises.md"

NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
WORDS = re.compile(r"`([^`]+)`")
PROOF = re.compile(r"`[\w/]+\.py::test_\w+`|\bmeasured: `|\bnot tried: ")
PROVEN = "`test_promises.py::test_a_line_that_is_wrong_is_found`"
LONG = re.compile(r"--[a-z][a-z-]*")


def cells_of(page: str) -> Iterator[list[str]]:
    """The cells of every line of a table that promises something."""
    for line in page.splitlines():
        if line.startswith("| ") and not re.match(r"\| (---|(of \| )?promise \|)", line):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def options_told(page: str) -> dict[str, set[str]]:
    """By command, the options of the lines that are of it."""
    told: dict[str, set[str]] = defaultdict(set)
    for first, *others in cells_of(page):
        for command in WORDS.findall(first) if len(others) == 2 else ():
            told[command].update(LONG.findall(others[0]))
    return told


def options_of(command: click.Command) -> set[str]:
    names = (
        name
        for param in command.params
        if isinstance(param, click.Option) and not param.hidden
        for name in param.opts
    )
    return {name for name in names if name.startswith("--")} - {"--help", "--version"}


def without_proof(page: str) -> list[str]:
    return [cells[-2] for cells in cells_of(page) if not PROOF.search(cells[-1])]


def missing_tests(page: str) -> list[str]:
    """Names of tests that there are not."""
    return [
        f"{file}::{name}"
        for file, name in NAMED.findall(page)
        if not (TESTS / file).is_file()
        or not re.search(
            rf"^(async )?def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE
        )
    ]


def test_every_promise_has_a_test_that_exists() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(list(cells_of(page))) > 100
    assert without_proof(page) == []
    assert missing_tests(page) == []


def test_every_option_of_every_command_has_its_line() -> None:
    told = options_told(PAGE.read_text(encoding="utf-8"))
    commands = dict(commands_below(cli, "enricher"))
    found = {name.removeprefix("enricher "): options_of(one) for name, one in commands.items()}
    assert found["run"] >= {"--grid", "--max-runs"}
    missing = [f"{name} {option}" for name in found for option in found[name] - told[name]]
    gone = [f"{name} {option}" for name in told for option in told[name] - found.get(name, set())]
    assert (sorted(missing), sorted(gone)) == ([], [])


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        (f"| `run` | `--limit`: so many | {PROVEN} |", ""),
        ("| `run` | so many | |", "so many"),
        ("| so many | `test_promises.py::test_nothing` |", "test_promises.py::test_nothing"),
        ("| so many | `test_nothing.py::test_it` |", "test_nothing.py::test_it"),
    ],
)
def test_a_line_that_is_wrong_is_found(line, mistake) -> None:
    page = f"| of | promise | tests |\n| --- | --- | --- |\n{line}\n"
    assert [*without_proof(page), *missing_tests(page)] == ([mistake] if mistake else [])
    assert options_told(page)["run"] == ({"--limit"} if "--limit" in line else set())
