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

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened_as = regular_file(path)
        _check_marks(path)
        with _polars_errors(path):
            self._schema = _scan(path).collect_schema()
            self._rows: int = _scan(path).select(pl.len()).collect().item()  # of the metadata
        self.columns = tuple(self._schema)
        if not self.columns:
            raise InputError(f"{path} has no columns", mend="Write it again with its columns.")

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def fingerprint(self) -> Fingerprint:
        return regular_file(self.path)

    def batches(self) -> Generator[pl.DataFrame, None, None]:
        names = [str(index) for index in range(len(self.columns))]
        rows = 0
        with unchanged(self.path, self._opened_as):
            for frame in _streamed(self.path, rows_per_batch(len(names))):
                rows += frame.height
                frame.columns = names
                if frame.height:
                    yield frame
            # Damaged data can make a thread of polars die, and then the batches just end.
            if rows != self._rows:
                raise _damaged(self.path, f"{rows:,} of its {self._rows:,} rows could be read")
        if not rows:
            empty = pl.DataFrame(schema=self._schema)
            empty.columns = names
            yield empty


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _streamed(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """The only place that knows `collect_batches`, which polars calls unstable."""
    with _polars_errors(path):
        batches = _scan(path).collect_batches(
            chunk_size=rows, maintain_order=True, lazy=True, engine="streaming"
        )
    while True:
        with _polars_errors(path):
            frame = next(batches, None)
        if frame is None:
            return
        yield frame


@contextmanager
def _polars_errors(path: Path) -> Iterator[None]:
    """Damaged files make polars raise its own errors, those of the system, or panic."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        cause = (str(error).splitlines() or ["no reason given"])[0]
        raise _damaged(path, cause) from error


def _damaged(path: Path, cause: str) -> InputError:
    return InputError(
        f"{path} cannot be read as Parquet: {cause}",
        mend="The file is probably damaged: write or copy it again.",
    )


def _check_marks(path: Path) -> None:
    """Tell a file that is no Parquet, or only the beginning of one, by its first and last bytes."""
    with opened(path) as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        tail = file.read(4)
    if _ENCRYPTED in (head, tail):
        raise InputError(f"{path} is encrypted Parquet", mend="Write it without encryption.")
    if head != _MARK:
        raise InputError(
            f"{path} is not a Parquet file, whatever its name says",
            mend="Give it the extension of its kind (.csv), or write it again as Parquet.",
        )
    if tail != _MARK:
        raise InputError(
            f"{path} ends in the middle: a Parquet file ends with PAR1, this one does not",
            mend="It was probably not written or copied to the end: do that again.",
        )
