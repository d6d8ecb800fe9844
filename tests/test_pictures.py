"""The pictures of the docs are there, small, and fetch nothing; `make pictures` draws them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPORT = (ROOT / "docs/report.md").read_text(encoding="utf-8")
PICTURES = [
    *re.findall(r"docs/pictures/[\w.]+", README),
    *(f"docs/{name}" for name in re.findall(r"pictures/[\w.]+", REPORT)),
]


def test_the_readme_shows_a_terminal_and_the_page_of_reports_a_report() -> None:
    assert PICTURES == ["docs/pictures/terminal.svg", "docs/pictures/report.png"]
    assert README.index(PICTURES[0]) < README.index("## ")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_there_and_small(name: str) -> None:
    assert 1_000 < (ROOT / name).stat().st_size < 250_000


def test_the_terminal_fetches_nothing_and_names_no_place_of_the_machine_it_was_drawn_on() -> None:
    drawing = (ROOT / PICTURES[0]).read_text(encoding="utf-8")
    assert not re.search(r"@font-face|@import|<image|<script|href=", drawing)
    assert not re.search(r"/tmp/|/root/|/var/", drawing)
