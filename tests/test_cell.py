"""The text of a cell is part of what is paid for: every form is frozen here."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.cell import as_csv, as_json, as_text, well_formed

NEW_YORK = timezone(-timedelta(hours=5))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("00123", "00123"),
        ("  kept \n", "  kept \n"),
        ("", ""),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (10**40, "1" + "0" * 40),
        (3.0, "3"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (1e23, "1" + "0" * 23),
        (1e-7, "0.0000001"),
        (-2.5e-10, "-0.00000000025"),
        (math.nan, ""),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (Decimal("3.00"), "3"),
        (Decimal("3.10"), "3.1"),
        (Decimal("1E+5"), "100000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("-0.00"), "0"),
        (Decimal("1000"), "1000"),
        (Decimal("NaN"), ""),
        (Decimal("-Infinity"), "-inf"),
        (date(2024, 2, 29), "2024-02-29"),
        (date(987, 1, 2), "0987-01-02"),
        (datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05"),
        (datetime(2024, 1, 2), "2024-01-02T00:00:00"),
        (datetime(2024, 1, 2, 3, 4, 5, 500_000), "2024-01-02T03:04:05.500"),
        (datetime(2024, 1, 2, 3, 4, 5, 1), "2024-01-02T03:04:05.000001"),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05+00:00"),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=NEW_YORK), "2024-01-02T03:04:05-05:00"),
        (time(3, 4), "03:04:00"),
        (time(3, 4, 5, 120_000), "03:04:05.120"),
        (timedelta(), "PT0S"),
        (timedelta(days=40), "P40D"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4.5), "P1DT2H3M4.5S"),
        (-timedelta(minutes=90), "-PT1H30M"),
        (timedelta(microseconds=1), "PT0.000001S"),
        (b"Acme", "QWNtZQ=="),
        ([], "[]"),
        ([1, 2.0, None, "é", True], '[1,2,null,"é",true]'),
        ({"a": {"b": [date(2024, 1, 2)]}}, '{"a":{"b":["2024-01-02"]}}'),
        ([Decimal("1.50"), 1e-7, math.nan, math.inf], '[1.5,0.0000001,null,"inf"]'),
        ([datetime(2024, 1, 2), b"\x00", timedelta(1)], '["2024-01-02T00:00:00","AA==","P1D"]'),
        (['say "hi"\n'], '["say \\"hi\\"\\n"]'),
    ],
)
def test_text_that_is_sent(value, text):
    assert as_text(value) == text


def test_what_no_table_holds_is_no_cell():
    with pytest.raises(TypeError, match="set"):
        as_text({1, 2})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_equal_and_plain(number):
    text = as_text(number)
    assert float(text) == number
    assert set(text) <= set("-0123456789.")
    assert not text.endswith(".0")
    assert text != "-0"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_a_decimal_reads_back_equal_and_plain(number):
    text = as_text(number)
    assert Decimal(text) == number
    assert set(text) <= set("-0123456789.")


@given(st.integers(-(2**53), 2**53))
def test_a_list_is_bought_once_whether_its_numbers_are_stored_as_integers_or_floats(number):
    assert as_text(number) == as_text(float(number)) == as_text(Decimal(number))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("  as it is, \n", "  as it is, \n"),
        ("1e5", "1e5"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (10**40, "1" + "0" * 40),
        (0.1, "0.1"),
        (2.0, "2.0"),
        ([], "[]"),
        ({"名": ["a", 1, 2.5, None, False]}, '{"名":["a",1,2.5,null,false]}'),
    ],
)
def test_output_values_in_csv(value, text):
    assert as_csv(value) == text


def test_integers_of_any_size_are_exact():
    assert as_csv(-(10**5000)) == as_text(-(10**5000)) == "-1" + "0" * 5000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(JSON) | st.dictionaries(st.text(), JSON))
def test_json_text_says_the_same_value(value):
    assert json.loads(as_json(value)) == value
    assert as_csv(value) == as_json(value)


def test_text_that_no_file_can_hold_is_made_whole():
    assert well_formed("a\ud800b") == "a�b"
    assert as_csv("a\ud800b") == "a�b"
    assert as_json(["\udfff"]) == '["�"]'
    assert well_formed("\ud83d\ude00") == "\N{GRINNING FACE}"


@given(st.text())
def test_well_formed_text_stays(text):
    assert well_formed(text) == text
