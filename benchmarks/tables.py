"""How fast tables are read and written, and in how much memory.

    python -m benchmarks.tables                    200,000 and 2,000,000 rows
    python -m benchmarks.tables --rows 10_000_000

The tables have eight columns of text, about 95 bytes a row as CSV; each row has an outcome with a
text and a number. Every figure is of a process of its own, on files made in a temporary directory
and removed again. "write" includes reading the input. Peak memory that is about the same for both
sizes is what streaming means; 60 to 70 MB of it are Python and polars themselves.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from benchmarks.apart import in_steps, peak_mb
from enricher.model import (
    OutputColumn,
    RowStatus,
)
from enricher.record import Outcome
from enricher.sink import Layout, Pair, write
from enricher.source import Table, open_table

_STEPS = (
    "read csv",
    "read parquet",
    "write csv csv",
    "write csv parquet",
    "write parquet parquet",
    "write parquet csv",
)
_NAMES = ("Company", "Website", "Country", "Employees", "Postal code", "City", "Note", "Score")
_OUTPUTS = (OutputColumn("c1", "Description"), OutputColumn("c2", "Headcount"))
_OUTCOME = Outcome(RowStatus.COMPLETED, "", {"c1": "Makes anvils, and rockets", "c2": 1234})


def main() -> None:
    """Make the tables, run each step in a process of its own and print its line."""
    columns = f"{'step':24}{'rows':>12}{'rows/s':>12}{'peak MB':>10}"
    in_steps("benchmarks.tables", _STEPS, _measure, rows=[200_000, 2_000_000], heading=columns)


def _measure(step: str, directory: Path) -> None:
    verb, source, *target = step.split()
    if verb == "make":
        _make_tables(directory, int(source))
        return
    table = open_table(directory / f"in.{source}")
    started = time.perf_counter()
    if verb == "write":
        _write(table, directory / f"out.{target[0]}")
    rows = sum(frame.height for frame in table.batches()) if verb == "read" else 0
    seconds = time.perf_counter() - started
    rows = rows or sum(frame.height for frame in table.batches())
    print(f"{step:24}{rows:12,}{rows / seconds:12,.0f}{peak_mb():10,.0f}", flush=True)


def _write(table: Table, target: Path) -> None:
    def pairs() -> Iterator[Pair]:
        for frame in table.batches():
            yield frame, [_OUTCOME] * frame.height

    write(target, Layout(table.columns, _OUTPUTS, dialect=table.dialect), pairs)


def _make_tables(directory: Path, rows: int) -> None:
    with (directory / "in.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(_NAMES) + "\n")
        for number in range(rows):
            file.write(
                f"Acme Corp {number},https://acme{number}.example.com,US,{number % 977},"
                f'{number % 99_999:05},"Springfield, MA",some longer text here,\n'
            )
    pl.scan_csv(directory / "in.csv", infer_schema=False).sink_parquet(directory / "in.parquet")


if __name__ == "__main__":
    main()
