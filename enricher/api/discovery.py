"""`init`: what a target takes, what the file has, and how both fit together."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from enricher.api.inputs import open_source
from enricher.api.wiring import briefed
from enricher.errors import OutputError
from enricher.job import Job
from enricher.mapping import matched, resolve
from enricher.model import Inputs, Warn
from enricher.source import Table

SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Discovery:
    """A target and a file.

    Attributes:
        title: the target's name for people.
        labels: the inputs that it takes; `outputs` the names of the columns it gives back.
        columns: the header of the file.
        found: label to the one column of that name.
        unsure: label to why there is none.
    """

    title: str
    labels: tuple[str, ...]
    outputs: tuple[str, ...]
    columns: tuple[str, ...]
    found: Mapping[str, str]
    unsure: Mapping[str, str]
    _table: Table

    def samples(self, maps: Mapping[str, str], templates: Mapping[str, str]) -> list[Inputs]:
        """The first rows as they would be sent, as far as these labels are fed.

        Raises:
            MappingError: a column that is not there, a template that is none.
        """
        if not (maps or templates):
            return []
        mapping = resolve((*maps, *templates), self.columns, maps, templates)
        sent = (
            inputs
            for batch in self._table.batches()
            for inputs in mapping.inputs_of(batch)
            if inputs is not None
        )
        return list(itertools.islice(sent, SAMPLES))

    def check(self, label: str, maps: Mapping[str, str], templates: Mapping[str, str]) -> None:
        """Raise `MappingError` if what is to feed `label` does not fit the file."""
        resolve((label,), self.columns, maps, templates)


async def discover_for(job: Job, environ: Mapping[str, str], warn: Warn) -> Discovery:
    """See `api.discover`."""
    table = open_source(job)
    async with briefed(job, environ, warn) as told:
        briefing = told.briefing
        found, unsure = matched(briefing.labels, table.columns)
        return Discovery(
            title=briefing.title,
            labels=briefing.labels,
            outputs=tuple(column.name for column in briefing.outputs),
            columns=tuple(table.columns),
            found=found,
            unsure=unsure,
            _table=table,
        )


def check_free(path: Path) -> None:
    """Raise `OutputError` if there is something at `path` already."""
    if path.exists() or path.is_symlink():
        raise OutputError(
            f"{path} exists: it is not replaced.",
            mend="Name another file with -o, or remove this one.",
            code="job_file_exists",
        )


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        OutputError: there is something at `path`, or it cannot be written.
    """
    check_free(path)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}.", mend="Name another place with -o."
        ) from None


def path_within(path: Path, folder: Path) -> str:
    """`path` as it stands in a job file of `folder`: relative where it is below it."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
