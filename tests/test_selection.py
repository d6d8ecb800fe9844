"""Which rows are submitted for: filters, samples, and what is told of an expression in error."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.errors import MappingError, SelectionError
from enricher.record import LeftOut
from enricher.selection import Choice, Selection, Where, column_names

COLUMNS = ("n", "Company Name", "Note", "Note", "", "Size")
CELLS = {
    "0": ["1", "2", None],
    "1": ["Acme", "Beta", ""],
    "2": ["x", "y", "z"],
    "3": ["p", "q", "r"],
    "4": ["a", "b", "c"],
    "5": ["5", "n/a", "70"],
}
BATCH = pl.DataFrame(CELLS)


def where(text, columns=COLUMNS, batch=BATCH):
    return Where(text, columns, batch)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("n = '1'", [1, 0, 0]),
        ("n <> '1'", [0, 1, 0]),
        ('"Company Name" IS NULL', [0, 0, 1]),
        ("\"Note (2)\" = 'q' OR \"column 5\" = 'c'", [0, 1, 1]),
        ("TRY_CAST(Size AS INT) > 50", [0, 0, 1]),
        ("CAST(n AS INT) + 1 > 2 OR n IS NULL", [0, 1, 1]),
        ("true", [1, 1, 1]),
        ("\"Company Name\" LIKE 'A%'  -- max(n)", [1, 0, 0]),
        ("n = 'max(n) over'", [0, 0, 0]),
    ],
)
def test_an_expression_is_true_or_not_for_each_row(text, passes):
    assert where(text).passes(BATCH) == [bool(one) for one in passes]


def test_types_of_the_input_are_kept():
    batch = pl.DataFrame({"0": [1, 2], "1": [[1], []]})
    assert where("a > 1", ("a", "b"), batch).passes(batch) == [False, True]


@pytest.mark.parametrize(
    ("text", "cause", "place"),
    [
        ("n = = 3", "found: =", 4),
        ("n >", "found: EOF", 3),
        ("n = 'a", "Unterminated string", 4),
        ("Company Name = 'x'", "found: Name", 8),
        ("n='1') OR (n='2'", "found: )", 5),
        ("n = '1' AND Nmae = 'x'", 'unable to find column "Nmae"', 12),
        ("Note = 'x'", 'unable to find column "Note"', 0),
        ("n > AVG(n)", "AVG looks at many rows", 4),
        ("ROW_NUMBER() OVER (ORDER BY n) < 3", "ROW_NUMBER looks at many rows", 0),
        ("n IN (SELECT 3)", "SELECT looks at many rows", 6),
        ("n > 5", "cannot compare string with numeric", None),
        ("n", "it gives String, not true or false", None),
        ("foo(n) = 1", "unsupported function 'foo'", None),
        (" ", "found: EOF", 1),
    ],
)
def test_a_mistake_shows_the_expression_the_columns_and_the_place(text, cause, place):
    with pytest.raises(SelectionError) as caught:
        where(text)
    first, expression, *rest = caught.value.message.splitlines()
    assert cause in first
    assert expression == f"  {text}"
    assert rest[-1] == (
        'The columns are: "n", "Company Name", "Note (1)", "Note (2)", "column 5", "Size"'
    )
    assert rest[:-1] == ([] if place is None else [" " * (place + 2) + "^"])


def test_a_cell_that_cannot_be_told_is_named_with_its_row():
    with pytest.raises(SelectionError, match=r"row 12, where Size is 'n/a'") as caught:
        where("CAST(Size AS INT) > 50").passes(BATCH, before=10)
    assert "CAST cannot read that" in caught.value.message
    assert "TRY_CAST" in caught.value.mend
    assert "comma" not in caught.value.mend


def test_who_compares_decimal_commas_is_told_how():
    prices = pl.DataFrame({"0": ["12,5", "3,1"]})
    with pytest.raises(SelectionError, match=r"Price is '12,5'") as caught:
        Where("CAST(Price AS FLOAT) > 5", ["Price"], prices).passes(prices)
    assert "CAST(REPLACE(n, ',', '.') AS FLOAT)" in caught.value.mend
    told = Where("CAST(REPLACE(Price, ',', '.') AS FLOAT) > 5", ["Price"], prices)
    assert told.passes(prices) == [True, False]


@given(st.lists(st.sampled_from(["a", "b", "", "a (1)", "a (2)", "column 1", "column 3"])))
def test_every_column_has_a_name_of_its_own_and_single_ones_keep_theirs(columns):
    names = column_names(columns)
    assert len(set(names)) == len(columns)
    for column, name in zip(columns, names, strict=True):
        assert name == column or not column or columns.count(column) > 1


# --- samples, offsets and limits -------------------------------------------------------------


def left_out(choice, rows, sizes=(3,), labels=("a",)):
    """What a selection says of rows, read in batches; a row is its text for the label `a`."""
    selection = Selection(choice, labels)

    def batches():
        at = 0
        while at < len(rows):
            part = rows[at : at + sizes[at % len(sizes)]]
            at += len(part)
            inputs = [None if text is None else {"a": text} for text in part]
            yield pl.DataFrame({"0": part}, schema={"0": pl.String}), inputs

    if not selection.is_ready:
        selection.draw(batches())
    choosing = selection.begin()
    return [reason for batch, inputs in batches() for reason in choosing.of(batch, inputs)]


def chosen(choice, rows, **how):
    return [n for n, reason in enumerate(left_out(choice, rows, **how)) if reason is None]


def test_a_limit_counts_rows_that_pass():
    rows = [None, "x", " ", "y", "z", "x"]
    choice = Choice(require=("a",), limit=2, offset=1)
    assert left_out(choice, rows) == [
        LeftOut.BLANK, LeftOut.OFFSET, LeftOut.REQUIRE, None, None, LeftOut.LIMIT,
    ]  # fmt: skip


@given(
    rows=st.lists(st.sampled_from([None, "", "x", "y"]), max_size=40),
    sample=st.integers(1, 50),
    seed=st.integers(-3, 3),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_a_sample_has_its_size_and_is_the_same_however_the_rows_are_read(rows, sample, seed, sizes):
    choice = Choice(require=("a",), sample=sample, seed=seed)
    found = chosen(choice, rows)
    fit = [n for n, text in enumerate(rows) if text]
    assert len(found) == min(sample, len(fit))
    assert set(found) <= set(fit)
    assert found == chosen(choice, rows, sizes=sizes)
    larger = chosen(Choice(require=("a",), sample=sample + 5, seed=seed), rows)
    assert set(found) <= set(larger)


def test_samples_are_spread_evenly_and_differ_by_seed():
    rows = ["x"] * 400
    drawn = [chosen(Choice(sample=40, seed=seed), rows) for seed in range(50)]
    halves = sum(n < 200 for some in drawn for n in some)
    assert 900 < halves < 1100
    assert len({tuple(some) for some in drawn}) == 50


def test_a_sample_of_a_list_that_grew_keeps_most_rows():
    before = chosen(Choice(sample=100), ["x"] * 1000)
    after = chosen(Choice(sample=100), ["x"] * 1100)
    assert len(set(before) & set(after)) > 80


def test_a_required_label_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(MappingError, match=r"'b' is none of the inputs: 'a', 'c'"):
        Selection(Choice(require=("b",)), ("a", "c"))
