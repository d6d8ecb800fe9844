"""Which files the tools may touch: those below the directories that were named at the start."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from enricher.errors import CannotGoOn, UsageError


class Roots:
    """Directories, links resolved.

    Raises:
        UsageError: one is no directory.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folder.expanduser().resolve() for folder in folders)
        for named, folder in zip(folders, self.folders, strict=True):
            if not folder.is_dir():
                raise UsageError(f"--root: {named} is no directory.", mend="Name one that exists.")

    def path(self, text: str) -> Path:
        """The place that `text` names, links resolved; a relative one is below the first root.

        Raises:
            CannotGoOn: it is outside.
        """
        place = self._resolved(text)
        if place is None or not self._holds(place):
            raise CannotGoOn(
                f"{text!r} is outside of what this server may touch.",
                mend=f"Name a file below {' or '.join(map(str, self.folders))}; whoever starts the"
                " server can name more with --root.",
                code="outside_root",
            )
        return place

    def file(self, text: str) -> Path:
        """The same of a file that is there.

        Raises:
            CannotGoOn: it is outside, or there is none.
        """
        path = self.path(text)
        if not path.is_file():
            raise CannotGoOn(
                f"There is no file {text!r}.",
                mend="Name one data file: .csv, .tsv, .ndjson, .jsonl or .parquet.",
                code="no_such_file",
            )
        return path

    def _resolved(self, text: str) -> Path | None:
        try:
            place = (self.folders[0] / text).resolve()
            with suppress(FileNotFoundError, NotADirectoryError):
                place.stat()  # a name can be too long to be asked for
            return place
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, a circle of links
            return None

    def _holds(self, place: Path) -> bool:
        return any(place.is_relative_to(folder) for folder in self.folders)
