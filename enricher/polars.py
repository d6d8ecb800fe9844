"""Frames: `import enricher.polars` gives every polars frame the namespace `enricher`.

    import enricher.polars

    enriched = df.enricher.run(grid="a1b2c3d4-…", inputs={"company": "Name"}, checkpoint="a.db")

A frame is copied once to a Parquet file beside the checkpoint, as standard input is: types and text
stay as they are, a row has the same content key as the same row in a file, and nothing is bought
twice. The copy is what `resume`, `status` and `export` read.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, Unpack, overload

import polars as pl

from enricher import api, library
from enricher.errors import InputError, UsageError
from enricher.library.events import Hear
from enricher.library.options import Options, plain

__all__ = ["FrameNamespace", "LazyNamespace", "plan", "run"]


@overload
def run(
    data: pl.LazyFrame,
    /,
    *,
    on_event: Hear | None = None,
    progress: bool = False,
    **options: Unpack[Options],
) -> pl.LazyFrame: ...


@overload
def run(
    data: Any,
    /,
    *,
    on_event: Hear | None = None,
    progress: bool = False,
    **options: Unpack[Options],
) -> pl.DataFrame: ...


def run(
    data: Any,
    /,
    *,
    on_event: Hear | None = None,
    progress: bool = False,
    **options: Unpack[Options],
) -> pl.DataFrame | pl.LazyFrame:
    """Enrich a frame, or go on where an earlier call with the same checkpoint was stopped.

    Args:
        data: a frame of polars, or what it can take over: of pandas (its index is left out), of
            Arrow, or anything with the Arrow stream or the dataframe interchange.
        on_event, progress, options: as for `enricher.run`; `checkpoint` is required. `output` may
            name a Parquet file that is to stay.

    Returns:
        The frame, then the outputs' columns, then `enrichment_status` and `enrichment_error`. Where
        a cap (of runs, credits or seconds) stopped the job, some rows are `pending`, and the same
        call goes on. A `LazyFrame` is streamed to a file and comes back as a scan of the output, a
        file beside the checkpoint: good until the next run of the same job.

    Raises:
        UsageError: lists every option that is wrong; or this is no table.
        InputError: a column of a type that has no place in a file.
        CannotGoOn, TryLater: as `enricher.run`.

    Example:
        >>> frame = pl.read_csv("companies.csv", infer_schema=False)
        >>> enriched = enricher.polars.run(frame, grid=GRID, checkpoint="companies.db")
        >>> enriched["enrichment_status"].value_counts(sort=True).rows()
        [('completed', 39), ('skipped', 1)]
    """
    frame, checkpoint = frame_of(data), _checkpoint_in(options)
    with api.table_copied(checkpoint, partial(_write, frame), for_good=True) as copy:
        job = _job(checkpoint, copy, options)
        summary = library.run(job, on_event=on_event, progress=progress)
    stopped = summary.outcome is api.JobOutcome.STOPPED
    written = Path(str(job.partial if stopped and job.partial else job.output))
    if isinstance(data, pl.LazyFrame):
        return pl.scan_parquet(written, glob=False)
    enriched = pl.read_parquet(written, glob=False, memory_map=False)
    if not options.get("output"):
        written.unlink()
    return enriched


def plan(data: Any, /, *, on_event: Hear | None = None, **options: Unpack[Options]) -> api.Plan:
    """Say what `run` with the same arguments would do; submits nothing, costs no credits.

    Returns:
        As `enricher.plan`; seconds are an estimate.

    Raises:
        UsageError, InputError, CannotGoOn, TryLater: as `run`.

    Example:
        >>> frame = pl.read_csv("companies.csv", infer_schema=False)
        >>> enricher.polars.plan(frame, grid=GRID, checkpoint="companies.db").census.new_runs
        36
    """
    frame, checkpoint = frame_of(data), _checkpoint_in(options)
    with api.table_copied(checkpoint, partial(_write, frame), for_good=False) as copy:
        return library.plan(_job(checkpoint, copy, options), on_event=on_event)


@pl.api.register_dataframe_namespace("enricher")
class FrameNamespace:
    """`df.enricher`: `run` and `plan` for this frame.

    Raises:
        UsageError, InputError, CannotGoOn, TryLater: as `enricher.polars.run`.

    Example:
        >>> frame = pl.DataFrame({"Company Name": ["Lowe's"], "Website": ["lowes.com"]})
        >>> frame.enricher.run(grid=GRID, checkpoint="a.db").columns[-2:]  # costs credits
        ['enrichment_status', 'enrichment_error']
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def run(
        self,
        *,
        on_event: Hear | None = None,
        progress: bool = False,
        **options: Unpack[Options],
    ) -> pl.DataFrame:
        """See `enricher.polars.run`."""
        return run(self._frame, on_event=on_event, progress=progress, **options)

    def plan(self, *, on_event: Hear | None = None, **options: Unpack[Options]) -> api.Plan:
        """See `enricher.polars.plan`."""
        return plan(self._frame, on_event=on_event, **options)


@pl.api.register_lazyframe_namespace("enricher")
class LazyNamespace:
    """The same for a `LazyFrame`, which never stands in memory as a whole.

    Raises:
        UsageError, InputError, CannotGoOn, TryLater: as `enricher.polars.run`.

    Example:
        >>> rows = pl.scan_csv("companies.csv", infer_schema=False).head(5)
        >>> enriched = rows.enricher.run(grid=GRID, checkpoint="a.db")  # costs credits
        >>> enriched.collect().height
        5
    """

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def run(
        self,
        *,
        on_event: Hear | None = None,
        progress: bool = False,
        **options: Unpack[Options],
    ) -> pl.LazyFrame:
        """See `enricher.polars.run`."""
        return run(self._frame, on_event=on_event, progress=progress, **options)

    def plan(self, *, on_event: Hear | None = None, **options: Unpack[Options]) -> api.Plan:
        """See `enricher.polars.plan`."""
        return plan(self._frame, on_event=on_event, **options)


def frame_of(table: Any) -> pl.LazyFrame:
    """What polars makes of a table.

    Raises:
        UsageError: this is no table.
    """
    if isinstance(table, pl.LazyFrame):
        return table
    if isinstance(table, pl.DataFrame):
        return table.lazy()
    if hasattr(table, "__arrow_c_stream__"):
        return pl.DataFrame(table).lazy()
    if hasattr(table, "__dataframe__"):
        return pl.from_dataframe(table).lazy()
    raise UsageError(
        f"A {type(table).__name__} is no table that polars can take over.",
        mend="Give a frame of polars or pandas, or a table of Arrow; files go to enricher.run.",
    )


def _checkpoint_in(options: Options) -> Path:
    path = options.get("checkpoint")
    if path is None:
        raise UsageError(
            "A frame needs a checkpoint: there is no file that one could stand beside.",
            mend='Name one that the next call finds again: checkpoint="leads.checkpoint.db".',
        )
    output = options.get("output")
    if output is not None and ("://" in str(output) or Path(output).suffix.lower() != ".parquet"):
        raise UsageError(
            f"The output of a frame is a Parquet file on this machine, not {output}.",
            mend="Leave `output` out, and write the frame that comes back.",
        )
    return Path(path).absolute()


def _job(checkpoint: Path, copy: Path, options: Options) -> api.Job:
    """The job of a frame: known by its checkpoint, so that another night's frame is the same one.

    The output's name is of this very job, since a checkpoint may hold several.
    """
    known_as = checkpoint.with_name(f"{checkpoint.name}.input.parquet")
    given = {"output": known_as.with_suffix(".tmp.parquet"), **plain(options), "read_from": copy}
    job = api.order_of(known_as, given).job
    if options.get("output"):
        return job
    output = checkpoint.with_name(f"{checkpoint.name}.output-{job.id}.parquet")
    return api.changed(job, {"output": output}, os.environ)


def _write(frame: pl.LazyFrame, path: Path) -> None:
    try:
        frame.sink_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"The frame cannot be written to a file: {str(error).splitlines()[0]}",
            mend="Cast columns of Python objects to text or lists, and look whether it collects.",
        ) from error
