"""docs/troubleshooting.md has every code that enricher can say, with a cause and a mend."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from enricher import errors
from enricher.model import StopCode

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/troubleshooting.md"
SHOUTED = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")

NO_CODES = re.compile(
    r"(BITSCALE|EIGHTBITEDGE|SCALE|ENRICHER|AWS|AZURE|STORAGE|GOOGLE|REDIS|SLURM)_\w+|NO_COLOR"
    r"|CREDENTIALS_DIRECTORY|JOB_COMPLETION_INDEX|NAME_OR_ID|O_[A-Z]+"
)
"""Shouted too, and yet variables of the environment, flags of `os.open`, a placeholder."""


def modules() -> list[ast.Module]:
    """All of the package but the simulator, whose codes are the providers'."""
    return [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "enricher").rglob("*.py"))
        if "simulator" not in path.parts
    ]


def classes(kind: type[errors.EnricherError]) -> Iterator[type[errors.EnricherError]]:
    for below in kind.__subclasses__():
        yield below
        yield from classes(below)


def of_classes() -> set[str]:
    """What an error is called that is given no code of its own."""
    return {kind("").code for kind in classes(errors.EnricherError)}


def written(tree: ast.AST) -> Iterator[str]:
    """`code="…"`, a case of `match code`, and shouted words that are no exported names."""
    exported = {
        id(word)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for word in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            chosen = node.value
            values = [chosen.body, chosen.orelse] if isinstance(chosen, ast.IfExp) else [chosen]
            yield from (
                text
                for value in values
                if isinstance(value, ast.Constant)
                for text in _texts(value)
            )
        if isinstance(node, ast.Match) and re.search(r"\bcode\b", ast.unparse(node.subject)):
            for case in node.cases:
                yield from _texts(case.pattern)
        if id(node) not in exported and isinstance(node, ast.Constant):
            word = str(node.value)
            if SHOUTED.fullmatch(word) and not NO_CODES.fullmatch(word):
                yield word


def _texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value:
            yield inner.value


def lines() -> list[list[str]]:
    """The cells of all lines of the page's tables of codes: those whose first heading says so."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        head, _rule, *rows = [row.strip("|").split("|") for row in table.splitlines()]
        if "code" in head[0]:
            found += [[cell.strip() for cell in row] for row in rows]
    return found


def explained() -> set[str]:
    return {code for first, *_ in lines() for code in re.findall(r"`([^`]+)`", first)}


def test_every_code_has_its_line() -> None:
    codes = of_classes() | {str(code) for code in StopCode}
    for tree in modules():
        codes.update(written(tree))
    assert len(codes) > 60
    missing = sorted(codes - explained())
    assert not missing, f"docs/troubleshooting.md says nothing of: {', '.join(missing)}"


def test_every_exit_code_has_its_line() -> None:
    assert {"0", "1", "2", "3", "4", "5", "129", "130", "143"} <= explained()


def test_every_line_has_a_cause_and_a_mend() -> None:
    assert [line for line in lines() if len(line) != 3 or not line[1]] == []
    silent = [line[0] for line in lines() if not line[2]]
    assert silent == ["`declined`"]  # whoever said no knows what to do


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise KeyProblem("x", code="key_gone")', {"key_gone"}),
        ('match code or status:\n    case "bad_batch" | 422:\n        pass', {"bad_batch"}),
        ('LOST = "REQUEST_GONE"', {"REQUEST_GONE"}),
        ('raise kind(code="key_gone" if lost else "key_late")', {"key_gone", "key_late"}),
        ('raise kind(code=told.get("code", ""))', set()),
        ('__all__ = ["ASK_ABOVE"]', set()),
        ('KEY = "BITSCALE_API_KEY"', set()),
    ],
)
def test_codes_are_found_where_they_are_written(source: str, found: set[str]) -> None:
    assert set(written(ast.parse(source))) == found
