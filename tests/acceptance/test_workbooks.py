"""Workbooks in and out: what a person sees in a cell is what is sent, kept and written."""

import json
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.desk import COMPANIES, STATUS, Desk, answers, cells, until

calamine = pytest.importorskip("python_calamine")
xlsxwriter = pytest.importorskip("xlsxwriter")

RUN = ("--grid", COMPANIES.id, "--rate", "unlimited", "--checkpoint", "all.db")
OUTPUTS = [column.name for column in COMPANIES.outputs]
LOOKS = {date: "d. mmm yyyy", datetime: "dd/mm/yyyy hh:mm", time: "hh:mm", timedelta: "[h]:mm"}
SUM = 0.1 + 0.2

HEADER = ["Company Name", "Website", "Postal Code", "staff", "share", "founded", "seen", "opens"]
HEADER += ["hours", "hiring", "mixed"]
ROWS: list[list[Any]] = [
    [
        *("Acme", "acme.com", "00123", 7, SUM, date(1999, 12, 31), datetime(2020, 1, 2, 3, 4, 5)),
        *(time(9, 30), timedelta(hours=30), True, date(2020, 1, 2)),
    ],
    ["Bolt", 42, "1e5", 1e15, 1.0, None, None, None, None, False, "n/a"],
    ["=HYPERLINK(1)", "café\nzoë", "", None, 1e-7, date(2001, 1, 1), None, None, None, None, 2.5],
]
SENT = [
    [
        *("Acme", "acme.com", "00123", "7", "0.30000000000000004", "1999-12-31"),
        *("2020-01-02T03:04:05", "09:30:00", "P1DT6H", "true", "2020-01-02"),
    ],
    ["Bolt", "42", "1e5", "1000000000000000", "1", "", "", "", "", "false", "n/a"],
    ["=HYPERLINK(1)", "café\nzoë", "", "", "0.0000001", "2001-01-01", "", "", "", "", "2.5"],
]


class Exact(float):
    """As spreadsheets write numbers: in as many digits as it takes."""

    def __format__(self, _spec: str) -> str:
        return repr(float(self))


def workbook(path: Path, sheets: dict[str, list[list[Any]]], change: Any = None) -> Path:
    """A workbook of these rows, as a spreadsheet program would save it."""
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for row, values in enumerate(rows):
                for column, value in enumerate(values):
                    put(book, sheet, row, column, value)
        if change:
            change(book)
    return path


def put(book: Any, sheet: Any, row: int, column: int, value: Any) -> None:
    if isinstance(value, str):
        sheet.write_string(row, column, value)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, Exact(value))
    elif value is not None:
        look = book.add_format({"num_format": LOOKS[type(value)]})
        sheet.write_datetime(row, column, value, look)


def sheet_of(path: Path, name: str | int = 0) -> list[list[Any]]:
    with calamine.CalamineWorkbook.from_path(path) as book:
        of = book.get_sheet_by_index if isinstance(name, int) else book.get_sheet_by_name
        return [[None if cell == "" else cell for cell in row] for row in of(name).iter_rows()]


@pytest.fixture
def leads(desk: Desk) -> Desk:
    workbook(desk.folder / "leads.xlsx", {"Leads": [HEADER, *ROWS]})
    return desk


def test_cells_are_sent_as_a_person_reads_them(leads: Desk) -> None:
    leads.do("run", "leads.xlsx", *RUN, "-o", "out.csv")
    out = cells(leads.folder / "out.csv")
    assert out.header == [*HEADER, *OUTPUTS, *STATUS]
    assert [row[: len(HEADER)] for row in out.rows] == SENT
    assert [run["website"] for run in leads.bought] == ["acme.com", "42", "café\nzoë"]


def test_numbers_stay_numbers_dates_dates_and_text_text(leads: Desk) -> None:
    leads.do("run", "leads.xlsx", *RUN)
    header, *rows = sheet_of(leads.folder / "leads.enriched.xlsx")
    assert header == [*HEADER, *OUTPUTS, *STATUS]
    wanted = [[None if cell == "" else cell for cell in row] for row in ROWS]
    assert [row[: len(HEADER)] for row in rows] == wanted
    for row, sent in zip(rows, SENT, strict=True):
        given = answers(COMPANIES, {"company_name": sent[0], "website": sent[1]})
        for cell, value in zip(row[len(HEADER) : -2], given, strict=True):
            if isinstance(value, list | dict) or (type(value) is int and value > 1 << 53):
                value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            assert cell == value
        assert row[-2:] == ["completed", None]
    with zipfile.ZipFile(leads.folder / "leads.enriched.xlsx") as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml"), "no text became a formula"


def test_the_same_list_as_csv_and_as_workbook_is_bought_once(leads: Desk) -> None:
    leads.do("run", "leads.xlsx", *RUN, "-o", "one.csv")
    leads.do("run", "one.csv", *RUN, "--status-prefix", "again", "-o", "two.xlsx")
    leads.do("run", "leads.xlsx", *RUN, "-o", "three.parquet")
    leads.do("run", "two.xlsx", *RUN, "--status-prefix", "third", "-o", "four.ndjson")
    assert len(leads.bought) == 3


def test_a_workbook_is_written_alike_each_time(leads: Desk) -> None:
    leads.do("run", "leads.xlsx", *RUN)
    leads.do("export", "all.db", "-o", "copy.xlsx")
    first = (leads.folder / "leads.enriched.xlsx").read_bytes()
    assert (leads.folder / "copy.xlsx").read_bytes() == first


def test_a_killed_job_goes_on(new_desk: Any) -> None:
    desk = new_desk(duration="constant:0.5", rate=20)
    rows = [[f"Firm {n}", f"{n}.com"] for n in range(30)]
    workbook(desk.folder / "leads.xlsx", {"Leads": [HEADER[:2], *rows]})
    command = ("run", "leads.xlsx", "--grid", COMPANIES.id, "--rate", "20")
    life = desk.start(*command)
    until(lambda: len(desk.bought) >= 10, "ten runs")
    life.process.kill()
    life.end()
    desk.do(*command, "--in-doubt", "retry")
    found = sheet_of(desk.folder / "leads.enriched.xlsx")
    assert [row[:2] for row in found[1:]] == rows
    assert {row[-2] for row in found[1:]} == {"completed"}
    assert len(desk.bought) - 30 <= 2, "what was in doubt at the kill, and no more"


# --- which sheet -----------------------------------------------------------------------------

SHEETS = {"Notes": [["nothing"]], "Leads": [["Company Name", "Website"], ["Acme", "a.com"]]}


@pytest.mark.parametrize("named", ["Leads", "leads", "2"])
def test_a_sheet_is_chosen_by_name_or_number(desk: Desk, named: str) -> None:
    workbook(desk.folder / "book.xlsx", {**SHEETS, "3": [["x"]]})
    desk.do("run", "book.xlsx", *RUN, "--sheet", named, "-o", "out.csv")
    assert cells(desk.folder / "out.csv").rows[0][:2] == ["Acme", "a.com"]


def test_the_first_sheet_is_read_and_told_where_there_are_several(desk: Desk) -> None:
    workbook(desk.folder / "book.xlsx", {"Leads": SHEETS["Leads"], "Notes": [["x"]]})
    said = desk.do("run", "book.xlsx", *RUN, "-o", "out.csv")
    assert "the sheets 'Leads', 'Notes'; 'Leads' is read, another with --sheet NAME" in said.err
    assert "--sheet" in desk.do("plan", "book.xlsx", *RUN, "-o", "out.csv").out


def test_rows_above_and_columns_before_the_list_do_not_count(desk: Desk) -> None:
    rows = [[], [None, "Company Name", "Website"], [], [None, "Acme", "a.com"]]
    workbook(desk.folder / "book.xlsx", {"Leads": rows})
    said = desk.do("run", "book.xlsx", *RUN, "-o", "out.csv")
    out = cells(desk.folder / "out.csv")
    assert (out.header[:2], len(out.rows)) == (["Company Name", "Website"], 1)
    assert "1 blank line of the input" in said.err


# --- what a workbook hides ----------------------------------------------------------------------


def with_formulas(book: Any) -> None:
    sheet = book.get_worksheet_by_name("Leads")
    sheet.write_formula(1, 0, '="Ac"&"me"', None, "Acme")
    sheet.write_formula(1, 2, "=NA()", None, "#N/A")
    sheet.write_formula(1, 3, "=1+1", None, 2)
    sheet.write_formula(2, 3, '=""', None, "")
    sheet.merge_range(2, 0, 3, 0, "Bolt")


def test_formulas_give_their_values_errors_their_text_and_merged_cells_are_told(
    desk: Desk,
) -> None:
    rows = [["Company Name", "Website", "code", "n"], ["", "a.com"], ["", "b.com"], ["", "c.com"]]
    path = workbook(desk.folder / "book.xlsx", {"Leads": rows}, with_formulas)
    patched(path, b'<c r="D3"><f>""</f><v></v></c>', b'<c r="D3" t="str"><f>""</f><v></v></c>')
    said = desk.do("run", "book.xlsx", *RUN, "-o", "out.csv")
    out = cells(desk.folder / "out.csv")
    assert [row[:4] for row in out.rows] == [
        ["Acme", "a.com", "#N/A", "2"],
        ["Bolt", "b.com", "", ""],
        ["", "c.com", "", ""],
    ]
    assert "1 cell holds an error instead of a value (C2: #N/A)" in said.err
    assert "1 range of cells is merged (A3:A4); only the first cell of each" in said.err


def patched(path: Path, old: bytes, new: bytes) -> None:
    """Change the XML of the first sheet, as another program would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    assert old in parts[sheet], parts[sheet].decode()
    parts[sheet] = parts[sheet].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def unsolved(folder: Path) -> Path:
    rows = [["Company Name", "Website"], ["Acme", "a.com"]]
    path = workbook(
        folder / "book.xlsx",
        {"Leads": rows},
        lambda book: book.get_worksheet_by_name("Leads").write_formula(1, 1, "=1", None, ""),
    )
    patched(path, b"<f>1</f><v></v>", b"<f>1</f>")
    return path


def empty(folder: Path) -> Path:
    return workbook(folder / "book.xlsx", {"Leads": []})


def good(folder: Path) -> Path:
    return workbook(folder / "book.xlsx", SHEETS)


def with_bytes(content: bytes) -> Any:
    def make(folder: Path) -> Path:
        path = folder / "book.xlsx"
        path.write_bytes(content)
        return path

    return make


def cut_short(folder: Path) -> Path:
    path = good(folder)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def damaged(folder: Path) -> Path:
    path = good(folder)
    content = path.read_bytes()
    place = content.index(b"xl/worksheets/sheet1.xml") + 60
    path.write_bytes(content[:place] + b"\xff" * 20 + content[place + 20 :])
    return path


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (unsolved, (), ["sheet 'Leads', cell B2: a formula whose result is not stored", "save it"]),
        (empty, (), ["the sheet 'Leads' is empty", "--sheet NAME"]),
        (good, ("--sheet", "Lead"), ["no sheet 'Lead'; it has 'Notes', 'Leads'"]),
        (good, ("--sheet", "3"), ["no sheet '3'", "its number, from 1"]),
        (cut_short, (), ["cut short"]),
        (damaged, (), ["book.xlsx cannot be read as a workbook", "damaged"]),
        (with_bytes(b"a,b\n1,2\n"), (), ["is not a workbook, whatever its name says", ".csv"]),
        (with_bytes(b"PK\x03\x04 no"), (), ["cut short"]),
        (with_bytes(OLE), (), ["workbook of the old kind (.xls)", "save it again as .xlsx"]),
        (
            with_bytes(OLE + "EncryptedPackage".encode("utf-16-le")),
            (),
            ["protected by a password", "without a password"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_workbooks_are_refused_before_anything_is_sent(
    desk: Desk, make: Any, options: tuple[str, ...], words: list[str]
) -> None:
    make(desk.folder)
    said = desk.do("run", "book.xlsx", *RUN, *options, "-o", "out.csv", exits=1)
    for word in words:
        assert word in said.err
    assert desk.bought == []
    assert desk.files() == ["book.xlsx"]


def test_a_list_that_is_no_workbook_has_no_sheets(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,a.com"])
    said = desk.do("run", "leads.csv", *RUN, "--sheet", "2", exits=1)
    assert "has no sheets" in said.err


def test_an_old_workbook_says_how_to_save_it(desk: Desk) -> None:
    (desk.folder / "leads.xls").write_bytes(OLE)
    said = desk.do("run", "leads.xls", *RUN, exits=1)
    assert "save it as .xlsx" in said.err


# --- what a workbook cannot hold ------------------------------------------------------------------


def test_more_rows_than_a_sheet_has_are_refused_before_anything_is_sent(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", *["Acme,a.com"] * 1_048_576])
    said = desk.do("run", "leads.csv", *RUN, "-o", "out.xlsx", exits=1)
    assert "a sheet holds 1,048,575 rows" in said.err
    assert desk.bought == []
    assert desk.files() == ["leads.csv"]


def test_a_cell_that_is_too_long_is_refused_before_anything_is_sent(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website,Note", "Acme,a.com,x", f"B,b.com,{'é' * 32768}"])
    said = desk.do("run", "leads.csv", *RUN, "-o", "out.xlsx", exits=1)
    assert "row 2, column 'Note' has 32,768 characters" in said.err
    assert desk.bought == []


def test_csv_text_is_text_in_a_workbook(desk: Desk) -> None:
    text = ["=1+1", "00123", "a\x01b_x0041_", "http://x.com", " y ", "{=1}"]
    desk.write("leads.csv", ["Company Name,Website", *[f"{one},a.com" for one in text]])
    desk.do("run", "leads.csv", *RUN, "-o", "out.xlsx")
    assert [row[0] for row in sheet_of(desk.folder / "out.xlsx")[1:]] == text


# --- without the libraries ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "words", "name"),
    [
        ("python_calamine", ("leads.xlsx", "-o", "out.csv"), "excel"),
        ("xlsxwriter", ("leads.csv", "-o", "out.xlsx"), "excel"),
        ("obstore", ("s3://crm/leads.csv", "-o", "out.csv"), "cloud"),
        ("obstore", ("leads.csv", "-o", "s3://crm/out.csv"), "cloud"),
        ("pyarrow", ("leads.csv", "-o", "sqlite:///crm.db#out"), "db"),
        ("adbc_driver_postgresql", ("postgresql://h/crm#leads", "-o", "out.csv"), "db"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    leads: Desk, library: str, words: tuple[str, ...], name: str
) -> None:
    leads.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    hidden = leads.folder / "hidden" / library
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError\n")
    path = f"{hidden.parent}:{leads.env['PYTHONPATH']}"
    env = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    said = leads.do("run", *words, *RUN, exits=1, env=env)
    assert f"needs the extra '{name}'" in said.err
    assert f"pip install 'enricher[{name}]'" in said.err
    assert leads.bought == []
