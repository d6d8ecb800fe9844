"""The docs keep to the truth: commands and options against `--help`, make targets, links."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

ROOT = Path(__file__).parent.parent
MANUALS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
PAGES = sorted({*MANUALS, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)^ {0,3}\1", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*<?(\S+?)>?$", re.MULTILINE)
HEADING = re.compile(r"^#+\s+(.*?)\s*#*$", re.MULTILINE)
PLACEHOLDER = re.compile(r"[^a-z-]")

needs_cli = pytest.mark.skipif(
    importlib.util.find_spec("enricher.cli") is None, reason="no command line yet"
)
needs_readme = pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="no README yet")

# --- reading Markdown ------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A command line of a page: the words of one command of a pipeline."""

    where: str
    words: list[str]


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT) if page.is_relative_to(ROOT) else page.name)


def command_lines(page: Path) -> Iterator[Line]:
    """The commands in the fenced blocks of `page`."""
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        number = text.count("\n", 0, fence.start(2))
        block = fence.group(2)
        prompted = re.search(r"^\s*\$ ", block, re.MULTILINE)
        # One line a command, and the numbers kept: a continued line swallows the next ones.
        for offset, line in enumerate(_continued(block), 1):
            if not prompted or line.lstrip().startswith("$ "):
                yield from _commands(f"{shown(page)}:{number + offset}", line)


def spans(page: Path) -> Iterator[Line]:
    """The inline code of `page`, as commands."""
    text = FENCE.sub(lambda fence: "\n" * fence.group().count("\n"), page.read_text("utf-8"))
    for span in SPAN.finditer(text):
        number = text.count("\n", 0, span.start()) + 1
        yield from _commands(f"{shown(page)}:{number}", span.group(1))


def _continued(block: str) -> list[str]:
    lines = block.split("\n")
    for index in range(len(lines) - 2, -1, -1):
        if lines[index].endswith("\\"):
            lines[index] = f"{lines[index][:-1]} {lines[index + 1].strip()}"
            lines[index + 1] = ""
    return lines


def _commands(where: str, line: str) -> Iterator[Line]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&()")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an apostrophe in what a command printed
        words = [] if line.split()[:1] != ["enricher"] else line.split()
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("|;&()"):
            yield from [Line(where, command)] if command else []
            command = []
        elif command or not re.fullmatch(r"\$|time|sudo|\w+=.*", word, re.DOTALL):
            command.append(word)


def arguments_of(line: Line) -> list[str] | None:
    """What follows `enricher`; None if the line starts something else."""
    words = line.words
    if words[0] == "enricher" or words[0].endswith("/enricher"):
        return words[1:]
    if re.fullmatch(r"(\S*/)?python[\d.]*", words[0]) and words[1:3] == ["-m", "enricher"]:
        return words[3:]
    return None


# --- the commands of the program ---------------------------------------------------------------


@pytest.fixture(scope="module")
def program() -> click.Command:
    door = importlib.import_module("enricher.cli")
    groups = [door.main, *vars(door).values()]
    found = next((group for group in groups if isinstance(group, click.Group)), None)
    assert found, "enricher.cli holds no click group"
    return found


def context_of(command: click.Command, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, parent, info_name=command.name, **command.context_settings)


def commands_below(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that `--help` shows, with its full name."""
    yield name, command
    if isinstance(command, click.Group):
        context = context_of(command)
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            if found and not found.hidden:
                yield from commands_below(found, f"{name} {sub}")


def mistake_in(
    command: click.Command, arguments: list[str], parent: click.Context | None = None
) -> str:
    """What `command` would say to the form of `arguments`; empty if it takes them."""
    context = context_of(command, parent)
    try:
        _, rest, used = command.make_parser(context).parse_args(list(arguments))
    except click.UsageError as error:
        return error.format_message()
    hidden = [param.opts[-1] for param in used if getattr(param, "hidden", False)]
    if hidden:
        return f"--help does not show {', '.join(hidden)}"
    if not isinstance(command, click.Group) or not rest or PLACEHOLDER.search(rest[0]):
        return ""
    found = command.get_command(context, rest[0])
    return mistake_in(found, rest[1:], context) if found else f"No such command '{rest[0]}'."


# --- the tests -------------------------------------------------------------------------------


@needs_cli
@pytest.mark.parametrize("page", MANUALS, ids=shown)
def test_every_command_line_in_the_docs_is_accepted(page: Path, program: click.Command) -> None:
    lines = [*command_lines(page), *(spans(page) if page.name == "README.md" else [])]
    mistakes = [
        f"{line.where}: {shlex.join(line.words)}: {mistake}"
        for line in lines
        if (arguments := arguments_of(line)) is not None
        and (mistake := mistake_in(program, arguments))
    ]
    assert not mistakes, "\n".join(["", *mistakes])


@needs_cli
@needs_readme
def test_every_command_and_option_is_in_the_docs(program: click.Command) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in MANUALS)
    missing = []
    for name, command in commands_below(program, "enricher"):
        if not re.search(rf"\b{re.escape(name)}\b", text):
            missing.append(name)
        for option in command.params:
            names = [*option.opts, *option.secondary_opts]
            if not isinstance(option, click.Option) or option.hidden or "--help" in names:
                continue
            if not any(_mentions(text, word) for word in names if word.startswith("--")):
                missing.append(f"{name} {'/'.join(names)}")
    assert not missing, "\n".join(["not in README.md or docs/:", *missing])


def _mentions(text: str, option: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text) is not None


def test_every_make_target_in_the_docs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.MULTILINE))
    unknown = [
        f"{line.where}: make {word}"
        for page in PAGES
        for line in [*command_lines(page), *spans(page)]
        if line.words[0] == "make"
        for word in line.words[1:]
        if re.fullmatch(r"[a-z][\w-]*", word) and word not in targets
    ]
    assert not unknown, "\n".join(["", *unknown])


TABLE_LINE = re.compile(r"^\| (?!---|answer \||promise \|)(.+?) \|", re.MULTILINE)


@pytest.mark.parametrize(("page", "least"), [("reactions", 20), ("security", 45)])
def test_every_line_has_its_tests(page: str, least: int) -> None:
    """Tables map each reaction, and each promise, to tests that exist."""
    table = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^(?:async )?def (test_\w+)", "\n".join(sources), re.MULTILINE))
    lines = [line for line in table.splitlines() if TABLE_LINE.match(line)]
    assert len(lines) >= least
    for line in lines:
        named = set(re.findall(r"`(test_\w+)`", line))
        assert named, f"no test: {line}"
        assert named <= known, f"{named - known} in: {line}"


@needs_readme
def test_the_readme_names_the_commands_that_ci_runs() -> None:
    in_ci = set(re.findall(r"^make \w+", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE))
    readme = ROOT / "README.md"
    named = {" ".join(line.words[:2]) for line in [*command_lines(readme), *spans(readme)]}
    assert in_ci
    assert in_ci <= named


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_relative_links_resolve(page: Path) -> None:
    text = SPAN.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    links = [inline or reference for inline, reference in LINK.findall(text)]
    broken = [link for link in links if not _resolves(page, link)]
    assert not broken


def _resolves(page: Path, link: str) -> bool:
    if re.match(r"[a-z][a-z0-9+.-]*:", link):
        return True
    name, _, anchor = link.partition("#")
    target = (page.parent / name) if name else page
    if anchor and target.suffix == ".md":
        return target.exists() and anchor in _anchors(target)
    return target.exists()


def _anchors(page: Path) -> set[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = (heading.replace("`", "").lower() for heading in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


# --- the readers above, on pages of their own ----------------------------------------------------


@click.group()
def sample() -> None:
    pass


@sample.command()
@click.argument("path")
@click.option("-m", "--map", "pairs", multiple=True)
@click.option("--json", is_flag=True)
@click.option("--secret", hidden=True)
def run(**_: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('enricher run in.csv -m a="A B" --json  # it\'s fine', ""),
        ("$ BASE=x enricher run - --map a=b | head\nenricher nonsense", ""),
        ("enricher run in.csv \\\n  --jason", "page.md:3"),
        ("cat in.csv | .venv/bin/enricher run - --colour", "--colour"),
        ("python -m enricher walk", "'walk'"),
        ("enricher run in.csv --secret x", "--secret"),
        ("enricher COMMAND --help | less", ""),
        ("don't mind\nenricher run x --bad", "--bad"),
    ],
)
def test_mistakes_in_a_page_are_found(text: str, mistake: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"A page\n```console\n{text}\n```\n", encoding="utf-8")
    found = [
        f"{line.where} {problem}"
        for line in command_lines(page)
        if (arguments := arguments_of(line)) is not None
        and (problem := mistake_in(sample, arguments))
    ]
    assert (mistake in "".join(found)) if mistake else not found


@pytest.mark.parametrize("folder", ["docs", "docs/running"])
def test_the_index_names_every_page_and_every_example(folder: str) -> None:
    index = ROOT / folder / "README.md"
    linked = {
        (index.parent / link).resolve()
        for inline, reference in LINK.findall(index.read_text(encoding="utf-8"))
        if (link := (inline or reference).partition("#")[0])
    }
    pages = ROOT.glob("docs/*.*") if folder == "docs" else (ROOT / folder).rglob("*")
    missing = [page.name for page in pages if page.is_file() and page not in {index, *linked}]
    assert not missing
