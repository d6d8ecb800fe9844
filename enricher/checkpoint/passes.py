"""A pass: from a job's first invocation until it finishes."""

import json
from dataclasses import dataclass

from enricher.model import Spent

CONTINUED = (
    "SELECT id, started_at, rows_before, spent FROM passes WHERE job = ? AND finished_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Pass:
    """The pass of a job.

    Attributes:
        began: seconds since 1970.
        rows_before: how many rows the target had then, if it was told.
        spent: credits used since, if they were counted.
    """

    id: int
    began: float
    rows_before: int | None = None
    spent: Spent | None = None

    @classmethod
    def of(cls, id_: int, began: float, rows_before: int | None, spent: str | None) -> "Pass":
        """Read its row."""
        return cls(id_, began, rows_before, Spent(**json.loads(spent)) if spent else None)
