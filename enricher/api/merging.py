"""The output of a job in shards: each row is looked up where it was run, by who ran it."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from enricher import sink
from enricher.api.inputs import check_not_input, open_source
from enricher.api.shards import checkpoint_of, is_told
from enricher.api.wiring import stored_flow
from enricher.api.writing import Writer, check_layouts
from enricher.checkpoint import JobRecord, Reader
from enricher.checkpoint.exports import note_export, was_exported
from enricher.errors import CheckpointError, OutputError
from enricher.feed import RowFlow
from enricher.job import make_job
from enricher.manifest import Manifest, read_manifest
from enricher.mapping import KeyMaker, placing
from enricher.model import Inputs, OutputColumn, Warn
from enricher.record import Record
from enricher.shard import number_of


def merge_shards(
    path: Path,
    output: str,
    *,
    state_dir: Path | None,
    partial_too: bool,
    overwrite: bool,
    warn: Warn,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write the output of all shards, as a single run would have; returns the exit code of that.

    Args:
        changes: options of what is written, given anew.

    Raises:
        ManifestError, InputError, OutputError: see `errors`.
        CheckpointError: a shard is missing or not finished; names all of them.
    """
    manifest = read_manifest(path)
    with _opened(manifest, state_dir, partial_too) as readers:
        first = next(iter(readers.values()))
        record = first.job()
        given = {**changes, "output": output, "shard": None, "overwrite": overwrite}
        given |= manifest.input_here()
        job = make_job({**record.options, **given})
        place = job.output
        table = open_source(job)
        manifest.check_input(table.files)
        check_not_input(place, table, job)
        sink.check_writable(place)
        if sink.exists(place) and not overwrite and not was_exported(manifest.path, place):
            raise OutputError(
                f"{place} exists, and no merge of {path.name} wrote it.",
                mend="Name another file, or replace this one with --overwrite.",
                code="output_exists",
            )
        shards = Shards(readers, manifest.shards)
        with stored_flow(record, job, table) as stored:
            flow, lookup = replace(stored, keys=shards), shards.lookup
            outputs = shards.columns(flow)
            check_layouts(job, table, outputs, place)
            note_export(manifest.path, place)
            writer = Writer(job, table, outputs, partial(flow.outcomes, lookup), warn)
            rows = writer.write(place)
            if job.failures:
                writer.write_failures(job.failures)
        if len(readers) < manifest.shards or any(map(_goes_on, readers.values())):
            return 4
        return rows.exit_code(job.allow_failures)


def _goes_on(shard: Reader) -> bool:
    """Whether its job is not finished: more of its rows may come."""
    return bool(shard.open_pass(shard.job().id))


@contextmanager
def _opened(
    manifest: Manifest, state_dir: Path | None, partial_too: bool
) -> Iterator[dict[int, Reader]]:
    """The checkpoints of the shards, by number; missing ones are left out."""
    missing: dict[int, str] = {}
    with ExitStack() as held:
        readers: dict[int, Reader] = {}
        for index in range(manifest.shards):
            checkpoint = checkpoint_of(manifest, index, state_dir)
            if not is_told(checkpoint):
                missing[index] = f"{index} (not begun)"
                continue
            readers[index] = held.enter_context(Reader(checkpoint))
            if _goes_on(readers[index]):
                missing[index] = f"{index} (not finished)"
        if missing and not (partial_too and readers):
            raise CheckpointError(
                f"Shards are missing: {', '.join(missing.values())}.",
                mend=f"Run them (enricher run --manifest {shlex.quote(str(manifest.path))} --shard"
                f" {next(iter(missing))}), or take what there is with --partial; --state-dir says"
                " where the checkpoints are.",
                code="shards_missing",
            )
        yield readers


_PLACE_SIZE = 4
"""Bytes in front of a key that say in which shard it is."""


class Shards:
    """All shards as one: where a row is, under which key, and what it shows there.

    A key of these has the number of its shard in front, and behind it the content key by which
    the workspace of that shard keeps the row. Outputs are known by the ids of the first shard:
    each grid has ids of its own, and people know its outputs by their names.

    Raises:
        CheckpointError: the shards were not fed alike.
    """

    def __init__(self, readers: Mapping[int, Reader], count: int) -> None:
        self._count = count
        self._shards = {index: _Opened(reader, reader.job()) for index, reader in readers.items()}
        self._first = next(iter(self._shards.values()))
        for index, shard in self._shards.items():
            _check_mapping(index, shard.record, self._first.record)
        self._place = placing(tuple(self._first.record.mapping))
        self._names = {index: self._ids_of(shard) for index, shard in self._shards.items()}

    def key(self, inputs: Inputs, occurrence: int = 0) -> bytes:
        """The place and the key of a row; of one in a missing shard some key that none has."""
        content = self._place.content(inputs, occurrence)
        placed = self._place.key_of(content)
        index = number_of(placed, self._count)
        shard = self._shards.get(index)
        return index.to_bytes(_PLACE_SIZE, "big") + (
            shard.keys.key_of(content) if shard else placed
        )

    def lookup(self, keys: Sequence[bytes]) -> Mapping[bytes, Record]:
        """Each row in its shard; those of missing shards are not known."""
        by_shard: defaultdict[int, list[bytes]] = defaultdict(list)
        for key in keys:
            by_shard[int.from_bytes(key[:_PLACE_SIZE], "big")].append(key[_PLACE_SIZE:])
        found: dict[bytes, Record] = {}
        for index, some in by_shard.items():
            if shard := self._shards.get(index):
                place, names = index.to_bytes(_PLACE_SIZE, "big"), self._names[index]
                for key, record in shard.reader.records(some, outputs=True).items():
                    found[place + key] = _renamed(record, names)
        return found

    def columns(self, flow: RowFlow) -> tuple[OutputColumn, ...]:
        """The output's columns: those announced, then others that came back in any shard."""
        announced = {column.id: column for column in self._first.record.output_columns}
        seen = {
            self._names[index].get(column.id, column.id): column.name
            for index, shard in self._shards.items()
            for column in shard.reader.output_columns(shard.record)
        }
        more = sorted(seen.keys() - announced.keys())
        columns = (*announced.values(), *(OutputColumn(id_, seen[id_]) for id_ in more))
        return columns if announced else flow.by_first_appearance(columns, self.lookup)

    def _ids_of(self, shard: "_Opened") -> Mapping[str, str]:
        """The shard's ids of outputs, by each the first shard's; empty where they are the same."""
        if shard.record.context == self._first.record.context:
            return {}
        theirs = _numbered(shard.reader.output_columns(shard.record))
        ours = _numbered(self._first.reader.output_columns(self._first.record))
        return {id_: ours[name] for name, id_ in theirs.items() if name in ours}


@dataclass(frozen=True, slots=True)
class _Opened:
    """A shard, the job in it, and the keys by which that job keeps its rows."""

    reader: Reader
    record: JobRecord
    keys: KeyMaker = field(init=False)

    def __post_init__(self) -> None:
        labels = tuple(self.record.mapping)
        object.__setattr__(self, "keys", KeyMaker(self.record.context, labels))


def _check_mapping(index: int, record: JobRecord, first: JobRecord) -> None:
    if record.mapping != first.mapping:
        raise CheckpointError(
            f"Shard {index} was fed otherwise than the others: its grid had other inputs.",
            mend="Plan the shards again and run them; `enricher export` of a shard's checkpoint"
            " writes what it holds.",
            code="shards_differ",
        )


def _numbered(columns: Sequence[OutputColumn]) -> dict[tuple[str, int], str]:
    """Ids by name; of several columns of a name, the first, the second and so on."""
    seen: Counter[str] = Counter()
    found = {}
    for column in columns:
        found[column.name, seen[column.name]] = column.id
        seen[column.name] += 1
    return found


def _renamed(record: Record, names: Mapping[str, str]) -> Record:
    """The record with ids of outputs as the first shard has them."""
    if not names:
        return record
    outputs = record.outputs
    return replace(
        record,
        asked=_ids(record.asked, names),
        outputs_asked=_ids(record.outputs_asked, names),
        outputs=outputs and {names.get(id_, id_): value for id_, value in outputs.items()},
    )


def _ids(asked: frozenset[str] | None, names: Mapping[str, str]) -> frozenset[str] | None:
    return None if asked is None else frozenset(names.get(id_, id_) for id_ in asked)
