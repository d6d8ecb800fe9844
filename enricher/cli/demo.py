"""`enricher demo`."""

from pathlib import Path

import click

from enricher.cli.ending import tell_summary
from enricher.cli.groups import PATH
from enricher.cli.telling import say, tell
from enricher.cli.work import attended
from enricher.errors import InputError

SAMPLE = "companies.csv"
ROWS_SHOWN = 5
COLUMNS_SHOWN = ("Company Name", "Company Description", "Employees (enriched)", "enrichment_status")
WIDTHS = {"Company Description": 27}
"""Columns of the terminal for what would take all of them."""


@click.command("demo", short_help="Enrich a sample list against a built-in simulator.")
@click.option(
    "--dir",
    "folder",
    type=PATH,
    default=Path("enricher-demo"),
    metavar="PATH",
    help="Where the files go. Default: ./enricher-demo.",
)
def command(folder: Path) -> int:
    """Enrich a sample list against a built-in simulator; nothing to configure, nothing paid.

    \b
    enricher demo
    """
    import shutil

    from enricher import api
    from enricher.simulator import GRIDS, Settings
    from enricher.simulator.server import running_simulator

    folder.mkdir(parents=True, exist_ok=True)
    leads = folder / SAMPLE
    shutil.copyfile(sample_file(), leads)
    with running_simulator(Settings()) as simulator:
        say(f"A simulated BitScale workspace answers at {simulator.base_url}, 5 requests a second.")
        say(f"Enriching {leads} with its grid {GRIDS[0].name!r} …")
        environ = {"BITSCALE_API_KEY": simulator.api_key}
        job = api.job_of(
            {
                "input": leads,
                "grid": GRIDS[0].id,
                "base_url": simulator.base_url,
                "rate": 5,
                "limiter": "local",
            },
            environ,
        )
        summary = attended(lambda hooks: api.run(job, environ=environ, hooks=hooks))
    summary_file = folder / "summary.json"
    code = tell_summary(summary, as_json=False, summary_file=summary_file)
    say(f"  summary     {summary_file.absolute()}\n")
    if code == 0:
        tell(f"The first {ROWS_SHOWN} of the enriched rows, a few of their columns:\n")
        tell(_first_rows(Path(str(summary.output))))
        tell("\nYour own list:  enricher run leads.csv --grid ID   (see enricher run --help)")
    return code


def sample_file() -> Path:
    """The sample list of the installed package, or that of a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package, package.parent):
        if (path := folder / "sample_data" / SAMPLE).is_file():
            return path
    raise InputError("The sample list is missing.", mend="Install enricher again.")


def _first_rows(output: Path) -> str:
    import csv
    import itertools

    from rich.console import Console
    from rich.table import Table

    with output.open(encoding="utf-8", newline="") as file:
        rows = list(itertools.islice(csv.DictReader(file), ROWS_SHOWN))
    table = Table()
    for name in COLUMNS_SHOWN:
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=WIDTHS.get(name))
    for row in rows:
        table.add_row(*(row[name] for name in COLUMNS_SHOWN))
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
