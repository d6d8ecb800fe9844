"""What an API says, drawn for people: every field, in any width, and harmless."""

from typing import Any

import pytest

from enricher.cli.tables import LEAST_WIDTH, drawn

COLUMNS = [
    {"id": "col-a", "name": "Company Description", "type": "enrichment", "needs": []},
    {"id": "col-b", "name": "会社概要", "type": "formula", "needs": ["col-a", "col-c"]},
]


def test_plain_fields_are_pairs_and_others_are_sections() -> None:
    data = {"plan": {"price": 499.0, "billing_interval": None}, "id": "ws", "open": True, "n": 1234}
    assert drawn(data, 80).split("\n") == [
        "id    ws",
        "open  yes",
        "n     1,234",
        "",
        "plan",
        "  price             499.00",
        "  billing interval  –",
    ]


def test_a_list_is_a_table_where_it_fits() -> None:
    lines = drawn({"columns": COLUMNS}, 80).split("\n")
    assert lines[1].split() == ["id", "name", "type", "needs"]
    assert any("col-a" in line and "Company Description" in line for line in lines)
    assert lines[-1].strip() == "col-c"


@pytest.mark.parametrize("width", [LEAST_WIDTH, 40])
def test_a_list_that_does_not_fit_stands_one_under_the_other(width: int) -> None:
    shown = drawn({"columns": COLUMNS}, width)
    assert "  Company" in shown
    assert "col-c" in shown
    assert max(map(len, shown.split("\n"))) <= width


def test_names_that_are_data_stand_to_the_letter() -> None:
    shown = drawn({"request_body": {"inputs": {"company_name": "value"}}}, 80)
    assert "request body" in shown
    assert "company_name" in shown


def test_foreign_text_is_neither_markup_nor_control() -> None:
    shown = drawn(
        {"a\x1b[2J": "[bold]x[/bold] :smile: \x9b1m\u202e\r\n", "b": [{"name": "\x07"}]}, 80
    )
    assert "[bold]x[/bold] :smile: �1m���" in shown
    assert "a�[2J" in shown
    assert shown.replace("\n", "").isprintable()


def test_deep_and_odd_values_end_somewhere() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(190):
        deep = {"inside": deep}
    odd: list[dict[str, Any]] = [{"a": [1, [2], {"b": 3}]}, {"a": {}, "b": [], "c": [{}]}, {}]
    for data in (deep, *odd):
        assert drawn(data, 40) is not None
    assert "'b': 3" in drawn({"a": [1, [2], {"b": 3}]}, 40)
