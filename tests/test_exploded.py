"""Results of several rows, written as so many rows."""

from datetime import date

import polars as pl
import pytest

from enricher.model import RowStatus
from enricher.record import Outcome
from enricher.sink import exploded


def done(**outputs):
    return Outcome(RowStatus.COMPLETED, outputs=outputs)


def shown(*outcomes):
    """Number of the row, and outputs, of every row that is written."""
    batch = pl.DataFrame({"0": range(len(outcomes))})
    rows, found = exploded((batch, outcomes))
    return [(number, one.outputs) for number, one in zip(rows["0"].to_list(), found, strict=True)]


def test_equally_long_lists_are_rows():
    assert shown(done(a=[1, 2], b=["x", None]), done(a=[3], b=["z"])) == [
        (0, {"a": 1, "b": "x"}),
        (0, {"a": 2, "b": None}),
        (1, {"a": 3, "b": "z"}),
    ]


@pytest.mark.parametrize(
    "outputs",
    [
        {"a": [1, 2], "b": [1]},
        {"a": [1, 2], "b": "beside it"},
        {"a": [1, 2], "b": None},
        {"a": [], "b": []},
        {"a": 1},
        {},
        None,
    ],
)
def test_anything_else_is_one_row_as_it_is(outputs):
    one = Outcome(RowStatus.COMPLETED, outputs=outputs)
    assert shown(one, done(a=[1, 2])) == [(0, outputs), (1, {"a": 1}), (1, {"a": 2})]


def test_status_error_and_cells_of_any_type_are_repeated():
    several = Outcome(RowStatus.FAILED, "X: no", {"a": [1, 2]}, kept_old=True, left_out=True)
    cells = {
        "0": pl.Series([{"any": 1}, (2,)], dtype=pl.Object),
        "1": [date(2024, 2, 29), None],
        "2": [["x"], []],
    }
    rows, found = exploded((pl.DataFrame(cells), [several, done(a=3)]))
    assert [(one.status, one.error, one.kept_old, one.left_out) for one in found] == [
        *[(RowStatus.FAILED, "X: no", True, True)] * 2,
        (RowStatus.COMPLETED, "", False, False),
    ]
    assert rows["0"].to_list() == [{"any": 1}, {"any": 1}, (2,)]
    assert rows["1"].to_list() == [date(2024, 2, 29), date(2024, 2, 29), None]
    assert rows["2"].to_list() == [["x"], ["x"], []]
