"""How fast a job's passes over its input are, with a checkpoint that knows every row's answer.

    python -m benchmarks.passes                      1,000,000 rows
    python -m benchmarks.passes --rows 1_000_000 10_000_000

100,000 distinct inputs are in the checkpoint; rows repeat them, so that nothing is left to buy.
"plan" is the pass that counts what is to be done (maps, keys, lookups, distinct content), "write"
the one that writes the output, in the format of the input. Each is a process of its own; its peak
memory is the operating system's word. The goals: 80,000 rows/s each, at most 450 MB, and within a
tenth the same for ten times the rows. "CPU" counts user and system time instead of the clock's.
"""

import hashlib
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.apart import in_steps, peak_mb
from enricher.checkpoint import JobSpec, Reader, Store
from enricher.feed import RowFlow
from enricher.mapping import KeyMaker, resolve
from enricher.model import Completed, Context, GotId, Intended, Item, OutputColumn
from enricher.record import Wanted
from enricher.selection import Choice, Selection
from enricher.sink import Layout, write
from enricher.source import Table, open_table

_DISTINCT = 100_000
_GROUP = 5000
_GOAL = 80_000
_CONTEXT = Context("bitscale", "https://api.example", "ws", "grid")
_LABELS = ("company_name", "website")
_MAPS = {"company_name": "Company", "website": "Website"}
_OUTPUTS = (OutputColumn("c1", "Description"), OutputColumn("c2", "Headcount"))
_STEPS = tuple(f"{verb} {source}" for source in ("csv", "parquet") for verb in ("plan", "write"))


def main() -> None:
    """Make table and checkpoint, run each step in a process of its own and print its line."""
    columns = (
        f"{'step':16}{'rows':>12}{'rows/s':>10}{'/ 80,000':>10}{'rows/CPU s':>12}{'peak MB':>9}"
    )
    in_steps("benchmarks.passes", _STEPS, _measure, rows=[1_000_000], heading=columns)


def _measure(step: str, directory: Path) -> None:
    verb, what = step.split()
    if verb == "make":
        _make(directory, int(what))
        return
    table = open_table(directory / f"in.{what}")
    flow = _flow(table)
    with Reader(directory / "job.checkpoint.db") as reader:
        started, worked = time.perf_counter(), time.process_time()
        if verb == "plan":
            census = flow.census(reader.records)
            rows, left = census.total, census.new_runs
        else:
            outcomes = partial(flow.outcomes, partial(reader.records, outputs=True))
            layout = Layout(table.columns, _OUTPUTS, dialect=table.dialect)
            write(directory / f"out.{what}", layout, outcomes)
            rows, left = int((directory / "rows").read_text()), 0
        seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    if left:
        raise SystemExit(f"{left} runs are left to buy: the checkpoint does not know the rows")
    speeds = f"{rows / seconds:10,.0f}{rows / seconds / _GOAL:10.2f}{rows / cpu:12,.0f}"
    print(f"{step:16}{rows:12,}{speeds}{peak_mb():9,.0f}", flush=True)


def _flow(table: Table) -> RowFlow:
    mapping = resolve(_LABELS, table.columns, _MAPS, {})
    keys = KeyMaker(_CONTEXT, mapping.labels)
    return RowFlow(table, mapping, keys, Wanted(None), Selection(Choice(), mapping.labels))


def _make(directory: Path, rows: int) -> None:
    import polars as pl

    (directory / "rows").write_text(str(rows))
    with (directory / "in.csv").open("w", encoding="utf-8", newline="") as file:
        file.write("Company,Website,Country,Employees,Postal code,City,Note,Row\n")
        for row in range(rows):
            number = int.from_bytes(hashlib.blake2b(row.to_bytes(8), digest_size=4).digest())
            number = row if row < _DISTINCT else number % _DISTINCT
            file.write(
                f"Acme Corp {number},https://acme{number}.example.com,US,{row % 977},"
                f'{row % 99_999:05},"Springfield, MA",some longer text here to pass through'
                f" as it came and so on,{row}\n"
            )
    pl.scan_csv(directory / "in.csv", infer_schema=False).sink_parquet(directory / "in.parquet")
    keys = KeyMaker(_CONTEXT, _LABELS)
    with closing(Store.open(directory / "job.checkpoint.db")) as store:
        store.begin(JobSpec("job", _CONTEXT))
        for start in range(0, _DISTINCT, _GROUP):
            store.apply([e for n in range(start, start + _GROUP) for e in _bought(keys, n)])


def _bought(keys: KeyMaker, number: int) -> list[Intended | GotId | Completed]:
    inputs = {
        "company_name": f"Acme Corp {number}",
        "website": f"https://acme{number}.example.com",
    }
    key = keys.key(inputs)
    outputs = {"c1": f"Acme {number} makes anvils, and rockets", "c2": number}
    return [Intended(Item(key, inputs)), GotId(key, f"run-{number}"), Completed(key, outputs, {})]


if __name__ == "__main__":
    main()
