"""Text tables: packing, encodings, delimiters, ragged rows, several files, and the spool."""

import gzip
import io
import os
import stat
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.errors import InputError
from enricher.formats import STANDARD, Ragged, Reading
from enricher.source import is_spool, open_copy, open_table, spooled
from enricher.zstd import ZstdFile


def file(folder, content, name="leads.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(table):
    return [row for frame in table.batches() for row in frame.rows()]


def zstd(data):
    buffer = io.BytesIO()
    with ZstdFile(buffer, "w") as packed:
        packed.write(data)
    return buffer.getvalue()


PACK = {".gz": gzip.compress, ".zst": zstd}

# --- packing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", PACK)
@given(st.lists(st.integers(0, 2000), max_size=5))
def test_all_members_of_a_packed_file_are_read(tmp_path_factory, packing, cuts):
    data = b"n,x\n" + b"".join(b"%d,y\n" % number for number in range(300))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = (data[a:b] for a, b in pairwise(places))
    content = b"".join(map(PACK[packing], parts))
    path = file(tmp_path_factory.getbasetemp(), content, f"any.csv{packing}")
    assert [row[0] for row in rows_of(open_table(path))] == [str(n) for n in range(300)]


@pytest.mark.parametrize("packing", PACK)
def test_a_packed_file_that_is_cut_anywhere_is_refused(tmp_path, packing):
    whole = PACK[packing](b"n,x\n" + b"".join(b"%d,y\n" % number for number in range(300)))
    for length in range(0, len(whole), 7):
        with pytest.raises(InputError):
            rows_of(open_table(file(tmp_path, whole[:length], f"leads.csv{packing}")))


def test_a_packed_file_without_content_is_empty(tmp_path):
    with pytest.raises(InputError, match=r"is empty \(0 bytes\)"):
        open_table(file(tmp_path, gzip.compress(b""), "leads.csv.gz"))


# --- encodings ------------------------------------------------------------------------------------


def lines_of(utf8, others):
    good = b"".join(f"é{n},x\n".encode() for n in range(utf8))
    return b"a,b\n" + b"ascii,x\n" * 50 + good + b"caf\xe9,x\n" * others


def test_nine_of_ten_lines_beyond_ascii_make_a_file_utf8(tmp_path):
    with pytest.raises(InputError, match="line 61: bytes that are not UTF-8"):
        rows_of(open_table(file(tmp_path, lines_of(9, 1))))
    table = open_table(file(tmp_path, lines_of(8, 1)))
    assert rows_of(table)[-1] == ("café", "x")
    assert rows_of(table)[-2] == ("Ã©7", "x")
    assert table.remarks


def test_what_decides_may_stand_at_the_end_of_a_long_file(tmp_path):
    path = file(tmp_path, b"a,b\n" + b"1,2\n" * 300_000 + b"caf\xe9,x\n")
    assert rows_of(open_table(path))[-1] == ("café", "x")


def test_an_encoding_that_is_named_is_taken(tmp_path):
    path = file(tmp_path, "naïve,東京\n1,2\n".encode("shift_jisx0213", "replace"))
    assert open_table(path, Reading(encoding="shift_jisx0213")).columns[1] == "東京"
    path = file(tmp_path, "a,é\n1,2\n".encode("utf-16-le"))
    assert open_table(path, Reading(encoding="utf-16-le")).columns == ("a", "é")
    path = file(tmp_path, "a,é\n1,2\n".encode("utf-16"))
    assert open_table(path, Reading(encoding="utf-16")).columns == ("a", "é")
    path = file(tmp_path, "a,é\n1,2\n".encode("utf-8-sig"))
    assert open_table(path, Reading(encoding="utf-8")).columns == ("a", "é")
    path = file(tmp_path, b"a,b\n1,2\n1,\xe9\n")
    with pytest.raises(InputError, match=r"line 3: bytes that are not ascii \(e9 0a\)"):
        rows_of(open_table(path, Reading(encoding="ascii")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@given(
    cells=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), min_size=1),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_text_comes_through_an_encoding(tmp_path_factory, encoding, cells, line_end):
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in ["head", *cells]]
    content = line_end.join(f"{cell},x" for cell in quoted).encode(encoding)
    table = open_table(file(tmp_path_factory.getbasetemp(), content, "any.csv"))
    assert [row[0] for row in rows_of(table)] == cells


def test_a_line_end_between_two_blocks_is_one(tmp_path):
    body = "é,1\r\n" * 200_000
    path = file(tmp_path, ("a,b\r\n" + body + "x\r\n").encode("utf-16"))
    with pytest.raises(InputError, match="line 200002: 1 field"):
        rows_of(open_table(path))


# --- delimiters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1;2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ("a;b\n", ";"),
        ("Website\nacme.com\n", ","),
        ("Website\nacme.com;x\n", ","),
        ('"a;b;c",d\n1,2\n', ","),
        ('"a,b",c;d\n1,5;x\n', ","),
        ("name;price\nA;1,5\nB;2\n", ";"),
        ("name;price, EUR\nA;1,5\nB;2,0\n", ";"),
        ("Name,Revenue (USD; EUR)\nA,1\n", ","),
        ("Name,Tags|Labels\nA,x\nB,y|z\n", ","),
        ('a;b\n"x\ny;z";2\n', ";"),
        ("\n\na;b\n\n1;2\n", ";"),
        ("a,b\n1,2\n1,2,3\n", ","),
        ("a,b,c\n1;2,3,4\n1;2,3,4\n", ","),
        ("a;b\r1;2\r", ";"),
    ],
)
def test_the_delimiter_is_found(tmp_path, content, delimiter):
    assert open_table(file(tmp_path, content)).dialect.delimiter == delimiter


def test_the_delimiter_may_be_named(tmp_path):
    path = file(tmp_path, "a~b,c\n1~2,3\n")
    assert open_table(path, Reading(delimiter="~")).columns == ("a", "b,c")
    path = file(tmp_path, "a,b\n", "leads.tsv")
    assert open_table(path, Reading(delimiter="\t")).columns == ("a,b",)


def test_a_tsv_of_one_column_has_tabs(tmp_path):
    assert open_table(file(tmp_path, "a\n1\n", "leads.tsv")).dialect.delimiter == "\t"


# --- ragged rows, wide rows, long cells -----------------------------------------------------------


def test_padding_never_drops_a_cell(tmp_path):
    path = file(tmp_path, "a,b\n1\n1,2,\n1,2,3\n")
    with pytest.raises(InputError, match="line 4: 3 fields") as caught:
        rows_of(open_table(path, Reading(ragged=Ragged.PAD)))
    assert "--ragged skip" in caught.value.mend


def test_quoted_empty_cells_are_told_apart_among_ragged_rows(tmp_path):
    path = file(tmp_path, 'a,b\n1\n\n"",x\n,"",""\n"x",\n')
    assert rows_of(open_table(path, Reading(ragged=Ragged.SKIP))) == [("", "x"), ("x", None)]
    path = file(tmp_path, 'a,b\n1\n\n""\n"",""\n')
    rows = rows_of(open_table(path, Reading(ragged=Ragged.PAD)))
    assert rows == [("1", None), ("", None), ("", "")]


def test_two_thousand_columns_and_a_cell_of_a_megabyte(tmp_path):
    names = ",".join(f"c{number}" for number in range(2000))
    long = "x" * (1 << 20)
    path = file(tmp_path, f"{names}\n{long}{',' * 1999}\n")
    (row,) = rows_of(open_table(path))
    assert (len(row), len(row[0])) == (2000, 1 << 20)


# --- several files --------------------------------------------------------------------------------


def test_files_that_fit_a_pattern_are_one_table_in_the_order_of_their_names(tmp_path):
    file(tmp_path, "n,x\n3,c\n", "part-2.csv")
    file(tmp_path, "n;x\r\n1;a\r\n2;b\r\n\r\n", "part-1.csv")
    file(tmp_path, gzip.compress(b"n,x\n4,d\n"), "part-3.csv.gz")
    file(tmp_path, "other\n", ".part-0.csv")
    table = open_table(tmp_path / "part-*.csv*")
    assert [row[0] for row in rows_of(table)] == ["1", "2", "3", "4"]
    assert (table.columns, table.blank_lines) == (("n", "x"), 1)
    assert [path.name for path in table.files] == ["part-1.csv", "part-2.csv", "part-3.csv.gz"]


def test_the_fingerprint_covers_all_files_and_which_there_are(tmp_path):
    _, second = (file(tmp_path, "n\n1\n", name) for name in ("a.csv", "b.csv"))
    before = open_table(tmp_path / "*.csv").fingerprint()
    assert open_table(tmp_path / "*.csv").fingerprint() == before
    file(tmp_path, "n\n1\n", "c.csv")
    assert open_table(tmp_path / "*.csv").fingerprint() != before
    (tmp_path / "c.csv").unlink()
    assert open_table(tmp_path / "*.csv").fingerprint() == before
    os.utime(second, ns=(1, 1))
    assert open_table(tmp_path / "*.csv").fingerprint() != before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("n,y\n", "b.csv has other columns than {}a.csv: it lacks 'x'; it has also 'y'"),
        ("n\n", "b.csv has other columns than {}a.csv: it lacks 'x'"),
        ("x,n\n", "b.csv has other columns than {}a.csv: they stand in another order"),
        ("n,x\n1\n", "b.csv, line 2: 1 field"),
    ],
)
def test_files_of_one_table_have_the_same_columns(tmp_path, content, says):
    file(tmp_path, "n,x\n1,2\n", "a.csv")
    file(tmp_path, content, "b.csv")
    with pytest.raises(InputError) as caught:
        rows_of(open_table(tmp_path / "*.csv"))
    assert says.format(f"{tmp_path}/") in caught.value.message


def test_files_of_one_table_have_the_same_types(tmp_path):
    pl.DataFrame({"n": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"n": ["1"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b.parquet: the column 'n' is of type String, and of ty"):
        rows_of(open_table(tmp_path / "*.parquet"))
    file(tmp_path, '{"n": 1}\n', "a.ndjson")
    file(tmp_path, '{"n": "1"}\n', "b.ndjson")
    assert rows_of(open_table(tmp_path / "*.ndjson")) == [(1,), ("1",)]


def test_a_pattern_that_fits_nothing_and_a_file_with_such_a_name(tmp_path):
    with pytest.raises(InputError, match="no file fits this pattern"):
        open_table(tmp_path / "leads*.csv")
    file(tmp_path, "n\n1\n", "leads[1].csv")
    file(tmp_path, "n\n2\n", "leads1.csv")
    assert rows_of(open_table(tmp_path / "leads[1].csv")) == [("1",)]
    folder = tmp_path / "old [2025]"
    folder.mkdir()
    file(folder, "n\n3\n", "a.csv")
    assert rows_of(open_table(folder / "*.csv")) == [("3",)]


# --- the spool ------------------------------------------------------------------------------------


def test_what_comes_once_is_copied_privately_and_once(tmp_path):
    checkpoint = tmp_path / "out.csv.checkpoint.db"
    data = b"a;b\n1;2\n" * 10_000
    copy = spooled(io.BytesIO(data), checkpoint, "standard input")
    assert is_spool(copy.path)
    assert copy.is_new
    assert copy.path.name.startswith("out.csv.checkpoint.db.input-")
    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600
    with ZstdFile(copy.path) as packed:
        assert packed.read() == data
    table = open_copy(copy.path, Path(STANDARD))
    assert (table.columns, len(rows_of(table))) == (("a", "b"), 19_999)
    again = spooled(io.BytesIO(data), checkpoint, "standard input")
    assert (again.path, again.is_new) == (copy.path, False)
    other = spooled(io.BytesIO(data[1:]), checkpoint, "standard input")
    assert other.path != copy.path
    assert len(list(tmp_path.iterdir())) == 2


def test_mistakes_in_a_copy_are_told_of_what_was_copied(tmp_path):
    copy = spooled(io.BytesIO(b"a,b\n1\n"), tmp_path / "c.db", "standard input")
    with pytest.raises(InputError, match=r"^standard input, line 2: 1 field"):
        rows_of(open_copy(copy.path, Path(STANDARD)))


def test_nothing_leaves_no_copy(tmp_path):
    with pytest.raises(InputError, match="standard input is empty"):
        spooled(io.BytesIO(b""), tmp_path / "c.db", "standard input")
    assert list(tmp_path.iterdir()) == []
