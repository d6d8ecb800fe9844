"""The three passes over the input: to count, to feed the engine, to write the output.

Each streams batch by batch: rows to inputs, inputs to keys, keys to records of the checkpoint.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from enricher.distinct import DistinctCounter
from enricher.mapping import InputMapping, KeyMaker
from enricher.model import Cause, Inputs, Item, OutputColumn, RowStatus
from enricher.plan import (
    Buy,
    Census,
    Ended,
    UnderWay,
    fate_of,
    fate_of_doubt,
    is_kept_broad,
    outcome_of,
)
from enricher.record import Outcome, Record, Wanted, covers
from enricher.tally import SeenRows

Lookup = Callable[[Sequence[bytes]], Mapping[bytes, Record]]


Keyed = tuple[bytes, Inputs] | None
"""A row: the content key and what is sent; `None` if there is nothing to send."""


class Rows(Protocol):
    """A table as the flow needs it."""

    @property
    def blank_lines(self) -> int: ...

    def batches(self) -> Iterator[pl.DataFrame]: ...


@dataclass(frozen=True, slots=True)
class Fed:
    """One batch for the engine: what is to be bought, and all its rows for the tally.

    Attributes:
        closed: submissions in doubt that are to be closed as failed, with what is known of them.
        outgrown: a run under way was asked for fewer outputs than are wanted now: when it has
            ended, the rows must be looked at once more.
    """

    items: Sequence[Item]
    seen: SeenRows
    closed: Mapping[bytes, str] = field(default_factory=dict)
    outgrown: bool = False


@dataclass(frozen=True, slots=True)
class RowFlow:
    """A table with its mapping, and what is wanted of its rows."""

    table: Rows
    mapping: InputMapping
    keys: KeyMaker
    wanted: Wanted

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
                    record = records.get(row[0])
                    match fate_of_doubt(record, self.wanted) or fate_of(record, self.wanted):
                        case Buy(supersedes, cause):
                            counts["new_rows"] += 1
                            fewer = supersedes and cause is Cause.NEW
                            (again if fewer else new).add((row[0],))
                        case _:
                            counts["reused"] += 1
                            counts["not_refreshed"] += record is not None and is_kept_broad(
                                record, self.wanted
                            )
            return Census(
                total=counts["total"],
                skipped=counts["skipped"],
                reused=counts["reused"],
                new_rows=counts["new_rows"],
                new_runs=new.count() + again.count(),
                bought_before=again.count(),
                blank_lines=self.table.blank_lines,
                not_refreshed=counts["not_refreshed"],
            )

    def feed(self, lookup: Lookup, *, doubts: bool = False) -> Iterator[Fed]:
        """What each batch leaves to buy. The lookup is a filter only: the intent decides.

        With `doubts` also what is in doubt, as far as it is wanted: all other work is done.
        """
        for batch in self.table.batches():
            rows = self._keyed(batch)
            yield self._fed(rows, lookup([row[0] for row in rows if row]), doubts)

    def _fed(self, rows: Sequence[Keyed], records: Mapping[bytes, Record], doubts: bool) -> Fed:
        items: dict[bytes, Item] = {}
        closed: dict[bytes, str] = {}
        ended: Counter[RowStatus] = Counter()
        keys: defaultdict[str, list[bytes]] = defaultdict(list)
        outgrown = False
        for row in rows:
            if row is None:
                ended[RowStatus.SKIPPED] += 1
                continue
            key, inputs = row
            record = records.get(key)
            fate = fate_of_doubt(record, self.wanted) if doubts else None
            match fate or fate_of(record, self.wanted):
                case Ended(RowStatus.FAILED) if fate is not None and record is not None:
                    closed[key] = record.message
                    keys["waiting"].append(key)
                    keys["refreshing"] += [key] if _has_result(record, self.wanted) else []
                case Ended(status):
                    ended[status] += 1
                case UnderWay(stalled, refresh):
                    outgrown = outgrown or _is_outgrown(record, self.wanted)
                    keys["stalled" if stalled else "waiting"].append(key)
                    keys["refreshing"] += [key] if refresh else []
                case Buy(supersedes, cause):
                    keys["waiting"].append(key)
                    keys["refreshing"] += [key] if _has_result(record, self.wanted) else []
                    items.setdefault(key, Item(key, inputs, supersedes, cause))
        seen = SeenRows(ended, keys["waiting"], keys["stalled"], keys["refreshing"])
        return Fed(list(items.values()), seen, closed, outgrown)

    def outcomes(self, lookup: Lookup) -> Iterator[tuple[pl.DataFrame, list[Outcome]]]:
        """Each batch with what its rows show. `lookup` must give the outputs too."""
        skipped = Outcome(RowStatus.SKIPPED)
        for batch in self.table.batches():
            rows = self._keyed(batch)
            records = lookup([row[0] for row in rows if row])
            yield (
                batch,
                [outcome_of(records.get(row[0]), self.wanted) if row else skipped for row in rows],
            )

    def by_first_appearance(
        self, columns: Sequence[OutputColumn], lookup: Lookup
    ) -> tuple[OutputColumn, ...]:
        """`columns` in the order in which rows show them first; none that no row shows."""
        found: dict[str, None] = {}
        for _, outcomes in self.outcomes(lookup):
            for outcome in outcomes:
                found.update(dict.fromkeys(outcome.outputs or ()))
        named = {column.id: column for column in columns}
        return tuple(named[id_] for id_ in found if id_ in named)

    def samples(self, most: int) -> list[Inputs]:
        """The inputs of the first rows that have something to send."""
        sent = (
            inputs
            for batch in self.table.batches()
            for inputs in self.mapping.inputs_of(batch)
            if inputs is not None
        )
        return list(itertools.islice(sent, most))

    def _keyed(self, batch: pl.DataFrame) -> list[Keyed]:
        key = self.keys.key
        return [
            None if inputs is None else (key(inputs), inputs)
            for inputs in self.mapping.inputs_of(batch)
        ]


def _has_result(record: Record | None, wanted: Wanted) -> bool:
    return record is not None and record.has_outputs and covers(record.outputs_asked, wanted.asked)


def _is_outgrown(record: Record | None, wanted: Wanted) -> bool:
    return record is not None and not covers(record.asked, wanted.asked)
