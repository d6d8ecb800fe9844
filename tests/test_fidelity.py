"""Every cell of every input column comes out as it went in, whatever the format."""

import csv
import gzip
import io
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from enricher.formats import Reading
from enricher.model import OutputColumn, RowStatus
from enricher.record import Outcome
from enricher.sink import Layout, write
from enricher.source import open_table
from enricher.zstd import ZstdFile

CORPUS = Path(__file__).parent / "data"
EMAIL = (OutputColumn("c1", "Email"),)
ADDED = ["Email", "enrichment_status", "enrichment_error"]


def enriched(source, target, outputs=EMAIL, value="a@b.c"):
    """`source` through the reader and the writer, each row with one answer."""
    table = open_table(source)
    outcome = Outcome(RowStatus.COMPLETED, "", {"c1": value})
    layout = Layout(table.columns, outputs, dialect=table.dialect)
    write(target, layout, lambda: ((f, [outcome] * f.height) for f in table.batches()))
    return target


def unpacked(path):
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        with ZstdFile(path) as packed:
            return packed.read()
    return path.read_bytes()


# --- text -----------------------------------------------------------------------------------------

TRICKY = st.sampled_from(
    ["", " ", "00123", "1e5", "NA", "null", "-0", "+1", "1,5", "1.50", '"', "a;b", "x\ty", "a|b"]
)
CELL = TRICKY | st.text(st.characters(codec="utf-8"), max_size=6)


@st.composite
def text_tables(draw):
    """The header, the rows, how they are written, and which cells have quotes."""
    width = draw(st.integers(1, 4))
    row = st.lists(CELL, min_size=width, max_size=width)
    return (
        draw(row),
        draw(st.lists(row, max_size=6)),
        draw(st.sampled_from([",", ";", "\t", "|"])),
        draw(st.sampled_from(["\n", "\r\n", "\r"])),
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])),
        draw(st.randoms(use_true_random=False)),
    )


def written(cell, mark, random, alone):
    """A cell as somebody may write it; alone in its line, an empty one would be a blank line."""
    must = any(character in cell for character in f'{mark}"\r\n')
    if must or (alone and not cell.strip()) or random.random() < 0.3:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def fields(text, mark):
    """The fields of each record."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))


@given(text_tables(), st.sampled_from(["", ".gz", ".zst"]))
def test_any_text_table_comes_out_cell_by_cell(tmp_path_factory, table, packing):
    header, rows, mark, line_end, encoding, random = table
    lines = [
        mark.join(written(cell, mark, random, len(header) == 1) for cell in row)
        for row in [header, *rows]
    ]
    folder = tmp_path_factory.getbasetemp()
    source = folder / "any.csv"
    source.write_bytes((line_end.join(lines) + line_end).encode(encoding))
    named = open_table(source, Reading(delimiter=mark))
    taken = {"enrichment_status", "enrichment_error"} & set(header)
    if taken:
        return
    outcome = Outcome(RowStatus.COMPLETED, "", {})
    target = folder / f"out.csv{packing}"
    layout = Layout(named.columns, (), dialect=named.dialect)
    write(target, layout, lambda: ((f, [outcome] * f.height) for f in named.batches()))
    out = unpacked(target)
    assert out.startswith(b"\xef\xbb\xbf") == (encoding != "utf-8")
    text = out.decode("utf-8-sig" if encoding != "utf-8" else "utf-8")
    found = fields(text, mark)
    assert [row[:-2] for row in found] == [header, *rows]
    assert text.endswith(f"completed{mark}{line_end}" if rows else line_end)
    again = open_table(target, Reading(delimiter=mark))
    frames = zip(named.batches(), again.batches(), strict=True)
    for before, after in frames:  # empty and quoted empty are two things
        assert after.select(before.columns).equals(before, null_equal=True)


def test_text_is_written_as_it_was_byte_by_byte(tmp_path):
    text = 'A;B;B;\r\n00123;"";;"x;""y"""\r\n1e5; NA ;null;"two\r\nlines"\r\n'
    (tmp_path / "in.csv").write_bytes(text.encode("utf-8-sig"))
    out = enriched(tmp_path / "in.csv", tmp_path / "out.csv").read_bytes()
    assert out.decode("utf-8-sig") == (
        "A;B;B;;Email;enrichment_status;enrichment_error\r\n"
        '00123;"";;"x;""y""";a@b.c;completed;\r\n'
        '1e5; NA ;null;"two\r\nlines";a@b.c;completed;\r\n'
    )


def test_a_tsv_has_tabs_whatever_the_input_had(tmp_path):
    (tmp_path / "in.csv").write_text("a;b\n1;2\n")
    out = enriched(tmp_path / "in.csv", tmp_path / "out.tsv").read_text()
    assert out.splitlines()[1] == "1\t2\ta@b.c\tcompleted\t"


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_equal_tables_are_equal_packed_files(tmp_path, packing):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    first = enriched(tmp_path / "in.csv", tmp_path / f"one.csv{packing}").read_bytes()
    second = enriched(tmp_path / "in.csv", tmp_path / f"two.csv{packing}").read_bytes()
    assert first == second


# --- NDJSON ---------------------------------------------------------------------------------------

NUMBER = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | NUMBER | TRICKY | st.text(st.characters(codec="utf-8"))
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.sampled_from("abcd"), VALUE), min_size=1, max_size=8)


def same(one, other):
    """Equal, and of the same kind; a number with a fraction may be written as a whole one."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@given(OBJECTS, st.sampled_from([".ndjson", ".jsonl.gz", ".ndjson.zst"]))
@example([{"a": 1}, {"a": 0.5}, {"a": 2**53}], ".ndjson")
@example([{"a": {"x": 1}}, {"a": {"y": [2]}}, {"b": "5", "a": None}, {"b": 5}], ".ndjson")
def test_any_objects_come_out_value_by_value(tmp_path_factory, objects, extension):
    if not any(objects):
        return
    folder = tmp_path_factory.getbasetemp()
    source = folder / "any.ndjson"
    source.write_text("".join(json.dumps(one) + "\n" for one in objects), encoding="utf-8")
    out = unpacked(enriched(source, folder / f"out{extension}", value={"x": [1]})).decode()
    found = [json.loads(line) for line in out.removesuffix("\n").split("\n")]
    names = list(dict.fromkeys(key for one in objects for key in one))
    assert len(found) == len(objects)
    for before, after in zip(objects, found, strict=True):
        assert list(after) == [*names, *ADDED]
        assert all(same(before.get(name), after[name]) for name in names)
        assert (after["Email"], after["enrichment_error"]) == ({"x": [1]}, None)


def test_an_object_without_a_key_has_null_and_a_late_key_is_a_column(tmp_path):
    source = tmp_path / "in.ndjson"
    source.write_text('{"a": 1}\n' * 20_000 + '\n{"late": true}\n')
    table = open_table(source)
    assert table.columns == ("a", "late")
    rows = [row for frame in table.batches() for row in frame.rows()]
    assert (rows[0], rows[-1], len(rows), table.blank_lines) == ((1, None), (None, True), 20_001, 1)


def test_objects_become_typed_parquet_and_csv(tmp_path):
    out = pl.read_parquet(enriched(CORPUS / "objects.ndjson", tmp_path / "out.parquet"))
    assert out.schema["staff"] == pl.Int64
    assert out.schema["score"] == pl.Float64
    assert out.schema["address"] == pl.Struct({"city": pl.String, "zip": pl.String})
    assert out["mixed"].to_list() == [None, None, '"5"', "5"]
    out = enriched(CORPUS / "objects.jsonl.gz", tmp_path / "out.csv").read_text(encoding="utf-8")
    assert out.splitlines()[1:3] == [
        'Acme,7,1.5,true,"[""a"",{""b"":null}]",,,,a@b.c,completed,',
        "Café Zoë,,2,,,zoë.example,,,a@b.c,completed,",
    ]


# --- Parquet --------------------------------------------------------------------------------------


@given(
    dataframes(
        min_cols=1,
        max_cols=4,
        max_size=8,
        excluded_dtypes=[pl.Object, pl.Null, pl.Duration],
        allow_time_zones=True,
    )
)
def test_any_parquet_table_comes_out_with_its_types(tmp_path_factory, frame):
    folder = tmp_path_factory.getbasetemp()
    frame.write_parquet(folder / "any.parquet")
    before = pl.read_parquet(folder / "any.parquet")
    out = pl.read_parquet(enriched(folder / "any.parquet", folder / "out.parquet"))
    assert_frame_equal(out.select(before.columns), before)


def test_typed_parquet_of_the_corpus_keeps_every_type(tmp_path):
    out = pl.read_parquet(enriched(CORPUS / "typed.parquet", tmp_path / "out.parquet"))
    before = pl.read_parquet(CORPUS / "typed.parquet")
    assert_frame_equal(out.select(before.columns), before)
    assert out.schema["price"] == pl.Decimal(9, 2)
    assert out.schema["kind"] == pl.Categorical
    assert out.schema["when"] == pl.Date
    assert out["seen"][0] == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert out["price"][0] == Decimal("1.10")
    assert out["when"][2] == date(2001, 1, 1)


@pytest.mark.parametrize("extension", ["parquet", "ndjson"])
def test_a_column_without_a_name_keeps_it(tmp_path, extension):
    source = tmp_path / f"in.{extension}"
    frame = pl.DataFrame({"a": ["1"], "": [" "]})
    getattr(frame, f"write_{extension}")(source)
    outputs = (OutputColumn("c1", "Email"),)
    out = pl.read_parquet(enriched(source, tmp_path / "out.parquet", outputs))
    assert_frame_equal(out.select("a", ""), frame)


def test_types_as_json(tmp_path):
    pl.DataFrame(
        {"x": [1.0, math.nan, math.inf, 1e300], "n": [1, None, 3, 2**63 - 1]}
    ).write_parquet(tmp_path / "in.parquet")
    out = enriched(tmp_path / "in.parquet", tmp_path / "out.ndjson").read_text()
    assert [line.split(',"Email"')[0] + "}" for line in out.splitlines()] == [
        '{"x":1.0,"n":1}',
        '{"x":null,"n":null}',
        '{"x":"inf","n":3}',
        '{"x":1e+300,"n":9223372036854775807}',
    ]
    typed = enriched(CORPUS / "typed.parquet", tmp_path / "typed.ndjson").read_text()
    assert typed.splitlines()[0].startswith(
        '{"Company Name":"Acme","when":"1999-12-31","seen":"2026-01-02T03:04:05.678+00:00",'
        '"price":1.1,"kind":"a","tags":["x",null],"address":{"city":"Ulm","zip":1},"blob":"AP8="'
    )
