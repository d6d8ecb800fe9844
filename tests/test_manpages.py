"""Manual pages: one a command, with all that `--help` shows, and no complaint from groff."""

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from enricher.cli.tree import COMMANDS, cli
from tools.manpages import EXIT_STATUS, pages

ROOT = Path(__file__).parent.parent
PAGES = dict(pages())

needs_man = pytest.mark.skipif(
    not (shutil.which("man") and shutil.which("groff")), reason="no man, or no groff, here"
)


def test_every_command_has_its_page() -> None:
    assert {f"enricher-{name}.1" for name in COMMANDS} | {"enricher.1", "enricher-key-set.1"} <= {
        *PAGES
    }


@needs_man
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_without_a_complaint_and_tells_all_that_help_does(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(PAGES[name], encoding="utf-8")
    drawn = subprocess.run(
        ["man", "--warnings=all", "--local-file", str(path)],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "PAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert drawn.stderr == ""
    told = _words(drawn.stdout)
    for line in _help(name):
        assert _words(line) in told, line


def _help(name: str) -> list[str]:
    """What `--help` shows: the text with its examples, and each option."""
    context, command = click.Context(cli, info_name="enricher", **cli.context_settings), cli
    found: click.Command = command
    for word in _path(name):
        assert isinstance(found, click.Group)
        below = found.get_command(context, word)
        assert below is not None
        found, context = below, click.Context(below, parent=context, info_name=word)
    records = (param.get_help_record(context) for param in found.get_params(context))
    text = (found.help or "").replace("\b", "")
    return [text, *(part for record in records if record for part in record)]


def _path(name: str) -> list[str]:
    words = name.removesuffix(".1").removeprefix("enricher").strip("-")
    if not words:
        return []
    return words.split("-") if words.startswith("key-") else [words]


def _words(text: str) -> str:
    """Without what the width decides: spaces, line ends, and hyphens before them."""
    return re.sub(r"[\s-]+", "", text)


def test_the_exit_codes_are_those_of_the_contract() -> None:
    table = (ROOT / "docs/usage.md").read_text(encoding="utf-8").partition("## Exit codes")[2]
    codes = re.findall(r"^\| ([\d, ]+) \|", table.partition("\n## ")[0], re.MULTILINE)
    assert list(EXIT_STATUS) == codes


def test_text_cannot_become_a_request() -> None:
    from tools.manpages import _plain

    assert _plain(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert _plain("\\n") == "\\en"
