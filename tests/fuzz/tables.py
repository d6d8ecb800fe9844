"""One spoilt input file: refused with a cause and a mend before anything is bought, or read right.

The real command line in this process, against the simulator on loopback.
"""

import csv
import io
import json
import os
import random
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path

import polars as pl

from enricher.cli import main
from enricher.simulator import GRIDS, Settings, parse_duration
from enricher.simulator.server import RunningSimulator
from tests.fuzz.spoilt import spoilt_file
from tests.support.canary import KEY, assert_clean, disguises

FORMS = list(disguises(KEY))
REFUSED, DONE = (1, 2), (0, 3)


@cache
def simulator() -> RunningSimulator:
    """One for all cases of this process; it ends with it."""
    running = RunningSimulator(
        Settings(rate=None, duration=parse_duration("constant:0"), api_key=KEY)
    )
    running.start()
    os.environ.update(BITSCALE_BASE_URL=running.base_url, BITSCALE_API_KEY=KEY)
    return running


def check(seed: int, folder: Path) -> None:
    """Work the case `seed` off; an `AssertionError`, or any other, is a finding."""
    rng = random.Random(f"table {seed}")
    world = simulator()
    extension, content = spoilt_file(rng)
    leads, out = folder / f"leads{extension}", folder / f"out{rng.choice(('.csv', '.parquet'))}"
    leads.write_bytes(content)
    command = rng.choice((("plan", "--json"), ("run", "--mode", "sync")))  # nothing to wait for
    more = rng.choice(((), (), ("--set", "company_name=x"), ("-m", "website=Website")))
    before = len(world.workspace.runs)
    code, told, said = _done(
        [*command, str(leads), "--grid", GRIDS[0].id, "-o", str(out), "--rate", "unlimited", *more]
    )
    bought = len(world.workspace.runs) - before
    assert "Traceback" not in said, said
    assert "enricher broke" not in said, said
    assert not set(said) & set("\x1b\x07\0\u202e"), f"not harmless: {said!r}"
    assert code in (*REFUSED, *DONE), f"code {code}: {said}"
    assert_clean("what was said", said.encode(errors="replace"), FORMS)
    if code in REFUSED:
        assert bought == 0, "something was bought"
        assert said.startswith("Error: "), said
        assert len(said.splitlines()) >= 2, f"no mend: {said}"
        assert [path.name for path in folder.iterdir()] == [leads.name], "files are left behind"
    elif command[0] == "plan":
        assert bought == 0, "a plan bought something"
        assert json.loads(told)["rows"]["total"] == rows_in(leads)
    else:
        _check_output(leads, out, bought)


def _done(words: list[str]) -> tuple[int, str, str]:
    """The exit code of a command, and what it said to programs and to people."""
    told, said = io.StringIO(), io.StringIO()
    code = -1
    with redirect_stdout(told), redirect_stderr(said):
        try:
            main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else -1
    return code, told.getvalue(), said.getvalue()


def _check_output(leads: Path, out: Path, bought: int) -> None:
    """Every row of the input comes out once, its cells as they were, and is bought once at most."""
    if leads.suffix == ".csv":
        header, *rows = records(leads)
        found = records(out) if out.suffix == ".csv" else texts(out)
        assert [row[: len(header)] for row in found] == [header, *rows]
        assert bought <= len(rows)
        return
    assert rows_in(out) == rows_in(leads)
    with suppress(pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        frame = pl.read_parquet(leads, hive_partitioning=False, glob=False)
        if out.suffix == ".parquet":
            assert pl.read_parquet(out).select(frame.columns).equals(frame, null_equal=True)


def rows_in(path: Path) -> int:
    """How many rows a table has, by what a Parquet file says of itself."""
    if path.suffix == ".csv":
        return len(records(path)) - 1
    counted = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(pl.len()).collect()
    return int(counted.item())


def records(path: Path) -> list[list[str]]:
    """A CSV file as the standard library reads it, without its blank lines."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = [row for row in csv.reader(file, strict=True) if row]
    width = len(found[0])
    return [row for row in found if len(row) == width or not "".join(row).isspace()]


def texts(path: Path) -> list[list[str]]:
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    rows = [["" if cell is None else str(cell) for cell in row] for row in frame.rows()]
    return [list(frame.columns), *rows]
