"""One spoilt input file: refused with a cause and a mend before anything is bought, or read right.

The real command line in this process, against the simulator on loopback.
"""

import codecs
import csv
import gzip
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
from enricher.zstd import ZstdFile
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
        assert json.loads(told)["rows"]["total"] in rows_in(leads)
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
    if ".csv" in leads.suffixes:
        found = readings(out) if out.suffix == ".csv" else [texts(out)]
        pairs = ((given, got) for given in readings(leads) for got in found)
        assert any(
            [row[: len(given[0])] for row in got] == given and bought < len(given)
            for given, got in pairs
        )
        return
    assert set(rows_in(leads)) & set(rows_in(out))
    if leads.suffix == ".ndjson":
        return
    with suppress(pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        frame = pl.read_parquet(leads, hive_partitioning=False, glob=False)
        if out.suffix == ".parquet":
            assert pl.read_parquet(out).select(frame.columns).equals(frame, null_equal=True)


def rows_in(path: Path) -> list[int]:
    """How many rows a table has, by what a Parquet file says of itself; CSV in every reading."""
    if path.suffix == ".ndjson":
        return [sum(bool(line.strip()) for line in path.read_bytes().splitlines())]
    if ".csv" in path.suffixes:
        return [len(rows) - 1 for rows in readings(path)]
    counted = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(pl.len()).collect()
    return [int(counted.item())]


def readings(path: Path) -> list[list[list[str]]]:
    """A CSV file as the standard library reads it with each delimiter that it may have."""
    found = []
    for delimiter in ",;\t|":
        with suppress(csv.Error):
            found.append(records(path, delimiter))
    return found


def records(path: Path, delimiter: str) -> list[list[str]]:
    """A CSV file without its blank lines, and without a byte order mark behind them."""
    csv.field_size_limit(sys.maxsize)
    with io.StringIO(text_of(unpacked(path)), newline="") as file:
        found = [row for row in csv.reader(file, strict=True, delimiter=delimiter) if row]
    found[0][0] = found[0][0].removeprefix("\ufeff")
    width = len(found[0])
    return [row for row in found if len(row) == width or "".join(row).strip()]


def unpacked(path: Path) -> bytes:
    """All members of a packed file; anything wrong with it raises."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        with ZstdFile(path) as packed:
            return packed.read()
    return path.read_bytes()


def text_of(content: bytes) -> str:
    """By its byte order mark, else as UTF-8, else as Windows-1252."""
    marks = {
        codecs.BOM_UTF8: "utf-8-sig",
        codecs.BOM_UTF32_LE: "utf-32",
        codecs.BOM_UTF32_BE: "utf-32",
    }
    marks |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    for mark, name in marks.items():
        if content.startswith(mark):
            return content.decode(name)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252")


def texts(path: Path) -> list[list[str]]:
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    rows = [["" if cell is None else str(cell) for cell in row] for row in frame.rows()]
    return [list(frame.columns), *rows]
