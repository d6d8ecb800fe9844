"""The output that a job should have, worked out without running it.

What a run brings is a pure function of its inputs, known to the simulator's rules.
"""

import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from enricher import sink, source
from enricher.model import (
    OutputColumn,
    RowStatus,
)
from enricher.record import Outcome
from enricher.simulator import outputs_for
from enricher.simulator.runs import Fate, fate_of
from tests.simulation.disaster import Disaster, Row
from tests.simulation.server import GRID, settings_of


def csv_of(rows: tuple[Row, ...]) -> str:
    """The input, in quotes where it must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("No.", "Company Name", "Website"), *rows])
    return text.getvalue()


def inputs_of(row: Row) -> dict[str, str]:
    return {"company_name": row[1], "website": row[2]}


def outcome_of(disaster: Disaster, row: Row) -> Outcome:
    """What the row should show."""
    inputs = inputs_of(row)
    if not any(text.strip() for text in inputs.values()):
        return Outcome(RowStatus.SKIPPED)
    if fate_of(settings_of(disaster), GRID, inputs) is not Fate.COMPLETED:
        return Outcome(RowStatus.FAILED, "RUN_FAILED")
    outputs = outputs_for(GRID, inputs)
    return Outcome(RowStatus.COMPLETED, outputs={id_: o["value"] for id_, o in outputs.items()})


def output_of(disaster: Disaster) -> bytes:
    """The whole file, but for the words of failures."""
    with tempfile.TemporaryDirectory() as folder:
        leads, out = Path(folder) / "leads.csv", Path(folder) / "out.csv"
        leads.write_text(csv_of(disaster.rows), encoding="utf-8", newline="")
        table = source.open_table(leads)
        columns = tuple(OutputColumn(column.id, column.name) for column in GRID.outputs)
        layout = sink.Layout(table.columns, columns, dialect=table.dialect)

        def pairs() -> Iterator[sink.Pair]:
            outcomes = [outcome_of(disaster, row) for row in disaster.rows]
            for batch in table.batches():
                yield batch, outcomes[: batch.height]
                outcomes = outcomes[batch.height :]

        sink.write(out, layout, pairs)
        return out.read_bytes()
