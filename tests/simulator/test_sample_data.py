"""The sample files hold what their README says."""

import csv
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

FOLDER = Path(__file__).parents[2] / "sample_data"
HEADERS = ["Company Name", "Website", "Country", "Employees", "Postal Code"]


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    with (FOLDER / "companies.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == HEADERS
    return rows


def test_forty_rows_of_five_fields(rows) -> None:
    assert [len(row) for row in rows] == [5] * 40


def test_three_duplicates_and_one_blank(rows) -> None:
    names = [(name, website) for name, website, *_ in rows]
    assert sorted(Counter(names).values())[-4:] == [1, 2, 2, 2]
    assert names.index(("", "")) == 23
    assert [names.index(names[row - 1]) + 1 for row in (15, 30, 39)] == [2, 5, 1]
    assert all(name and website for name, website in names if (name, website) != ("", ""))


def test_what_makes_them_hard(rows) -> None:
    names = " ".join(row[0] for row in rows)
    assert all(part in names for part in ("Lowe's Companies, Inc.", '"', "é", "ト", "Я", "삼", "أ"))
    assert sum(row[4].startswith("0") for row in rows) >= 10
    assert {row[3] for row in rows} >= {"10,001+", "51-200"}


def test_line_ends_and_encoding() -> None:
    content = (FOLDER / "companies.csv").read_bytes()
    assert b"\r" not in content
    assert content.endswith(b"\n")
    assert not content.startswith(b"\xef\xbb\xbf")


def test_parquet_has_the_same_content(rows) -> None:
    table = pl.read_parquet(FOLDER / "companies.parquet")
    assert table.schema == dict.fromkeys(HEADERS, pl.String)
    assert [list(row) for row in table.rows()] == rows
