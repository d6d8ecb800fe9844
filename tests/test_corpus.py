"""Every file of `tests/data` is read right, or refused with its name, its line and a mend."""

from pathlib import Path

import pytest

from enricher.errors import InputError
from enricher.formats import AS_FOUND, Dialect, Ragged, Reading
from enricher.source import open_table

CORPUS = Path(__file__).parent / "data"

HEAD = ("Company Name", "Website", "Postal code", "Score")
ROWS = [
    ("Acme", "acme.com", "00123", "1,5"),
    ("Café Zoë", "zoë.example", "1e5", "NA"),
    ("Bolt; Sons", None, "007", None),
]

THE_TABLE = {
    "comma.csv": Dialect(),
    "semicolon.csv": Dialect(";", "\r\n", bom=True),
    "tab.csv": Dialect("\t"),
    "bar.csv": Dialect("|"),
    "tab.tsv": Dialect("\t", "\r\n"),
    "utf16-le.csv": Dialect("\t", "\r\n", bom=True),
    "utf16-be.csv": Dialect(bom=True),
    "windows-1252.csv": Dialect(";", "\r\n", bom=True),
    "cr-only.csv": Dialect(line_end="\r"),
    "one.csv.gz": Dialect(),
    "two-members.csv.gz": Dialect(),
    "one.csv.zst": Dialect(),
    "two-frames.csv.zst": Dialect(),
}
"""One table, written in many ways."""

OTHERS = {
    "nul.csv": (("a", "b"), [("x\0y", "\0")]),
    "latin-header.csv": (("Société", "Website"), [("Acme", "acme.com")]),
    "duplicate-header.csv": (
        ("Name", "Name", "", "Website", ""),
        [("Acme", "A", "1", "acme.com", "2")],
    ),
    "one-column.csv": (("Website",), [("acme.com",), ("bolt.io",)]),
    "quoted-semicolons.csv": (("Name; legal", "Website"), [("Acme; Inc", "acme.com")]),
    "decimal-commas.csv": (("Name", "Price, EUR"), [("Acme", "1,5"), ("Bolt", "2,25")]),
    "quoted-empty.csv": (("a", "b", "c"), [("", None, "x"), (None, "", "y")]),
    "blank-lines.csv": (("a", "b"), [("1", "2"), ("3", "4")]),
    "header-only.csv": (("Name", "Website"), []),
}

REFUSED = {
    "mostly-utf8.csv": ", line 11: bytes that are not UTF-8 (e9 2c 78 0a), as other lines",
    "either.csv": " may be separated by commas (2 columns, the first 'a;b') or semicolons (3 col",
    "short-row.csv": ", line 3: 1 field where the header has 2",
    "zero-bytes.csv": " is empty (0 bytes)",
    "open-quote.csv": ", line 3: the quoted cell that begins here is never closed",
    "cut-short.csv.gz": " ends in the middle: the gzip data is cut short",
    "wrong-checksum.csv.gz": " cannot be unpacked as gzip: CRC check failed",
    "garbage-after.csv.gz": " cannot be unpacked as gzip: Not a gzipped file",
    "not-gzip.csv.gz": " cannot be unpacked as gzip: Not a gzipped file",
    "cut-short.csv.zst": " ends in the middle: the zstd data is cut short",
    "corrupt.csv.zst": " cannot be unpacked as zstd: ",
    "packed.csv.bz2": ": .bz2 files cannot be read",
    "bz2-inside.csv": " is a bzip2 file, whatever its name says",
    "malformed.ndjson": ", line 3: not a JSON object: Expecting ',' delimiter at character 9",
    "array.ndjson": ", line 1: not a JSON object: ",
    "key-twice.ndjson": ", line 1: not a JSON object: the key 'a' stands twice in one object",
    "not-a-number.ndjson": ", line 2: not a JSON object: NaN is no JSON",
    "cut-short.parquet": " ends in the middle: a Parquet file ends with PAR1",
}

TYPED = ("objects.ndjson", "objects.jsonl.gz", "typed.parquet")
"""Read and written by `test_fidelity.py`."""


def rows_of(name, reading=AS_FOUND):
    return [row for frame in open_table(CORPUS / name, reading).batches() for row in frame.rows()]


def test_each_file_is_spoken_for():
    known = {*THE_TABLE, *OTHERS, *REFUSED, *TYPED, "README.md"}
    assert {path.name for path in CORPUS.iterdir()} == known


@pytest.mark.parametrize("name", THE_TABLE)
def test_one_table_in_many_forms(name):
    table = open_table(CORPUS / name)
    assert (table.columns, table.dialect) == (HEAD, THE_TABLE[name])
    assert rows_of(name) == ROWS


@pytest.mark.parametrize("name", OTHERS)
def test_strange_files_that_are_right(name):
    columns, rows = OTHERS[name]
    assert (open_table(CORPUS / name).columns, rows_of(name)) == (columns, rows)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_right_is_refused(name):
    with pytest.raises(InputError) as caught:
        rows_of(name)
    assert caught.value.message.startswith(f"{CORPUS / name}{REFUSED[name]}")
    assert caught.value.mend


def test_a_guess_is_told_with_what_it_makes_of_the_text():
    (remark,) = open_table(CORPUS / "windows-1252.csv").remarks
    assert 'read as Windows-1252, in which it says "Café Zoë;zoë.example;1e5;NA"' in remark
    assert open_table(CORPUS / "windows-1252.csv", Reading(encoding="cp1252")).remarks == ()
    assert open_table(CORPUS / "utf16-le.csv").remarks == ()


def test_short_rows_are_padded_or_left_out_where_that_is_asked_for():
    skip = open_table(CORPUS / "short-row.csv", Reading(ragged=Ragged.SKIP))
    assert [row for frame in skip.batches() for row in frame.rows()] == [("Acme", "acme.com")]
    assert skip.ragged_lines == 2
    pad = open_table(CORPUS / "short-row.csv", Reading(ragged=Ragged.PAD))
    assert [row for frame in pad.batches() for row in frame.rows()] == [
        ("Acme", "acme.com"),
        ("Bolt", None),
        ("Crux", "crux.io"),
    ]
    assert pad.ragged_lines == 2


def test_what_fits_two_delimiters_is_read_with_the_one_that_is_named():
    assert rows_of("either.csv", Reading(delimiter=";")) == [("x", "y,z", "w")]
    assert rows_of("either.csv", Reading(delimiter=",")) == [("x;y", "z;w")]
