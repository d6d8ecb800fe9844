"""Every dependency has its line in docs/dependencies.md and its extra a line in tools.package."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from tools.package import EXTRAS

ROOT = Path(__file__).parent.parent
TOLD = (ROOT / "docs/dependencies.md").read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRA = PYPROJECT["project"]["optional-dependencies"]
GROUPS = PYPROJECT["dependency-groups"]


def named(requirements: list) -> set[str]:
    return {Requirement(one).name for one in requirements if isinstance(one, str)}


def rows(heading: str) -> dict[str, str]:
    """The packages of a section's table, each with what it is for."""
    section = TOLD.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", section, re.MULTILINE))


def test_what_is_always_installed_is_told() -> None:
    assert set(rows("Always installed")) == named(PYPROJECT["project"]["dependencies"])


def test_what_an_extra_brings_is_told_under_its_name() -> None:
    told = {(name, what.partition("`: ")[0].strip("`")) for name, what in rows("Extras").items()}
    assert told == {(name, extra) for extra, brings in EXTRA.items() for name in named(brings)}


def test_tools_are_told() -> None:
    assert set(rows("Tools of the repository")) == named(GROUPS["build"] + GROUPS["dev"])


def test_every_extra_is_tried_by_make_package() -> None:
    assert set(EXTRAS) == set(EXTRA)
