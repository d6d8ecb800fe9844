"""One row for each row of a result: the opposite of lists side by side."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from enricher.model import Json
from enricher.record import Outcome
from enricher.sink.layout import Pair


def exploded(pair: Pair, beside: Collection[str] = ()) -> Pair:
    """The rows of a batch, those whose outputs are equally long lists once for each element.

    The input's cells, the status and the outputs named in `beside` are repeated. Every row stays
    there at least once: one whose outputs are anything else, or lists of nothing, is one row as it
    is.
    """
    batch, outcomes = pair
    heights = [_height(outcome.outputs, beside) for outcome in outcomes]
    if not any(heights):
        return pair
    taken = [row for row, height in enumerate(heights) for _ in range(height or 1)]
    rows = [row for one in zip(outcomes, heights, strict=True) for row in _rows(*one, beside)]
    return batch[taken], rows


def _height(outputs: Mapping[str, Json] | None, beside: Collection[str]) -> int:
    """How many rows the outputs make; 0 if they are none or no rows at all."""
    lengths = {
        len(value) if isinstance(value, list) else 0
        for id_, value in (outputs or {}).items()
        if id_ not in beside
    }
    return lengths.pop() if len(lengths) == 1 else 0


def _rows(outcome: Outcome, height: int, beside: Collection[str]) -> Iterator[Outcome]:
    if not height or outcome.outputs is None:
        yield outcome
        return
    for number in range(height):
        outputs = {
            id_: value if id_ in beside else value[number] for id_, value in outcome.outputs.items()
        }
        yield replace(outcome, outputs=outputs)
