"""Other checkpoints near by: with them, what they know already need not be bought."""

import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from enricher.checkpoint import Reader
from enricher.errors import CheckpointError
from enricher.feed import RowFlow
from enricher.job import Job

_ROWS_ASKED = 100
_MOST = 20
"""Checkpoints of a folder that are looked into."""


def known_elsewhere(job: Job, flow: RowFlow) -> Iterator[str]:
    """A line if a checkpoint beside the input, or beside the job's own, has results of the list.

    Of a job in shards the first one says it: the others would say the same.
    """
    shard = job.shard
    near = [] if shard and shard.index else _near(job)
    rows = flow.samples(_ROWS_ASKED) if near else []
    keys = list(dict.fromkeys(map(flow.keys.key, rows)))
    for path in near:
        with suppress(CheckpointError), Reader(path) as reader:  # else it is of no use here
            if known := len(reader.records(keys)):
                where = "run it without shards, with " if shard else ""
                yield (
                    f"another checkpoint knows {known} of the first {len(keys)} inputs of"
                    f" {shard or 'this list'}; to buy them no second time:"
                    f" {where}--checkpoint {shlex.quote(str(path))}"
                )
                return


def writer_of(output: Path) -> Path | None:
    """The checkpoint beside `output` that wrote it, if there is one."""
    for path in _checkpoints_in([output.parent]):
        with suppress(CheckpointError), Reader(path) as reader:
            if reader.wrote(output):
                return path
    return None


def _near(job: Job) -> list[Path]:
    folders = {job.checkpoint.parent}
    folders |= {job.input.parent} if isinstance(job.input, Path) else set()
    return [path for path in _checkpoints_in(folders) if path != job.checkpoint]


def _checkpoints_in(folders: Iterable[Path]) -> list[Path]:
    """Those used last."""
    found = [path for folder in folders for path in folder.glob("*.checkpoint.db")]
    with suppress(OSError):
        return sorted(found, key=lambda path: -path.stat().st_mtime)[:_MOST]
    return []
