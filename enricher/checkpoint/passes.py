"""A job as an invocation begins it, and its pass: from its first invocation to its finish."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enricher.model import Context, OutputColumn, Spent

CONTINUED = (
    "SELECT id, started_at, rows_before, spent FROM passes WHERE job = ? AND finished_at IS NULL"
)

LAST_INVOCATION = (
    "SELECT j.context, i.pass, j.column_set FROM invocations i JOIN jobs j ON j.id = i.job"
    " ORDER BY i.id DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as an invocation begins it. `options` and `mapping` are JSON objects.

    Attributes:
        asked: the ids of the outputs to ask for, `None` for all; written with each attempt.
        revision: of the target; written with each attempt.
        rows_before: how many rows the target has now, if it was told.
    """

    id: str
    context: Context
    asked: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    output_columns: Sequence[OutputColumn] = ()
    revision: str = ""
    rows_before: int | None = None


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
