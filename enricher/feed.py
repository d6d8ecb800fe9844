"""The three passes over the input: to count, to feed the engine, to write the output.

Each streams batch by batch: rows to inputs, inputs to keys, keys to records of the checkpoint.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from enricher.distinct import DistinctCounter
from enricher.mapping import InputMapping, KeyMaker
from enricher.model import Inputs, Item, Outcome, Record, RowStatus, covers
from enricher.plan import Buy, Census, Ended, UnderWay, fate_of, outcome_of
from enricher.tally import SeenRows

Lookup = Callable[[Sequence[bytes]], Mapping[bytes, Record]]


class Rows(Protocol):
    """A table as the flow needs it."""

    @property
    def blank_lines(self) -> int: ...

    def batches(self) -> Iterator[pl.DataFrame]: ...


@dataclass(frozen=True, slots=True)
class Fed:
    """One batch for the engine: what is to be bought, and all its rows for the tally.

    `outgrown` if a run under way was asked for fewer outputs than are wanted now: when it has
    ended, the rows must be looked at once more.
    """

    items: Sequence[Item]
    seen: SeenRows
    outgrown: bool = False


@dataclass(frozen=True, slots=True)
class RowFlow:
    """A table with its mapping; `asked` are the output columns wanted, `None` for all."""

    table: Rows
    mapping: InputMapping
    keys: KeyMaker
    asked: frozenset[str] | None

    def census(self, lookup: Lookup) -> Census:
        """Read everything once: whatever cannot be read comes to light before money is spent."""
        counts: Counter[str] = Counter()
        with DistinctCounter() as new, DistinctCounter() as again:
            for batch in self.table.batches():
                rows = self._keyed(batch)
                records = lookup([row[0] for row in rows if row])
                counts["total"] += len(rows)
                for row in rows:
                    if row is None:
                        counts["skipped"] += 1
                        continue
                    match fate_of(records.get(row[0]), self.asked):
                        case Buy(supersedes):
                            counts["new_rows"] += 1
                            (again if supersedes else new).add((row[0],))
                        case _:
                            counts["reused"] += 1
            return Census(
                total=counts["total"],
                skipped=counts["skipped"],
                reused=counts["reused"],
                new_rows=counts["new_rows"],
                new_runs=new.count() + again.count(),
                bought_before=again.count(),
                blank_lines=self.table.blank_lines,
            )

    def feed(self, lookup: Lookup) -> Iterator[Fed]:
        """What each batch leaves to buy. The lookup is a filter only: the intent decides."""
        for batch in self.table.batches():
            rows = self._keyed(batch)
            records = lookup([row[0] for row in rows if row])
            items: dict[bytes, Item] = {}
            ended: Counter[RowStatus] = Counter()
            waiting: list[bytes] = []
            stalled: list[bytes] = []
            outgrown = False
            for row in rows:
                if row is None:
                    ended[RowStatus.SKIPPED] += 1
                    continue
                key, inputs = row
                record = records.get(key)
                fate = fate_of(record, self.asked)
                if isinstance(fate, UnderWay) and record is not None:
                    outgrown = outgrown or not covers(record.asked, self.asked)
                match fate:
                    case Ended(status):
                        ended[status] += 1
                    case UnderWay(stalled=True):
                        stalled.append(key)
                    case UnderWay():
                        waiting.append(key)
                    case Buy(supersedes):
                        waiting.append(key)
                        items.setdefault(key, Item(key, inputs, supersedes))
            yield Fed(list(items.values()), SeenRows(ended, waiting, stalled), outgrown)

    def outcomes(self, lookup: Lookup) -> Iterator[tuple[pl.DataFrame, list[Outcome]]]:
        """Each batch with what its rows show. `lookup` must give the outputs too."""
        skipped = Outcome(RowStatus.SKIPPED)
        for batch in self.table.batches():
            rows = self._keyed(batch)
            records = lookup([row[0] for row in rows if row])
            yield (
                batch,
                [outcome_of(records.get(row[0]), self.asked) if row else skipped for row in rows],
            )

    def samples(self, most: int) -> list[Inputs]:
        """The inputs of the first rows that have something to send."""
        sent = (
            inputs
            for batch in self.table.batches()
            for inputs in self.mapping.inputs_of(batch)
            if inputs is not None
        )
        return list(itertools.islice(sent, most))

    def _keyed(self, batch: pl.DataFrame) -> list[tuple[bytes, Inputs] | None]:
        key = self.keys.key
        return [
            None if inputs is None else (key(inputs), inputs)
            for inputs in self.mapping.inputs_of(batch)
        ]
