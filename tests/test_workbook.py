"""Workbooks as they are written and read back, cell by cell."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from enricher.errors import OutputError
from enricher.formats import Reading
from enricher.model import OutputColumn, RowStatus
from enricher.record import Outcome
from enricher.sink import Layout, write
from enricher.source import open_table
from enricher.source.worksheet_xml import name_of

calamine = pytest.importorskip("python_calamine")
pytest.importorskip("xlsxwriter")

DONE = Outcome(RowStatus.COMPLETED, outputs={"answer": "yes"})
ANSWER = OutputColumn("answer", "Answer")


def written(path, series, outcome=DONE, **layout):
    frame = pl.DataFrame([series.alias("0")])
    columns = Layout(("x",), (ANSWER,), **layout)
    told = write(path, columns, lambda: [(frame, [outcome] * frame.height)])
    with calamine.CalamineWorkbook.from_path(path) as book:
        return told, list(book.get_sheet_by_index(0).iter_rows())


@pytest.mark.parametrize(
    ("values", "dtype", "cell"),
    [
        ([1 << 53], pl.Int64, 9007199254740992.0),
        ([(1 << 53) + 1], pl.Int64, "9007199254740993"),
        ([0.1], pl.Float32, 0.1),
        ([1e300], pl.Float64, 1e300),
        ([float("inf")], pl.Float64, "inf"),
        ([Decimal("12.50")], pl.Decimal(10, 2), 12.5),
        ([date(1900, 2, 28)], pl.Date, "1900-02-28"),
        ([date(1900, 3, 1)], pl.Date, date(1900, 3, 1)),
        (
            [datetime(2020, 1, 2, 3, 4, 5, 678000)],
            pl.Datetime,
            datetime(2020, 1, 2, 3, 4, 5, 678000),
        ),
        ([datetime(2020, 1, 2, 3, 4, 5, 1)], pl.Datetime, "2020-01-02T03:04:05.000001"),
        ([datetime(2020, 1, 2, tzinfo=UTC)], pl.Datetime("us", "UTC"), "2020-01-02T00:00:00+00:00"),
        ([time(1, 2, 3)], pl.Time, time(1, 2, 3)),
        ([timedelta(days=2, seconds=1)], pl.Duration, timedelta(days=2, seconds=1)),
        ([timedelta(days=-1)], pl.Duration, "-P1D"),
        ([["a", "b"]], pl.List(pl.String), '["a","b"]'),
        (["a"], pl.Categorical, "a"),
        (["a\ufffeb"], pl.String, "a\ufffdb"),
        (["=1+1"], pl.String, "=1+1"),
        ([True], pl.Boolean, True),
        ([date(2020, 1, 1)], pl.Object, date(2020, 1, 1)),
    ],
)
def test_a_cell_holds_what_it_can_and_text_else(tmp_path, values, dtype, cell) -> None:
    _, rows = written(tmp_path / "out.xlsx", pl.Series(values, dtype=dtype))
    assert rows[1][0] == cell
    assert type(rows[1][0]) is type(cell)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_nothing_is_an_empty_cell(tmp_path, value) -> None:
    _, rows = written(tmp_path / "out.xlsx", pl.Series([value], dtype=pl.Float64))
    assert rows[1] == ["", "yes", "completed", ""]


def test_an_answer_that_is_too_long_is_cut_and_counted(tmp_path) -> None:
    outcome = Outcome(RowStatus.COMPLETED, outputs={"answer": "😀" * 20_000})
    told, rows = written(tmp_path / "out.xlsx", pl.Series(["a", "b"]), outcome)
    assert told.cut == 2
    assert rows[1][1] == "😀" * 16_350 + "… [cut: 40,000 characters]"


def test_a_cell_of_the_input_is_never_cut(tmp_path) -> None:
    with pytest.raises(OutputError, match=r"row 1, column 'x' has 32,768 characters"):
        written(tmp_path / "out.xlsx", pl.Series(["é" * 32_768]))
    assert list(tmp_path.iterdir()) == []


def test_columns_are_chosen_and_ordered(tmp_path) -> None:
    _, rows = written(tmp_path / "out.xlsx", pl.Series(["a"]), chosen=("Answer", "x"))
    assert rows == [["Answer", "x"], ["yes", "a"]]


def test_several_workbooks_agree_on_their_types(tmp_path) -> None:
    written(tmp_path / "1.xlsx", pl.Series([1]))
    written(tmp_path / "2.xlsx", pl.Series(["n/a"]))
    table = open_table(tmp_path / "*.xlsx", Reading(sheet="1"))
    cells = [cell for frame in table.batches() for cell in frame["0"].to_list()]
    assert cells == [1, "n/a"]


@pytest.mark.parametrize(
    ("place", "name"), [((0, 0), "A1"), ((4, 25), "Z5"), ((9, 26), "AA10"), ((0, 16383), "XFD1")]
)
def test_cells_are_named_as_spreadsheets_do(place, name) -> None:
    assert name_of(place) == name
