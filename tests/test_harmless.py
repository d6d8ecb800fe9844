"""Foreign text made harmless: what moves a cursor or hides text, and what a spreadsheet runs."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.harmless import is_formula, printable, printable_lines

# --- on a terminal --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "Acme, Inc.", "Größe 株式会社 🏢 العربية नाम", "a\u0301", "non\u00a0breaking", "a'b\"c\\"],
)
def test_text_that_people_write_stays_as_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    "harmful",
    [
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x9b31m",
        "\n",
        "\r",
        "\t",
        "\0",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u200e",
        "\ufeff",
        "\u2028",
        "\u2029",
        "\x85",
        "\U000e0041",
        "\ue000",
        "\ud800",
    ],
)
def test_what_moves_the_cursor_or_hides_text_is_shown_as_replaced(harmful):
    shown = printable(f"a{harmful}b")
    assert shown.startswith("a�")
    assert shown.endswith("b")
    assert harmful[0] not in shown
    assert len(shown) == len(harmful) + 2


@given(st.text(st.characters()))
def test_whatever_a_cell_or_a_server_says_is_one_harmless_line(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert all(unicodedata.category(c)[0] != "C" for c in shown)
    assert printable(shown) == shown
    shown.encode()


def test_lines_of_ours_stay_lines_and_what_stands_in_them_is_harmless():
    assert printable_lines("The grid has:\n  \x1b[2JName\r\n") == "The grid has:\n  �[2JName�\n"


# --- in a spreadsheet -----------------------------------------------------------------------------

FULL_WIDTH = ["＝1+1", "＋1+1", "－1+1", "＠SUM(A1)"]


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "=", "+", "-", "@"),
        *("\t=1", "\r=1", "\n=1", "\r\n", "\tplain", "+49 30 1234", "-1,5", "- a list", "--1"),
        *("-1e5=", "+-1", "-٥", "-1\n", *FULL_WIDTH),
    ],
)
def test_text_that_a_spreadsheet_may_run_is_a_formula(text):
    assert is_formula(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "Acme", "a=b", " =1", "'=1", "1", "-1", "+1", "-1.5", "+.5", "-1e5", "-2.5E-3", "-0"),
        *('"=1"', "[-1]", '{"a":"=1"}', "https://x/?a=1", "−1", "*", "/", "%"),
    ],
)
def test_other_text_and_plain_numbers_are_none(text):
    assert not is_formula(text)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_is_a_formula(number):
    assert not is_formula(repr(number))
