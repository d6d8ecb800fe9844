"""Other checkpoints near by that know a list already: with them its rows need not be bought."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from enricher.api.wiring import Prepared
from enricher.checkpoint import Reader
from enricher.errors import CheckpointError

_ROWS_ASKED = 100
_MOST = 20
"""Checkpoints of a folder that are looked into."""


def known_elsewhere(ready: Prepared) -> Iterator[str]:
    """A line if a checkpoint beside the input, or beside the job's own, has results of the list.

    Of a job in shards the first one says it: the others would say the same.
    """
    shard = ready.job.shard
    near = [] if shard and shard.index else _near(ready)
    rows = ready.flow.samples(_ROWS_ASKED) if near else []
    keys = list(dict.fromkeys(map(ready.flow.keys.key, rows)))
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


def _near(ready: Prepared) -> list[Path]:
    job = ready.job
    folders = {job.checkpoint.parent}
    folders |= {job.input.parent} if isinstance(job.input, Path) else set()
    found = {path for folder in folders for path in folder.glob("*.checkpoint.db")}
    with suppress(OSError):
        return sorted(found - {job.checkpoint}, key=lambda path: -path.stat().st_mtime)[:_MOST]
    return []
