"""Several steps over the same rows: which rows go on to the next, and what a row shows. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from enricher.model import Json, OutputColumn, RowStatus
from enricher.record import Outcome

STEP = "step"
"""The id of the column that says which step answered; those of the others are numbers."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a waterfall.

    Attributes:
        name: what the output calls it.
        wanted: ids of the outputs of which it must fill one; `None`: any result is an answer.
        columns: what it gives, in its order.
    """

    name: str
    wanted: frozenset[str] | None
    columns: tuple[OutputColumn, ...] = ()

    def goes_on(self, outcome: Outcome) -> bool:
        """Whether a row ended here without an answer, so that the next step is asked."""
        return self._is_short(outcome) and not outcome.left_out

    def may_go_on(self, outcome: Outcome) -> bool:
        """The same before it is known how the row will end."""
        return outcome.status is RowStatus.PENDING or self.goes_on(outcome)

    def answers(self, outcome: Outcome) -> bool:
        """Whether this is what was wanted."""
        return outcome.status is RowStatus.COMPLETED and not self._is_short(outcome)

    def _is_short(self, outcome: Outcome) -> bool:
        if outcome.status is not RowStatus.COMPLETED or self.wanted is None:
            return outcome.status is RowStatus.FAILED
        outputs = outcome.outputs or {}
        return all(is_empty(outputs.get(id_)) for id_ in self.wanted)

    def passes_by(self, outcome: Outcome) -> bool:
        """Whether a row that has come here shows what the steps before made of it."""
        unasked = outcome.left_out and outcome.status is not RowStatus.COMPLETED
        return outcome.status is RowStatus.SKIPPED or unasked


def is_answered(steps: Sequence[Step], outcomes: Sequence[Outcome]) -> bool:
    """Whether a row that goes on to these steps, in order, has its answer there."""
    for step, outcome in zip(steps, outcomes, strict=True):
        if step.answers(outcome) or not step.goes_on(outcome):
            return step.answers(outcome)
    return False


def is_empty(value: Json) -> bool:
    """Whether an output holds nothing: null, white space, or lists and objects of such."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, list | dict):
        return all(map(is_empty, value.values() if isinstance(value, dict) else value))
    return value is None


class Merged:
    """The columns of all steps as those of one output.

    Columns of one display name are one column, a second one of that name in the same step the
    second one of all; in the order in which the steps have them. The last says who answered.
    """

    def __init__(self, steps: Sequence[Step], status_prefix: str) -> None:
        self._steps = steps
        found: dict[tuple[str, int], OutputColumn] = {}
        self._ids = [_placed(step.columns, found) for step in steps]
        self.columns = (*found.values(), OutputColumn(STEP, f"{status_prefix}_step"))

    def folded(self, outcomes: Sequence[Outcome]) -> Outcome:
        """What a row shows: the outcomes of its steps, in order, as one.

        The step that answered tells status and values, or else the last that the row came to.
        Where it has nothing, what earlier steps found stays: it was paid.
        """
        first = last = outcomes[0]
        values: dict[str, Json] = {}
        for number, (outcome, step) in enumerate(zip(outcomes, self._steps, strict=True)):
            if number and step.passes_by(replace(outcome, left_out=first.left_out)):
                break
            last = outcome
            self._fill(values, outcome.outputs or {}, self._ids[number])
            if step.answers(outcome):
                values[STEP] = step.name
            if not step.goes_on(replace(outcome, left_out=False)):
                break
        kept_old = any(outcome.kept_old for outcome in outcomes)
        return replace(last, outputs=values or None, kept_old=kept_old, left_out=first.left_out)

    @staticmethod
    def _fill(values: dict[str, Json], outputs: Mapping[str, Json], ids: Mapping[str, str]) -> None:
        for id_, value in outputs.items():
            place = ids.get(id_)
            if place is not None and (place not in values or not is_empty(value)):
                values[place] = value


def _placed(
    columns: Sequence[OutputColumn], found: dict[tuple[str, int], OutputColumn]
) -> dict[str, str]:
    """For each column of a step the id of that of the output; new ones are added to `found`."""
    seen: Counter[str] = Counter()
    ids = {}
    for column in columns:
        seen[column.name] += 1
        new = OutputColumn(str(len(found)), column.name)
        ids[column.id] = found.setdefault((column.name, seen[column.name]), new).id
    return ids
