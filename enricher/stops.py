"""Counts to: go on, or stop. Pure; the engine asks after every answer."""

from enricher.model import Stop, StopCode
from enricher.verdicts import RowRejected

REFUSALS_IN_A_ROW = 5


class Refusals:
    """Tells one poison row from a refusal that every row would meet.

    A suspicious refusal (an error that no document ties to the inputs) fails its row; it stops the
    job when it is the first answer of a pass, or at 5 different rows in a row: then it is the
    request that is wrong, and each further row would only repeat it.

    Args:
        answered: whether this pass had answers to submissions before.
    """

    def __init__(self, *, answered: bool) -> None:
        self._answered = answered
        self._in_a_row = 0

    def good_answer(self) -> None:
        self._answered = True
        self._in_a_row = 0

    def is_first(self, rejected: RowRejected) -> bool:
        """Whether this refusal is the first answer of the pass, and stops it."""
        return rejected.suspicious and not self._answered

    def count(self, rejected: RowRejected) -> Stop | None:
        """Take note of a refused row; a `Stop` when it is one too many."""
        self._answered = True
        self._in_a_row = self._in_a_row + 1 if rejected.suspicious else 0
        if self._in_a_row < REFUSALS_IN_A_ROW:
            return None
        return Stop(
            StopCode.REFUSED,
            f"the provider refused {REFUSALS_IN_A_ROW} rows in a row, the last one with"
            f" {rejected.code}: {rejected.message}",
        )
