"""CSV and Parquet, in and out, in every pairing; what is in one checkpoint is bought once."""

import shutil
from datetime import date

import polars as pl
import pytest

from tests.acceptance.desk import (
    COMPANIES,
    SAMPLES,
    STATUS,
    Desk,
    answers,
    assert_reads_as,
    cells,
)

RUN = ("--grid", COMPANIES.id, "--rate", "unlimited", "--checkpoint", "all.db")
OUTPUTS = [column.name for column in COMPANIES.outputs]

TYPED = pl.DataFrame(
    {
        "Company Name": ["Acme", "Bolt", None, "Café Zoë"],
        "website": ["acme.com", None, None, "zoë.fr"],
        "Postal Code": ["00123", "1e5", "", None],
        "founded": [date(1999, 12, 31), None, date(2001, 1, 1), None],
        "staff": [7, None, 9_007_199_254_740_993, -1],
        "score": [1.0, 0.1, None, 1e300],
        "tags": [["a", "b,c"], [], None, ['"']],
        "active": [True, False, None, True],
    }
)
IN_CSV = [
    ["Acme", "acme.com", "00123", "1999-12-31", "7", "1", '["a","b,c"]', "true"],
    ["Bolt", "", "1e5", "", "", "0.1", "[]", "false"],
    ["", "", "", "2001-01-01", "9007199254740993", "", "", ""],
    ["Café Zoë", "zoë.fr", "", "", "-1", f"1{'0' * 300}", '["\\""]', "true"],
]


@pytest.fixture(scope="module")
def typed(shared_desk: Desk) -> Desk:
    """A typed table, enriched into Parquet."""
    TYPED.write_parquet(shared_desk.folder / "typed.parquet")
    shared_desk.do("run", "typed.parquet", *RUN)
    return shared_desk


def test_parquet_keeps_the_types_of_the_input_and_gives_types_to_the_answers(typed: Desk) -> None:
    out = pl.read_parquet(typed.folder / "typed.enriched.parquet")
    assert out.columns == [*TYPED.columns, *OUTPUTS, *STATUS]
    assert out.select(TYPED.columns).equals(TYPED, null_equal=True)
    given = out.select(OUTPUTS).schema
    assert given["Company Description"] == pl.String
    assert given["Employees"] == pl.Int64
    assert given["Revenue Growth"] == pl.Float64
    assert given["Tags"] == pl.List(pl.String)
    assert given["Headquarters"] == pl.Struct({"city": pl.String, "country": pl.String})
    assert given["Is Hiring"] == pl.Boolean
    assert given["Registry Number"] == pl.Int64


def test_parquet_holds_the_right_values(typed: Desk) -> None:
    out = pl.read_parquet(typed.folder / "typed.enriched.parquet")
    for row, given in zip(TYPED.rows(), out.select(OUTPUTS).rows(), strict=True):
        inputs = {"company_name": row[0] or "", "website": row[1] or ""}
        assert list(given) == answers(COMPANIES, inputs)
    statuses = ["completed", "completed", "skipped", "completed"]
    assert out["enrichment_status"].to_list() == statuses
    assert out["enrichment_error"].to_list() == [None] * 4


def test_parquet_to_csv_writes_each_value_as_the_text_that_was_sent(typed: Desk) -> None:
    typed.do("run", "typed.parquet", *RUN, "-o", "typed.csv")
    out = cells(typed.folder / "typed.csv")
    assert [row[: len(IN_CSV[0])] for row in out.rows] == IN_CSV
    for row in out.rows[:2]:
        inputs = {"company_name": row[0], "website": row[1]}
        for cell, value in zip(row[8:-2], answers(COMPANIES, inputs), strict=True):
            assert_reads_as(cell, value)
    assert len(typed.bought) == 3


def test_csv_to_parquet_keeps_the_input_as_text(typed: Desk) -> None:
    typed.write("text.csv", ["Company Name,Website,Postal Code,n", "Acme,acme.com,00123,1e5"])
    typed.do("run", "text.csv", *RUN, "-o", "text.parquet")
    out = pl.read_parquet(typed.folder / "text.parquet")
    assert out.schema["Postal Code"] == out.schema["n"] == pl.String
    assert out.row(0)[:4] == ("Acme", "acme.com", "00123", "1e5")
    assert out.schema["Employees"] == pl.Int64
    assert len(typed.bought) == 3, "Acme was bought with the Parquet file"


def test_csv_is_written_as_the_input_was_with_its_line_ends_and_byte_order_mark(
    typed: Desk,
) -> None:
    text = 'Company Name,Website,Note\r\nAcme,acme.com,"a\nb"\r\n\r\nBolt,,"x, y"\r\n'
    (typed.folder / "excel.csv").write_text(text, encoding="utf-8-sig", newline="")
    typed.do("run", "excel.csv", *RUN)
    written = (typed.folder / "excel.enriched.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbfCompany Name,Website,Note,Company Description,")
    assert b'\r\nAcme,acme.com,"a\nb",' in written
    assert b'\r\nBolt,,"x, y",' in written
    assert written.endswith(b"completed,\r\n")
    assert len(typed.bought) == 3


@pytest.mark.parametrize("output", ["empty.csv", "empty.parquet"])
def test_a_header_without_rows_gives_a_header_without_rows(typed: Desk, output) -> None:
    typed.write("header.csv", ["Company Name,Website"])
    said = typed.do("run", "header.csv", *RUN, "-o", output)
    header = ["Company Name", "Website", *OUTPUTS, *STATUS]
    if output.endswith(".csv"):
        assert cells(typed.folder / output).header == header
        assert cells(typed.folder / output).rows == []
    else:
        assert pl.read_parquet(typed.folder / output).columns == header
        assert pl.read_parquet(typed.folder / output).height == 0
    assert "rows        0" in said.err


def test_the_sample_list_as_csv_and_as_parquet_is_bought_once(desk: Desk) -> None:
    for name in ("companies.csv", "companies.parquet"):
        shutil.copyfile(SAMPLES / name, desk.folder / name)
    first = desk.do("run", "companies.csv", *RUN, "--json").json
    second = desk.do("run", "companies.parquet", *RUN, "--json").json
    assert (first["runs"]["submitted"], second["runs"]["submitted"]) == (36, 0)
    assert len(desk.bought) == 36
    assert first["requests"]["total"] <= 2.3 * 36

    text = cells(desk.folder / "companies.enriched.csv")
    typed = pl.read_parquet(desk.folder / "companies.enriched.parquet")
    assert text.header == typed.columns
    for row, given in zip(text.rows, typed.rows(), strict=True):
        for cell, value in zip(row, given, strict=True):
            assert_reads_as(cell, value)
    assert text.column("Postal Code")[3] == "08933"
