"""Types on their way through: those of the input stay, those of the outputs are learned."""

import json
import threading
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.cell import as_text
from enricher.column import column_as_text
from enricher.errors import InputError, OutputError
from enricher.formats import Dialect
from enricher.model import OutputColumn, RowStatus
from enricher.record import Outcome
from enricher.sink import Layout, check_layout, status_columns, write
from enricher.source import open_table

EMAIL = (OutputColumn("c1", "Email"),)


def done(value):
    return Outcome(RowStatus.COMPLETED, outputs={"c1": value})


def enrich(table, target):
    """Write `target` from `table`, every row with the same outcome."""

    def pairs():
        for frame in table.batches():
            yield frame, [done("x")] * frame.height

    write(target, Layout(table.columns, EMAIL, dialect=table.dialect), pairs)


def typed(tmp_path, *values):
    """The column that Parquet makes of the values of an output."""
    target = tmp_path / "out.parquet"
    frame = pl.DataFrame({"0": [str(number) for number in range(len(values))]})
    write(target, Layout(("id",), EMAIL), lambda: [(frame, [done(value) for value in values])])
    return pl.read_parquet(target)["Email"]


# --- typed inputs ---------------------------------------------------------------------------------

TYPED = pl.DataFrame(
    {
        "text": ["00123", None, ""],
        "category": pl.Series(["a", "b", None], dtype=pl.Categorical),
        "enum": pl.Series(["x", None, "y"], dtype=pl.Enum(["x", "y"])),
        "small": pl.Series([1, None, -128], dtype=pl.Int8),
        "large": pl.Series([2**64 - 1, 0, None], dtype=pl.UInt64),
        "float": [3.0, 1e-7, float("nan")],
        "single": pl.Series([0.1, 1e10, None], dtype=pl.Float32),
        "decimal": pl.Series([Decimal("3.10"), None, Decimal("-0.01")], dtype=pl.Decimal(9, 2)),
        "flag": [True, False, None],
        "date": [date(2024, 2, 29), None, date(987, 1, 1)],
        "nanos": pl.Series([1, 1_500_000_000, None]).cast(pl.Datetime("ns", "UTC")),
        "micros": [datetime(2024, 1, 2, 3, 4, 5), None, datetime(2024, 1, 2, 3, 4, 5, 1000)],
        "time": [time(1, 2, 3), None, time(1, 2, 3, 4)],
        "length": [timedelta(days=1, seconds=1.5), None, -timedelta(hours=1)],
        "list": [[1, None], None, []],
        "array": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int64, 2)),
        "struct": [{"a": date(2024, 1, 1), "b": [1.0]}, None, {"a": None, "b": None}],
        "bytes": [b"\x00\xff", None, b"Acme"],
        "nothing": pl.Series([None, None, None], dtype=pl.Null),
    }
)


def test_parquet_to_parquet_keeps_every_type(tmp_path):
    TYPED.write_parquet(tmp_path / "in.parquet")
    enrich(open_table(tmp_path / "in.parquet"), tmp_path / "out.parquet")
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.drop("Email", *status_columns()).equals(TYPED)
    assert out.dtypes[: TYPED.width] == TYPED.dtypes


def test_parquet_without_rows_keeps_every_type(tmp_path):
    TYPED.clear().write_parquet(tmp_path / "in.parquet")
    enrich(open_table(tmp_path / "in.parquet"), tmp_path / "out.parquet")
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert (out.height, out.dtypes[: TYPED.width]) == (0, TYPED.dtypes)


def test_parquet_to_csv_writes_the_text_that_is_sent(tmp_path):
    TYPED.write_parquet(tmp_path / "in.parquet")
    enrich(open_table(tmp_path / "in.parquet"), tmp_path / "out.csv")
    rows = [row for frame in open_table(tmp_path / "out.csv").batches() for row in frame.rows()]
    seen = dict(zip(TYPED.columns, zip(*rows, strict=True), strict=False))
    assert seen == {
        "text": ("00123", None, ""),
        "category": ("a", "b", None),
        "enum": ("x", None, "y"),
        "small": ("1", None, "-128"),
        "large": ("18446744073709551615", "0", None),
        "float": ("3", "0.0000001", None),
        "single": ("0.1", "10000000000", None),
        "decimal": ("3.1", None, "-0.01"),
        "flag": ("true", "false", None),
        "date": ("2024-02-29", None, "0987-01-01"),
        "nanos": ("1970-01-01T00:00:00.000000001+00:00", "1970-01-01T00:00:01.500+00:00", None),
        "micros": ("2024-01-02T03:04:05", None, "2024-01-02T03:04:05.001"),
        "time": ("01:02:03", None, "01:02:03.000004"),
        "length": ("P1DT1.5S", None, "-PT1H"),
        "list": ("[1,null]", None, "[]"),
        "array": ("[1,2]", None, "[3,4]"),
        "struct": ('{"a":"2024-01-01","b":[1]}', None, '{"a":null,"b":null}'),
        "bytes": ("AP8=", None, "QWNtZQ=="),
        "nothing": (None, None, None),
    }


TIMES = st.one_of(
    st.lists(st.dates()),
    st.lists(st.datetimes(min_value=datetime(1000, 1, 1))),
    st.lists(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))),
    st.lists(st.times()),
    st.lists(st.timedeltas(timedelta(days=-(10**6)), timedelta(days=10**6))),
    st.lists(st.integers(-(2**63), 2**63 - 1)),
    st.lists(st.floats(allow_nan=False)),
    st.lists(st.booleans()),
    st.lists(st.binary(min_size=1)),
)


@given(TIMES.filter(bool))
def test_a_column_has_the_texts_of_its_cells(values):
    assert column_as_text(pl.Series(values)).to_list() == [as_text(value) for value in values]


def test_a_date_beyond_the_calendar_of_python(tmp_path):
    far = pl.Series([3_000_000], dtype=pl.Int32).cast(pl.Date)
    assert column_as_text(far).to_list() == ["+10183-09-21"]
    never = pl.Series([2**63 - 1]).cast(pl.Datetime("us"))
    with pytest.raises(InputError, match="no text form"):
        column_as_text(never)


# --- output types in Parquet ----------------------------------------------------------------------

A_LIST_OF_PEOPLE = [{"name": "Ana", "age": 40}, {"name": None}]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([None, None], pl.String()),
        (["a", None, ""], pl.String()),
        ([True, None, False], pl.Boolean()),
        ([1, None, -(2**63)], pl.Int64()),
        ([1, 2**64 - 1], pl.UInt64()),
        ([-1, 2**64 - 1], pl.Decimal(38, 0)),
        ([10**37], pl.Decimal(38, 0)),
        ([0.5, None], pl.Float64()),
        ([1, 0.5, 2**53], pl.Float64()),
        ([["a"], [], None, [None]], pl.List(pl.String())),
        ([[], []], pl.List(pl.String())),
        ([[1], [0.5]], pl.List(pl.Float64())),
        ([[2**70]], pl.List(pl.Decimal(38, 0))),
        ([[[1]], [[], None]], pl.List(pl.List(pl.Int64()))),
        ([{"a": 1}, None, {"b": "x"}], pl.Struct({"a": pl.Int64(), "b": pl.String()})),
        ([{"a": None}], pl.Struct({"a": pl.String()})),
        ([{"a": {"b": [True]}}], pl.Struct({"a": pl.Struct({"b": pl.List(pl.Boolean())})})),
        (
            [A_LIST_OF_PEOPLE, []],
            pl.List(pl.Struct({"name": pl.String(), "age": pl.Int64()})),
        ),
    ],
)
def test_outputs_have_the_narrowest_type(tmp_path, values, dtype):
    column = typed(tmp_path, *values)
    assert column.dtype == dtype
    assert [without_nulls(value) for value in column.to_list()] == [*map(without_nulls, values)]


def without_nulls(value):
    """A struct cannot tell a missing field from null: neither does this."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "values",
    [
        [1, "1", None],
        [True, 1],
        ["a", ["a"]],
        [{"a": 1}, [1]],
        [{"a": 1}, {"a": "x"}],
        [[1, "a"]],
        [{}, None],
        [2**53 + 1, 0.5],
        [10**38],
        [{str(number): number} for number in range(2_000)],
        [{"\ud800": 1}],
        [json.loads("[" * 50 + "]" * 50)],
    ],
)
def test_outputs_that_no_type_holds_are_json_text(tmp_path, values):
    column = typed(tmp_path, *values)
    assert column.dtype == pl.String()
    read = [None if text is None else json.loads(text) for text in column]
    assert read == json.loads(json.dumps(values).replace("\\ud800", "\\ufffd"))


def test_types_are_learned_from_all_rows_not_from_the_first(tmp_path):
    def pairs():
        for number in range(20):
            value = 0.5 if number == 19 else number
            yield pl.DataFrame({"0": ["x"] * 5_000}), [done(value)] * 5_000

    write(tmp_path / "out.parquet", Layout(("id",), EMAIL), pairs)
    column = pl.read_parquet(tmp_path / "out.parquet")["Email"]
    assert (column.dtype, column[0], column[-1], len(column)) == (pl.Float64(), 0.0, 0.5, 100_000)


def test_results_that_arrive_between_the_passes_are_written_too(tmp_path):
    arriving = iter([1, "x", {"a": 1}])
    frame = pl.DataFrame({"0": ["a", "b"]})
    values = []

    def pairs():
        values.append(next(arriving))
        latest = [None, *values][-2:]
        yield frame, [done(None)] * 2
        yield frame, [done(value) for value in latest]

    write(tmp_path / "out.parquet", Layout(("id",), EMAIL), pairs)
    rows = pl.read_parquet(tmp_path / "out.parquet").rows()
    assert [row[1] for row in rows] == [None, None, '"x"', '{"a":1}']


def test_kinds_that_come_later_in_a_column_of_the_input_are_written_too(tmp_path):
    def pairs():
        for cells in ([1, 2], ["x", {"a": 1}]):
            yield pl.DataFrame([pl.Series("0", cells, dtype=pl.Object)]), [done(1)] * 2

    write(tmp_path / "out.parquet", Layout(("id",), EMAIL), pairs)
    assert pl.read_parquet(tmp_path / "out.parquet")["id"].to_list() == ["1", "2", '"x"', '{"a":1}']


def test_one_pass_is_enough_where_the_first_batch_tells_all_types(tmp_path):
    passes = []

    def pairs():
        passes.append(1)
        for number in range(3):
            yield pl.DataFrame({"0": ["x"]}), [done(number)]

    write(tmp_path / "out.parquet", Layout(("id",), EMAIL), pairs)
    assert passes == [1]
    assert pl.read_parquet(tmp_path / "out.parquet")["Email"].to_list() == [0, 1, 2]


def test_rows_that_become_much_larger_are_written_in_smaller_groups(tmp_path):
    def pairs():
        for number in range(12):
            size = 1 if number < 2 else 12_000
            yield pl.DataFrame({"0": ["x"] * 1_000}), [done("y" * size)] * 1_000

    write(tmp_path / "out.parquet", Layout(("id",), EMAIL), pairs)
    groups = pq.ParquetFile(tmp_path / "out.parquet").metadata
    most = max(groups.row_group(group).num_rows for group in range(groups.num_row_groups))
    assert (groups.num_rows, most * 12_000 <= 1 << 27) == (12_000, True)


def test_pairs_are_asked_for_in_the_thread_of_the_caller(tmp_path):
    """A database connection behind them belongs to one thread."""
    seen = set()

    def pairs():
        for _ in range(5):
            seen.add(threading.get_ident())
            yield pl.DataFrame({"0": ["x"]}), [done(1)]

    write(tmp_path / "out.parquet", Layout(("id",), EMAIL), pairs)
    assert seen == {threading.get_ident()}


@pytest.mark.parametrize(("columns", "says"), [(("a", "a"), "'a'"), (("a", ""), "column 2")])
def test_names_that_parquet_cannot_hold_are_refused(tmp_path, columns, says):
    layout = Layout(columns, EMAIL, dialect=Dialect())
    check_layout(tmp_path / "out.csv", layout)
    with pytest.raises(OutputError, match=says) as caught:
        write(tmp_path / "out.parquet", layout, list)
    assert ".csv" in caught.value.mend
    assert not list(tmp_path.iterdir())
