"""The pictures of the README, from a real run: `python -m tools.pictures docs/pictures`.

A simulated workspace that breaks some connections and fails some runs is asked for 240 rows, which
takes a minute. `terminal.svg` is what a terminal shows in the middle and at the end,
`report.png` the head of `enricher report`, drawn by headless Chromium; without one it is left out.
"""

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from enricher import api
from enricher.cli.progress import picture_of
from enricher.simulator import GRIDS, Settings, World, parse_duration, parse_faults
from enricher.simulator.server import RunningSimulator, running_simulator

SAMPLES = Path(__file__).parents[1] / "sample_data/companies.csv"
ROWS, RATE = 240, 10
COLUMNS = 100
HOME = "/home/ann/leads"
"""Where the pictures say that it happened."""

PAGE = (1000, 1330)
"""Width and height of the page that is drawn, in CSS pixels."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name, _workspace() as world:
        place = Path(name)
        _write_list(place / "leads.csv")
        moments: list[api.Summary] = []
        summary = _run(place, world, moments)
        _draw_terminal(folder / "terminal.svg", place, moments, summary)
        _draw_report(folder / "report.png", place)


@contextmanager
def _workspace() -> Iterator[RunningSimulator]:
    settings = Settings(
        rate=RATE,
        duration=parse_duration("lognormal:4"),
        fail_rate=0.03,
    )
    faults = parse_faults("drop_after=0.01")
    with running_simulator(World(bitscale=settings, faults=faults)) as world:
        yield world


def _write_list(path: Path) -> None:
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    # Not every machine has fonts for all scripts of the samples.
    companies = [row for row in rows if row[0].isascii()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number in range(ROWS):
            name, *cells = companies[number % len(companies)]
            branch = number // len(companies)
            writer.writerow([f"{name} {branch + 1}" if branch else name, *cells])


def _run(place: Path, world: RunningSimulator, moments: list[api.Summary]) -> api.Summary:
    environ = {"BITSCALE_API_KEY": world.api_key}
    options = {
        "input": place / "leads.csv",
        "output": place / "out.csv",
        "grid": GRIDS[0].id,
        "base_url": world.base_url,
    }
    job = api.job_of(options, environ)
    return api.run(job, environ=environ, hooks=api.Hooks(progress=moments.append))


def _draw_terminal(
    path: Path, place: Path, moments: list[api.Summary], summary: api.Summary
) -> None:
    with Path("/dev/null").open("w") as nowhere:
        console = Console(
            file=nowhere, record=True, width=COLUMNS, force_terminal=True, color_system="truecolor"
        )
        console.print(Text("$ enricher run leads.csv --grid GRID_ID -o out.csv", "bold"))
        half = next(moment for moment in moments if moment.rows.pending <= ROWS * 0.4)
        console.print(picture_of(half, console))
        console.print(Text("\n… and at the end:\n", "dim"))
        for line in api.summary_lines(summary):
            console.print(Text(line.replace(str(place), HOME)))
    drawing = console.export_svg(title="enricher", unique_id="terminal")
    # The fonts that rich names would be fetched from elsewhere; the reader's own will do.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL), "utf-8")


def _draw_report(path: Path, place: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No Chromium here: report.png is left as it is.", file=sys.stderr)
        return
    _, page = api.report(place / "out.csv.checkpoint.db", Path("-"))
    shown = place / "report.html"
    shown.write_text(page.replace(str(place), HOME), encoding="utf-8")
    width, height = PAGE
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={place / 'profile'}", f"--window-size={width},{height}"]
    command += [f"--screenshot={path.absolute()}", shown.as_uri()]
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "docs/pictures"))
