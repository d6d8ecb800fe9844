"""`enricher init`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enricher.cli.groups import PATH, WHAT, GroupedCommand, option
from enricher.cli.options import BASE_URL, GRID, KEY_FILE
from enricher.cli.questions import answered
from enricher.cli.telling import say, warn
from enricher.cli.voice import voice
from enricher.errors import MappingError
from enricher.harmless import printable

if TYPE_CHECKING:
    from enricher.api import Discovery, Job

LONGEST_SAMPLE = 60
COLUMNS_SHOWN = 30


@dataclass(slots=True)
class Choices:
    """What feeds each label: a column, or a template (a constant is one too)."""

    maps: dict[str, str]
    templates: dict[str, str] = field(default_factory=dict)
    unsure: dict[str, str] = field(default_factory=dict)

    def inputs(self) -> dict[str, dict[str, str]]:
        columns = {label: {"column": column} for label, column in self.maps.items()}
        return {**columns, **{label: {"template": t} for label, t in self.templates.items()}}


@click.command(
    "init", cls=GroupedCommand, short_help="Write a job file with the mapping that was found."
)
@click.argument("source", type=PATH, metavar="INPUT")
@GRID
@option(
    "-o",
    "--output",
    type=PATH,
    metavar="PATH",
    group=WHAT,
    help="The job file. Default: leads.csv gives leads.job.toml beside it.",
)
@BASE_URL
@KEY_FILE
def command(source: Path, output: Path | None, **given: Any) -> int:
    """Ask the API what the grid takes, match it to the columns of INPUT, and write a job file.

    On a terminal it asks about every input that no column, or several, could feed; without one
    these stand in the file as comments. It replaces no file, and submits nothing.

    \b
    enricher init leads.csv --grid ID
    enricher init leads.csv --grid ID -o nightly.toml
    """
    from enricher import api

    job = api.job_of({"grid": "", **given, "input": source})
    leads = Path(str(job.input))
    path = (output or leads.with_name(f"{leads.stem}.job.toml")).absolute()
    api.check_free(path)
    found = api.discover(job, warn=warn)
    choices = Choices(dict(found.found))
    for label, problem in found.unsure.items():
        if voice.may_ask:
            _ask(found, choices, label, problem)
        else:
            choices.unsure[label] = problem
    _show(found, choices)
    api.write_job_file(path, _draft(job, path, found, choices, given))
    _say_what_is_next(path, choices)
    return 0


def _show(found: "Discovery", choices: Choices) -> None:
    say(f"Grid:  {printable(found.title)}")
    for label, fed in choices.inputs().items():
        kind, what = next(iter(fed.items()))
        say(f"  {label}  ←  {kind} {what!r}")
    for problem in choices.unsure.values():
        warn(problem)
    samples = found.samples(choices.maps, choices.templates)
    if samples:
        say(f"The first {len(samples)} rows as they would be sent:")
    width = max((len(label) for label in found.labels), default=0)
    for number, inputs in enumerate(samples, 1):
        for place, (label, text) in enumerate(inputs.items()):
            shown = text if len(text) <= LONGEST_SAMPLE else text[: LONGEST_SAMPLE - 1] + "…"
            say(f"  {number if not place else ' '}  {label:<{width}}  {printable(shown)}")


def _ask(found: "Discovery", choices: Choices, label: str, problem: str) -> None:
    """Ask until the answer fits; an empty one leaves the input to the file's reader."""
    say(f"What feeds {label!r}?  ({printable(problem)})")
    for number, column in enumerate(found.columns[:COLUMNS_SHOWN], 1):
        say(f"  {number:>2}  {printable(column)}")
    say("A number or a column's name; =TEXT for a template such as =https://{Domain}, or the same")
    say("text for all rows; nothing to decide later.")
    while answer := answered(f"{printable(label)}: "):
        maps, templates = _choice(found, label, answer)
        try:
            found.check(label, maps, templates)
        except MappingError as error:
            say(printable(error.message.splitlines()[1].strip(" -")))
        else:
            choices.maps.update(maps)
            choices.templates.update(templates)
            return
    choices.unsure[label] = problem


def _choice(found: "Discovery", label: str, answer: str) -> tuple[dict[str, str], dict[str, str]]:
    if answer.startswith("="):
        return {}, {label: answer[1:]}
    if answer not in found.columns and answer.isdecimal() and 0 < int(answer) <= len(found.columns):
        answer = found.columns[int(answer) - 1]
    return {label: answer}, {}


def _draft(
    job: "Job", path: Path, found: "Discovery", choices: Choices, given: dict[str, Any]
) -> Any:
    from enricher import api

    provider = {"name": job.provider, "grid": job.target}
    if given["base_url"]:
        provider["base_url"] = job.base_url
    if job.api_key_file:
        provider["api_key_file"] = api.path_within(job.api_key_file, path.parent)
    else:
        provider["api_key_env"] = api.KEY_VARIABLE
    return api.Draft(
        input=api.path_within(Path(str(job.input)), path.parent),
        title=found.title,
        provider=provider,
        inputs=choices.inputs(),
        unsure=choices.unsure,
        columns=found.columns,
        outputs=found.outputs,
    )


def _say_what_is_next(path: Path, choices: Choices) -> None:
    import shlex

    from enricher import api

    shown = shlex.quote(api.path_within(path, Path.cwd()))
    say(f"Written: {shown}")
    if choices.unsure:
        warn(f"fill in what is commented out under [inputs]: {', '.join(choices.unsure)}")
    say(f"Next:  enricher plan {shown}")
