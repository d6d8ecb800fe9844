"""Reading a table: every cell as it came, or an error that names the line."""

import os
import random
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enricher.errors import InputError
from enricher.formats import Dialect
from enricher.source import open_table

UTF8 = b"a,b\n" + "é,ü\n".encode() * 9
"""As many lines as it takes to be UTF-8 with a mistake in the tenth."""


def csv_file(folder, content, name="leads.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(path):
    return [row for frame in open_table(path).batches() for row in frame.rows()]


def open_descriptors():
    return len(list(Path("/dev/fd").iterdir()))


def complaint(path):
    """What a person reads who has this file read to the end."""
    with pytest.raises(InputError) as caught:
        rows_of(path)
    assert caught.value.mend
    return str(caught.value).replace(str(path), path.name)


# --- CSV: cells as they came ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n00123,1e5\n", [("00123", "1e5")]),
        ("a,b\n NA ,null\n", [(" NA ", "null")]),
        ('a,b\n,""\n', [(None, "")]),
        ('a,b\n"",\n"x",""', [("", None), ("x", "")]),
        ('a,b\n"a,"",b",""\n', [('a,",b', "")]),
        ('a,b\n"a""b",\n', [('a"b', None)]),
        ('a,b\n"""",""""""\n', [('"', '""')]),
        ('a,b\n"x\n"",""\ny",""\n,""\n', [('x\n","\ny', ""), (None, "")]),
        ('a,b\n"one\n\ntwo","x\r\ny"\n', [("one\n\ntwo", "x\r\ny")]),
        ('a,b\nsay "hi", "q"\n', [('say "hi"', ' "q"')]),
        ("a,b\n1,2", [("1", "2")]),
        ("a,b\r\n1,2\r\n", [("1", "2")]),
        ("a,b\r1,\r,2\r", [("1", None), (None, "2")]),
        ("a,b\n1,2\r\n3,4\r5,6", [("1", "2"), ("3", "4"), ("5", "6")]),
        ("a,b\n,\n", [(None, None)]),
        ("a,b\nx\0y,\0\n", [("x\0y", "\0")]),
        ("a,b\n\u2028x,\x85\x0c\n", [("\u2028x", "\x85\x0c")]),
        ("a\n \n", [(" ",)]),
        ("a,b\n", []),
        ("a,b", []),
    ],
)
def test_cells_come_as_they_are(tmp_path, content, rows):
    assert rows_of(csv_file(tmp_path, content)) == rows


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("a,b\n", ("a", "b")),
        ("a,,a, a\n", ("a", "", "a", " a")),
        ('"first, last","two\nlines"\n', ("first, last", "two\nlines")),
        ("\ufeffa,b\n", ("a", "b")),
        ('\ufeff"a",b\n', ("a", "b")),
        ('""\n', ("",)),
        ("\n\r\na,b\n", ("a", "b")),
    ],
)
def test_column_names_come_as_they_are(tmp_path, content, columns):
    assert open_table(csv_file(tmp_path, content)).columns == columns


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ("a,b\n1,2\n", Dialect()),
        ("a,b\r\n1,2\n", Dialect(line_end="\r\n")),
        ("a,b\n1,2\r\n", Dialect(line_end="\n")),
        ("a,b\r1,2\r", Dialect(line_end="\r")),
        ('"a\nb",c\r\n', Dialect(line_end="\r\n")),
        ("a,b\r\r\n1,2\r\r\n", Dialect(line_end="\r\n")),
        ("a,b", Dialect()),
        ("\ufeffa,b\r\n", Dialect(line_end="\r\n", bom=True)),
    ],
)
def test_the_dialect_is_found(tmp_path, content, dialect):
    assert open_table(csv_file(tmp_path, content)).dialect == dialect


def test_blank_lines_are_passed_over_and_counted(tmp_path):
    table = open_table(csv_file(tmp_path, "\na,b\n\n1,2\n   \n\r\n3,4\n\n"))
    assert table.blank_lines == 0
    for _ in range(2):
        assert [row for frame in table.batches() for row in frame.rows()] == [
            ("1", "2"),
            ("3", "4"),
        ]
        assert table.blank_lines == 5


def test_a_quoted_empty_cell_alone_in_its_line_is_no_blank_line(tmp_path):
    table = open_table(csv_file(tmp_path, 'a\n""\n\n \nx\n'))
    assert [row for frame in table.batches() for row in frame.rows()] == [("",), (" ",), ("x",)]
    assert table.blank_lines == 1


CELL = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
TRICKY = st.sampled_from(["", '"', '""', ",", "\n", "\r", "\r\n", '","', '"\n"', " ", "00", None])


@st.composite
def tables(draw):
    width = draw(st.integers(1, 4))
    row = st.lists(TRICKY | CELL, min_size=width, max_size=width).map(tuple)
    return draw(st.lists(row, max_size=12)), draw(st.sampled_from(["\n", "\r\n", "\r"]))


@given(tables(), st.randoms(use_true_random=False))
@example(([('"', "")] * 9000, "\r\n"), None)
def test_any_table_of_text_is_read_cell_by_cell(tmp_path_factory, table, random):
    rows, line_end = table

    def quoted(cell):
        if cell is None:
            return '""' if len(rows[0]) == 1 else ""
        needs = not cell or any(mark in cell for mark in ',"\r\n')
        is_quoted = needs or (random is not None and random.random() < 0.3)
        return '"' + cell.replace('"', '""') + '"' if is_quoted else cell

    width = len(rows[0]) if rows else 1
    lines = ["h," * (width - 1) + "h", *(",".join(map(quoted, row)) for row in rows)]
    path = csv_file(tmp_path_factory.getbasetemp(), line_end.join(lines) + line_end, "any.csv")
    expected = [tuple(cell or "" for cell in row) for row in rows] if width == 1 else rows
    assert rows_of(path) == expected


# --- CSV: batches ---------------------------------------------------------------------------------


def test_a_table_is_read_in_batches_as_often_as_asked(tmp_path):
    lines = [f"{number},x" for number in range(20_000)]
    table = open_table(csv_file(tmp_path, "n,x\n" + "\n".join(lines)))
    for _ in range(2):
        frames = list(table.batches())
        assert [frame.height for frame in frames] == [8192, 8192, 3616]
        assert {(*frame.columns, *frame.dtypes) for frame in frames} == {
            ("0", "1", pl.String(), pl.String())
        }
        assert pl.concat(frames)["0"].to_list() == [str(number) for number in range(20_000)]


def test_wide_tables_and_long_cells_come_in_smaller_batches(tmp_path):
    wide = csv_file(tmp_path, (",".join("x" * 2000) + "\n") * 301, "wide.csv")
    assert [frame.shape for frame in open_table(wide).batches()] == [
        (131, 2000),
        (131, 2000),
        (38, 2000),
    ]
    long = csv_file(tmp_path, "a,b\n" + ("x" * (1 << 20) + ",\n") * 40, "long.csv")
    heights = [frame.height for frame in open_table(long).batches()]
    assert sum(heights) == 40
    assert max(heights) <= 17


def test_reading_can_be_left_in_the_middle(tmp_path):
    path = csv_file(tmp_path, "a,b\n" + "1,2\n" * 300_000 + "1\n")
    batches = open_table(path).batches()
    assert next(batches).height == 8192
    before = open_descriptors()
    batches.close()
    assert open_descriptors() == before - 1
    assert complaint(path).startswith("leads.csv, line 300002: 1 field")


# --- CSV: what cannot be read right ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b,c,d\n1,2,3,4\n1,2,3,4,5\n", "line 3: 5 fields where the header has 4; probably a c"),
        ("a,b\n1,2,\n", "line 2: 3 fields where the header has 2; probably a comma too many"),
        ("a,b\n\n\n1\n", "line 4: 1 field where the header has 2; probably a line break"),
        ('a,b\n"x\ny",1\n"x\ny"\n', "line 4: 1 field where"),
        ('a,b\n"x\ny",1\r\n1,2\r3\n', "line 5: 1 field where"),
        ('a,b\n1,"x\n2,y\n', "line 2: the quoted cell that begins here is never closed"),
        ('a,b\n"q\nr","x\n\ny\n', "line 3: the quoted cell that begins here is never closed"),
        ('a,"b\n', "line 1: the quoted cell"),
        ('a,b\n"x"y,2\n', "line 2: text after the closing quote; probably a quote inside"),
        ('a,b\n1,"x\n2,"y"\n', "line 3: text after the closing quote of the cell that begins in l"),
        ('"a"b,c\n', "line 1: text after the closing quote"),
        (
            UTF8 + b"1,caf\xe9 x\n",
            "line 11: bytes that are not UTF-8 (e9 20 78 0a), as other",
        ),
        (UTF8.replace(b"\n", b"\r") + b"\xe9,2\r", "line 11: bytes that are not UTF-8"),
        (UTF8 + b"1,\xc3", "line 11: the file ends in the middle of a character"),
        (b"\xef\xbb\xbfcaf\xe9,b\n", "line 1: bytes that are not UTF-8"),
        (b"a,b\n1,caf\xe9\n1,\x81\n", "line 3: bytes that are not Windows-1252 (81 0a)"),
        ("a,b\n1,2\n".encode("utf-16-be"), "probably UTF-16 without a byte order mark"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "line 2: the file ends in the middle of a"),
        (b"", "empty (0 bytes)"),
        (b"\n\r\n\n", "no header"),
        (b"\xef\xbb\xbf", "no header"),
        (b"PK\x03\x04rest", "an Excel workbook"),
        (b"\x1f\x8b\x08rest", "a gzip file"),
    ],
)
def test_what_cannot_be_read_right_is_refused_by_line(tmp_path, content, says):
    assert says in complaint(csv_file(tmp_path, content))


def test_a_mistake_deep_in_a_long_file_is_found_by_line(tmp_path):
    good = 'x,"two\nlines"\n' * 50_000
    path = csv_file(tmp_path, f"a,b\n{good}1,2,3\n{good}")
    assert complaint(path).startswith("leads.csv, line 100002: 3 fields")
    wide = good.replace("x", "é")
    path = csv_file(tmp_path, f"a,b\n{wide}1,".encode() + b"\xff\n")
    assert complaint(path).startswith("leads.csv, line 100002: bytes")


def test_a_quote_that_swallows_the_file_is_found_before_memory_is_full(tmp_path):
    path = tmp_path / "leads.csv"
    with path.open("w") as file:
        file.write('a,b\n1,2\n1,"x\n')
        for _ in range(70):
            file.write(("1,2" + " " * 1020 + "\n") * 1024)
    assert complaint(path).startswith("leads.csv, line 3: the cell that begins here is longer than")


def test_a_file_that_is_one_endless_line_is_refused(tmp_path):
    path = tmp_path / "leads.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,")
        file.seek(1 << 29)
        file.write(b"x")
    assert "a line of more than 256 MiB" in complaint(path)


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, format_):
    frame = pl.DataFrame({"a": ["x"] * 20_000})
    path = tmp_path / f"leads.{format_}"
    getattr(frame, f"write_{format_}")(path)
    table = open_table(path)
    before = table.fingerprint()
    batches = table.batches()
    next(batches)
    with path.open("ab") as file:
        file.write(b'"\n')
    with pytest.raises(InputError, match="changed while it was being read"):
        list(batches)
    with pytest.raises(InputError, match="changed"):
        next(table.batches())
    assert table.fingerprint() != before


def test_an_unchanged_file_has_an_equal_fingerprint(tmp_path):
    path = csv_file(tmp_path, "a\n1\n")
    assert open_table(path).fingerprint() == open_table(path).fingerprint()


# --- what is no table at all ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("leads.txt", ".txt files cannot be read, only .csv, .tsv, .ndjson, .jsonl, .parquet"),
        ("leads.csv.BZ2", ".bz2 files cannot be read"),
        ("leads.parquet.gz", ".parquet is packed in itself and cannot be read as .parquet.gz"),
        ("leads.gz", ".gz does not tell what is packed"),
        ("leads.foo", "the extension .foo is not known"),
        ("leads", "it has no extension"),
    ],
)
def test_unknown_formats_are_named(tmp_path, name, says):
    assert says in complaint(csv_file(tmp_path, "a\n1\n", name))


@pytest.mark.parametrize("name", ["leads.csv", "leads.parquet"])
def test_what_is_no_file(tmp_path, name):
    path = tmp_path / name
    assert "there is no such file" in complaint(path)
    path.mkdir()
    assert "is a directory" in complaint(path)
    path.rmdir()
    os.mkfifo(path)
    assert "not a regular file" in complaint(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    path = csv_file(tmp_path, "a\n1\n")
    path.chmod(0)
    assert "you may not read this file" in complaint(path)


def test_the_extension_counts_in_any_case(tmp_path):
    assert rows_of(csv_file(tmp_path, "a\n1\n", "LEADS.CSV")) == [("1",)]


# --- Parquet --------------------------------------------------------------------------------------


def test_parquet_keeps_its_types_and_comes_in_batches(tmp_path):
    frame = pl.DataFrame(
        {
            "text": [f"t{number}" for number in range(20_000)],
            "": list(range(20_000)),
            "list": [[number, None] for number in range(20_000)],
        },
        schema_overrides={"": pl.Int16, "text": pl.Categorical},
    )
    path = tmp_path / "leads.parquet"
    frame.write_parquet(path, row_group_size=7_000)
    table = open_table(path)
    assert (table.columns, table.dialect) == (("text", "", "list"), None)
    frames = list(table.batches())
    assert max(part.height for part in frames) <= 8192
    assert pl.concat(frames).equals(frame.rename({"text": "0", "": "1", "list": "2"}))
    assert pl.concat(frames).dtypes == frame.dtypes


def test_parquet_without_rows_tells_its_types(tmp_path):
    path = tmp_path / "leads.parquet"
    pl.DataFrame(schema={"a": pl.Date, "b": pl.Decimal(9, 2)}).write_parquet(path)
    (frame,) = open_table(path).batches()
    assert (frame.height, dict(frame.schema)) == (0, {"0": pl.Date(), "1": pl.Decimal(9, 2)})


def test_reading_parquet_can_be_left_in_the_middle(tmp_path):
    path = tmp_path / "leads.parquet"
    pl.DataFrame({"a": range(100_000)}).write_parquet(path)
    batches = open_table(path).batches()
    next(batches)
    batches.close()
    assert sum(frame.height for frame in open_table(path).batches()) == 100_000


@pytest.mark.parametrize("where", ["header", "data", "metadata", "half", "empty", "text", "marks"])
def test_damaged_parquet_is_refused(tmp_path, where):
    path = tmp_path / "leads.parquet"
    pl.DataFrame({"a": [f"x{number}" for number in range(3000)]}).write_parquet(path)
    good = path.read_bytes()
    damaged = {
        "header": b"\0\0\0\0" + good[4:],
        "data": good[:4] + b"\xff" * 2000 + good[2004:],
        "metadata": good[:-60] + b"\xff" * 40 + good[-20:],
        "half": good[: len(good) // 2],
        "empty": b"",
        "text": b"a,b\n1,2\n",
        "marks": b"PAR1PAR1",
    }[where]
    path.write_bytes(damaged)
    assert complaint(path).startswith("leads.parquet ")


def test_damaged_parquet_never_passes_for_a_shorter_table(tmp_path):
    path = tmp_path / "leads.parquet"
    frame = pl.DataFrame({"a": [f"x{number}" for number in range(3000)], "b": range(3000)})
    frame.write_parquet(path, row_group_size=500)
    good = path.read_bytes()
    draws = random.Random(1)
    for _ in range(150):
        damaged = bytearray(good)
        for _ in range(draws.randint(1, 4)):
            damaged[draws.randrange(len(good))] = draws.randrange(256)
        path.write_bytes(damaged)
        with suppress(InputError):
            assert len(rows_of(path)) == len(frame)
