"""Parquet, streamed, types kept."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from enricher.errors import InputError
from enricher.formats import Fingerprint
from enricher.source.batches import rows_per_batch
from enricher.source.files import opened, regular_file, unchanged

_MARK = b"PAR1"
_ENCRYPTED = b"PARE"


class ParquetTable:
    """A Parquet file; the interface is `Table`."""

    dialect = None
    blank_lines = 0
    ragged_lines = 0
    remarks = ()

    def __init__(self, path: Path, shown: str = "") -> None:
        self.path = path
        self._shown = shown or str(path)
        self._opened_as = regular_file(path)
        _check_marks(path, self._shown)
        with _polars_errors(self._shown):
            self._schema = _scan(path).collect_schema()
            self._rows: int = _scan(path).select(pl.len()).collect().item()  # of the metadata
        self.columns = tuple(self._schema)
        if not self.columns:
            raise InputError(
                f"{self._shown} has no columns", mend="Write it again with its columns."
            )

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def fingerprint(self) -> Fingerprint:
        return regular_file(self.path)

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        names = [str(index) for index in range(len(self.columns))]
        rows = 0
        with unchanged(self.path, self._opened_as):
            for frame in _streamed(self.path, self._shown, rows_per_batch(len(names))):
                rows += frame.height
                frame.columns = names
                if frame.height:
                    yield frame
            # Damaged data can make a thread of polars die, and then the batches just end.
            if rows != self._rows:
                raise _damaged(self._shown, f"{rows:,} of its {self._rows:,} rows could be read")
        if not rows:
            empty = pl.DataFrame(schema=self._schema)
            empty.columns = names
            yield empty


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _streamed(path: Path, shown: str, rows: int) -> Iterator[pl.DataFrame]:
    """The only place that knows `collect_batches`, which polars calls unstable."""
    with _polars_errors(shown):
        batches = _scan(path).collect_batches(
            chunk_size=rows, maintain_order=True, lazy=True, engine="streaming"
        )
    while True:
        with _polars_errors(shown):
            frame = next(batches, None)
        if frame is None:
            return
        yield frame


@contextmanager
def _polars_errors(shown: str) -> Iterator[None]:
    """Damaged files make polars raise its own errors, those of the system, or panic."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        cause = (str(error).splitlines() or ["no reason given"])[0]
        raise _damaged(shown, cause) from error


def _damaged(shown: str, cause: str) -> InputError:
    return InputError(
        f"{shown} cannot be read as Parquet: {cause}",
        mend="The file is probably damaged: write or copy it again.",
    )


def _check_marks(path: Path, shown: str) -> None:
    """Tell a file that is no Parquet, or only the beginning of one, by its first and last bytes."""
    with opened(path) as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        tail = file.read(4)
    if _ENCRYPTED in (head, tail):
        raise InputError(f"{shown} is encrypted Parquet", mend="Write it without encryption.")
    if head != _MARK:
        raise InputError(
            f"{shown} is not a Parquet file, whatever its name says",
            mend="Give it the extension of its kind (.csv), or write it again as Parquet.",
        )
    if tail != _MARK:
        raise InputError(
            f"{shown} ends in the middle: a Parquet file ends with PAR1, this one does not",
            mend="It was probably not written or copied to the end: do that again.",
        )
