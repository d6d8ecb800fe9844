"""How tables are named, and what a user may say of how their text is written.

The extension tells the format and the packing: `leads.csv.gz` is CSV, gzipped.
"""

import enum
import os
import re
from dataclasses import dataclass
from pathlib import Path

STANDARD = "-"
"""In the place of a path: standard input or output."""

_WILDCARD = re.compile(r"[*?]|\[[^\]]+\]")


class Packing(enum.StrEnum):
    """How the bytes of a text format are packed; the value is the extension."""

    NONE = ""
    GZIP = ".gz"
    ZSTD = ".zst"


class Ragged(enum.StrEnum):
    """What becomes of a row with too many or too few fields."""

    ERROR = "error"
    """It is refused by its line."""
    PAD = "pad"
    """Missing fields are empty; surplus ones are dropped if they are empty, else refused."""
    SKIP = "skip"
    """It is no row: not sent, and not in the output."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How an input is to be read; `None` is: as it is found, and the first sheet."""

    encoding: str | None = None
    delimiter: str | None = None
    ragged: Ragged = Ragged.ERROR
    sheet: str | None = None


AS_FOUND = Reading()


@dataclass(frozen=True, slots=True)
class TableName:
    """The name of a table's file, without its folder.

    `stem` and `extension` as they are written (`Leads`, `.CSV.gz`); `format` in lower case and
    without the packing (`.csv`), empty where there is none.
    """

    stem: str
    extension: str
    format: str
    packing: Packing

    def marked(self, mark: str) -> str:
        """`leads.csv.gz` marked `enriched` is `leads.enriched.csv.gz`."""
        return f"{self.stem}.{mark}{self.extension}"


def parse_name(name: str) -> TableName:
    """Take a file's name apart."""
    stem, last = _split(name)
    packing = next((one for one in Packing if one and one == last.lower()), Packing.NONE)
    if packing is Packing.NONE:
        return TableName(stem, last, last.lower(), packing)
    inner, first = _split(stem)
    return TableName(inner, first + last, first.lower(), packing)


def _split(name: str) -> tuple[str, str]:
    """Before the last dot, and from it on; a name that begins with its only dot has no end."""
    cut = name.rfind(".")
    return (name, "") if cut <= 0 or cut == len(name) - 1 else (name[:cut], name[cut:])


def split_pattern(path: Path) -> tuple[Path, str]:
    """The folder and the pattern below it of a name that stands for several files.

    Wildcards in a name that is there are part of it: where `path` or all that has wildcards in it
    exists, the pattern is empty.
    """
    base = path
    while not os.path.lexists(base) and base != base.parent:
        base = base.parent
    rest = str(path.relative_to(base)) if base != path else ""
    return (base, rest) if _WILDCARD.search(rest) else (path, "")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited text file is written."""

    delimiter: str = ","
    line_end: str = "\n"
    bom: bool = False


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file as it was when it was read; equal fingerprints mean that nobody wrote to it.

    `version` is whatever else tells it: a digest over several files, a store's own mark.
    """

    size: int
    mtime_ns: int
    inode: int
    version: str = ""
