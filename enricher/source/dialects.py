"""Which character separates the cells of a text table."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from enricher.errors import InputError

NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""What is looked for, the likeliest first."""

_RECORDS = 200
"""Records after the header that are looked at."""

_DECIMAL_COMMA = re.compile(r"(?<![0-9]),|,(?![0-9])")
"""A comma that does not stand between two digits."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """How the head of a file reads with one delimiter: `fitting` of `records` have its width."""

    mark: str
    header: tuple[str, ...]
    records: int
    fitting: int

    @property
    def fit(self) -> tuple[float, int]:
        share = self.fitting / self.records if self.records else 0.0
        return share, len(self.header)

    @property
    def is_perfect(self) -> bool:
        return self.fitting == self.records > 0


def find_delimiter(shown: str, lines: Sequence[str], default: str) -> str:
    """Tell the delimiter from the header and the first records of `lines`, quotes respected.

    A delimiter must divide the header. Of several that do, the one that gives most records as
    many fields as the header; where two give them to all records, nobody can know.

    Args:
        default: for a table of one column.

    Raises:
        InputError: two fit equally well.
    """
    found = [one for mark in NAMES if len((one := _candidate(lines, mark)).header) > 1]
    perfect = [one for one in found if one.is_perfect]
    if len(perfect) > 1 and perfect[0].mark == "," and _are_decimal(lines):
        del perfect[0]
    if len(perfect) > 1:
        raise _ambiguous(shown, perfect)
    return max(perfect or found, key=lambda one: one.fit).mark if found else default


def _candidate(lines: Sequence[str], mark: str) -> _Candidate:
    header: list[str] = []
    widths: Counter[int] = Counter()
    try:
        for record in csv.reader(lines, delimiter=mark, strict=True):
            if not header:
                header = record
            elif record:
                widths[len(record)] += 1
            if widths.total() == _RECORDS:
                break
    except csv.Error:  # the lines end inside a cell, or this is not the delimiter
        pass
    return _Candidate(mark, tuple(header), widths.total(), widths[len(header)])


def _are_decimal(lines: Sequence[str]) -> bool:
    """Whether each comma of the first lines after the header stands between two digits."""
    return not any(map(_DECIMAL_COMMA.search, lines[1:_RECORDS]))


def _ambiguous(shown: str, fitting: Sequence[_Candidate]) -> InputError:
    ways = " or ".join(
        f"{NAMES[one.mark]}s ({len(one.header)} columns, the first {one.header[0]!r})"
        for one in fitting
    )
    return InputError(
        f"{shown} may be separated by {ways}: its first lines fit either",
        mend="Say which it is, for instance --delimiter ';' (or tab).",
    )
