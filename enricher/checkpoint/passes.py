"""A pass: from a job's first invocation until it finishes."""

import json
from dataclasses import dataclass

from enricher.model import Spent


@dataclass(frozen=True, slots=True)
class Pass:
    """The pass of a job; `began` in seconds since 1970, `spent` if credits were counted."""

    id: int
    began: float
    spent: Spent | None

    @classmethod
    def of(cls, id_: int, began: float, spent: str | None) -> "Pass":
        """Read its row."""
        return cls(id_, began, Spent(**json.loads(spent)) if spent else None)
