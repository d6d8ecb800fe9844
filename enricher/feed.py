"""The three passes over the input: to count, to feed the engine, to write the output.

Each streams batch by batch: rows to inputs, inputs to keys, keys to records of the checkpoint.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from enricher.distinct import DistinctCounter, Occurrences
from enricher.forecast import (
    Buy,
    Census,
    Ended,
    UnderWay,
    fate_of,
    fate_of_doubt,
    is_kept_broad,
    is_outdated,
    is_used_up,
    outcome_of,
    outcome_of_left_out,
)
from enricher.mapping import InputMapping, placing
from enricher.model import Cause, Inputs, Item, OutputColumn, RowStatus
from enricher.record import LeftOut, Outcome, Record, Wanted, covers
from enricher.selection import Choice, Selection
from enricher.shard import Shard
from enricher.tally import SeenRows

Lookup = Callable[[Sequence[bytes]], Mapping[bytes, Record]]


Keyed = tuple[bytes, Inputs, LeftOut | None] | None
"""A row: the content key, what is sent, and why it is not; `None` if there is nothing to send."""

_SUM = 1 << 128


class Keys(Protocol):
    """What gives a row the key under which its result is looked up."""

    def key(self, inputs: Inputs, occurrence: int = 0) -> bytes: ...


class Rows(Protocol):
    """A table as the flow needs it."""

    @property
    def blank_lines(self) -> int: ...

    @property
    def ragged_lines(self) -> int: ...

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


Outcomes = Callable[[pl.DataFrame], list[Outcome]]
"""What the rows of a batch show; to be called with every batch of a pass, in order."""

GoesOn = Callable[[], Callable[[pl.DataFrame], list[bool]]]
"""Begins a pass; then says of the rows of each batch which ones earlier steps have left open."""


@dataclass(frozen=True, slots=True)
class RowFlow:
    """A table with its mapping, and what is wanted of its rows.

    With `occurrences` rows of equal inputs are items of their own, numbered in the order in which
    they stand. With a `shard` all other rows are passed over, once it is known what is chosen.
    `earlier` tells which rows are for this step of several.
    """

    table: Rows
    mapping: InputMapping
    keys: Keys
    wanted: Wanted
    selection: Selection = field(default_factory=lambda: Selection(Choice()))
    occurrences: Occurrences | None = None
    shard: Shard | None = None
    earlier: GoesOn | None = None

    def census(self, lookup: Lookup) -> Census:
        """Read everything once: whatever cannot be read comes to light before money is spent."""
        with _Counting(self.wanted, self.mapping.fed_by_columns) as counting:
            for _, rows, records in self._read(lookup):
                counting.count(rows, records)
            return counting.census(self.table)

    def feed(self, lookup: Lookup, *, doubts: bool = False) -> Iterator[Fed]:
        """What each batch leaves to buy. The lookup is a filter only: the intent decides.

        With `doubts` also what is in doubt, as far as it is wanted: all other work is done.
        """
        for _, rows, records in self._read(lookup):
            yield self._fed(rows, records, doubts)

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
            key, inputs, left_out = row
            record = records.get(key)
            if left_out and not isinstance(fate_of(record, self.wanted), UnderWay):
                shown = outcome_of_left_out(record, self.wanted).status
                if shown is RowStatus.SKIPPED:
                    keys["left_out"].append(key)
                else:
                    ended[shown] += 1
                continue
            fate = fate_of_doubt(record, self.wanted) if doubts and not left_out else None
            match fate or fate_of(record, self.wanted):
                case Ended(RowStatus.FAILED) if fate is not None and record is not None:
                    closed[key] = record.message
                    keys["waiting"].append(key)
                    keys["refreshing"] += [key] if _has_result(record, self.wanted) else []
                case Ended(status):
                    ended[status] += 1
                case UnderWay(stalled, refresh):
                    outgrown |= not left_out and _is_outgrown(record, self.wanted)
                    keys["stalled" if stalled else "waiting"].append(key)
                    keys["refreshing"] += [key] if refresh else []
                case Buy(supersedes, cause):
                    keys["waiting"].append(key)
                    keys["refreshing"] += [key] if _has_result(record, self.wanted) else []
                    items.setdefault(key, Item(key, inputs, supersedes, cause))
        seen = SeenRows(
            ended, keys["waiting"], keys["stalled"], keys["refreshing"], keys["left_out"]
        )
        return Fed(list(items.values()), seen, closed, outgrown)

    def outcomes(self, lookup: Lookup) -> Iterator[tuple[pl.DataFrame, list[Outcome]]]:
        """Each batch with what its rows show. `lookup` must give the outputs too."""
        for batch, rows, records in self._read(lookup):
            yield batch, [self._outcome(row, records) for row in rows]

    def outcomes_of(self, lookup: Lookup) -> Outcomes:
        """The same for batches that another reading of the same table brings, all rows of them."""
        read = self._begun(lookup)

        def shown(batch: pl.DataFrame) -> list[Outcome]:
            _, rows = read(batch)
            records = lookup([row[0] for row in rows if row])
            return [self._outcome(row, records) for row in rows]

        return shown

    def _outcome(self, row: Keyed, records: Mapping[bytes, Record]) -> Outcome:
        if row is None:
            return _SKIPPED
        shown = outcome_of_left_out if row[2] else outcome_of
        return shown(records.get(row[0]), self.wanted)

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
        """The inputs of the first rows that are submitted for."""
        chosen = (
            row[1]
            for _, rows, _ in self._read(lambda _: {})
            for row in rows
            if row and row[2] is None
        )
        return list(itertools.islice(chosen, most))

    def _read(
        self, lookup: Lookup
    ) -> Iterator[tuple[pl.DataFrame, list[Keyed], Mapping[bytes, Record]]]:
        """One pass: each batch with its rows, and what is known of them."""
        read = self._begun(lookup)
        for whole in self.table.batches():
            batch, rows = read(whole)
            yield batch, rows, lookup([row[0] for row in rows if row])

    def _begun(self, lookup: Lookup) -> Callable[[pl.DataFrame], tuple[pl.DataFrame, list[Keyed]]]:
        """Begin a pass whose batches are handed in; each is given back with its rows.

        Of a shard only what belongs to it is given back: to its job there are no other rows.
        """
        self._survey(lookup)
        choosing = self.selection.begin()
        numbers = self.occurrences.numbers() if self.occurrences else itertools.repeat(0)
        key = self.keys.key
        goes_on = self.earlier() if self.earlier else None
        kept = None if self.shard is None else _within(self.shard, self.mapping)

        def read(batch: pl.DataFrame) -> tuple[pl.DataFrame, list[Keyed]]:
            inputs = list(self.mapping.inputs_of(batch))
            left_out = choosing.of(batch, inputs)
            if goes_on is not None:
                marks = zip(left_out, goes_on(batch), strict=True)
                left_out = [why if mine else LeftOut.STEP for why, mine in marks]
            order = [0 if sent is None else next(numbers) for sent in inputs]
            rows = list(zip(inputs, order, left_out, strict=True))
            if kept is not None:
                mine = kept(rows)
                batch = batch.filter(pl.Series(mine, dtype=pl.Boolean))
                rows = list(itertools.compress(rows, mine))
            return batch, [
                None if sent is None else (key(sent, number), sent, why)
                for sent, number, why in rows
            ]

        return read

    def _survey(self, lookup: Lookup) -> None:
        """Read everything once before, if the sample or the numbers of equal rows need it."""
        occurrences = self.occurrences
        counts = occurrences is not None and not occurrences.is_ready
        if not counts and self.selection.is_ready:
            return

        def read() -> Iterator[tuple[pl.DataFrame, list[Inputs | None]]]:
            for batch in self.table.batches():
                lookup(())  # refused after the end: a long reading must not outlive the job
                inputs = list(self.mapping.inputs_of(batch))
                if occurrences is not None and counts:
                    occurrences.add(self.keys.key(sent) for sent in inputs if sent is not None)
                yield batch, inputs

        self.selection.draw(read())
        if occurrences is not None and counts:
            occurrences.finish()


_Numbered = tuple[Inputs | None, int, LeftOut | None]
"""A row before it has a key: what is sent, which of its equals it is, and why it is left out."""


def _within(shard: Shard, mapping: InputMapping) -> Callable[[Sequence[_Numbered]], list[bool]]:
    """Tells which rows of a batch belong to the shard."""
    place = placing(mapping.labels).key

    def kept(rows: Sequence[_Numbered]) -> list[bool]:
        return [
            shard.holds(None if sent is None else place(sent, number)) for sent, number, _ in rows
        ]

    return kept


_SKIPPED = Outcome(RowStatus.SKIPPED)


class _Counting:
    """A census under way; a context manager, since it may hold files."""

    def __init__(self, wanted: Wanted, labels: Sequence[str]) -> None:
        self._wanted = wanted
        self._labels = labels
        self._blank: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._content = 0
        self._new, self._again = DistinctCounter(), DistinctCounter()

    def __enter__(self) -> "_Counting":
        return self

    def __exit__(self, *_: object) -> None:
        self._new.close()
        self._again.close()

    def count(self, rows: Sequence[Keyed], records: Mapping[bytes, Record]) -> None:
        """Count one batch."""
        sent = [row for row in rows if row]
        self._counts["total"] += len(rows)
        self._left_out[LeftOut.BLANK] += len(rows) - len(sent)
        self._content += sum(int.from_bytes(row[0], "big") for row in sent)
        new = [row for row in sent if not row[2] and row[0] not in records]
        self._counts["new_rows"] += len(new)
        self._new.add([key for key, _, _ in new])
        for label in self._labels:
            texts = (inputs[label] for _, inputs, _ in new)
            self._blank[label] += sum(not text or text.isspace() for text in texts)
        for key, _, left_out in sent:
            if left_out:
                self._count_left_out(records.get(key), left_out)
            elif key in records:
                self._count_known(key, records[key])

    def _count_known(self, key: bytes, record: Record) -> None:
        self._counts["outdated"] += is_outdated(record, self._wanted)
        match fate_of_doubt(record, self._wanted) or fate_of(record, self._wanted):
            case Buy(_, cause):
                self._counts["new_rows"] += 1
                (self._again if cause is Cause.NEW else self._new).add((key,))
            case _:
                self._counts["reused"] += 1
                self._counts["not_refreshed"] += is_kept_broad(record, self._wanted)
                self._counts["used_up"] += is_used_up(record, self._wanted)

    def _count_left_out(self, record: Record | None, why: LeftOut) -> None:
        if record is None or outcome_of_left_out(record, self._wanted).status is RowStatus.SKIPPED:
            self._left_out[why] += 1
        else:
            self._counts["reused"] += 1
            self._counts["outdated"] += is_outdated(record, self._wanted)

    def census(self, table: Rows) -> Census:
        counts, again = self._counts, self._again.count()
        return Census(
            total=counts["total"],
            skipped=self._left_out.total(),
            reused=counts["reused"],
            new_rows=counts["new_rows"],
            new_runs=self._new.count() + again,
            bought_before=again,
            blank_lines=table.blank_lines,
            ragged_lines=table.ragged_lines,
            not_refreshed=counts["not_refreshed"],
            outdated=counts["outdated"],
            used_up=counts["used_up"],
            left_out={str(why): self._left_out[why] for why in LeftOut if self._left_out[why]},
            blank={label: n for label, n in self._blank.items() if n},
            content=f"{self._content % _SUM:032x}",
        )


def _has_result(record: Record | None, wanted: Wanted) -> bool:
    return record is not None and record.has_outputs and covers(record.outputs_asked, wanted.asked)


def _is_outgrown(record: Record | None, wanted: Wanted) -> bool:
    return record is not None and not covers(record.asked, wanted.asked)
