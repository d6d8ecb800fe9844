"""The output file: input cells untouched, outputs named and typed, whole or not at all."""

import csv
import os
import resource
import signal
import stat
from contextlib import contextmanager

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.errors import OutputError
from enricher.formats import Dialect, Reading
from enricher.model import OutputColumn, RowStatus
from enricher.record import Outcome
from enricher.sink import (
    Layout,
    Written,
    check_layout,
    check_writable,
    output_names,
    status_columns,
    write,
)
from enricher.source import open_table

EMAIL = (OutputColumn("c1", "Email"),)
FORMATS = pytest.mark.parametrize("extension", ["csv", "parquet"])


def done(value, error=""):
    return Outcome(RowStatus.COMPLETED, error, {"c1": value})


def layout_of(table, outputs=EMAIL):
    return Layout(table.columns, outputs, dialect=table.dialect)


def enrich(table, target, outcome=None):
    """Write `target` from `table`, every row with the same outcome."""

    def pairs():
        for frame in table.batches():
            yield frame, [outcome or done("x")] * frame.height

    write(target, layout_of(table), pairs)


def written(target, *values, columns=("id",), dialect=None):
    """Write a table of one text column with one row for each value of the output `Email`."""
    frame = pl.DataFrame({"0": [str(number) for number in range(len(values))]})
    outcomes = [done(value) for value in values]
    write(target, Layout(columns, EMAIL, dialect=dialect), lambda: [(frame, outcomes)])
    return target


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "outputs", "names"),
    [
        (["id"], ["Email", "Phone"], ["Email", "Phone"]),
        (["id"], ["Email", "Email", "Email"], ["Email", "Email (2)", "Email (3)"]),
        (["Email"], ["Email"], ["Email (enriched)"]),
        (["Email", "Email (enriched)"], ["Email"], ["Email (enriched 2)"]),
        (["Email", "Email"], ["Email", "Email"], ["Email (enriched)", "Email (2)"]),
        (["Email (2)"], ["Email", "Email"], ["Email", "Email (2) (enriched)"]),
        (["id"], ["A", "A", "A (2)"], ["A", "A (2)", "A (2) (2)"]),
        (["A"], ["A (enriched)", "A"], ["A (enriched)", "A (enriched 2)"]),
        (["id"], ["enrichment_status"], ["enrichment_status (enriched)"]),
        (["id"], ["email", "Email"], ["email", "Email"]),
        (["id"], ["", ""], ["", " (2)"]),
    ],
)
def test_outputs_are_named_by_their_display_names(columns, outputs, names):
    given_outputs = [OutputColumn(f"c{number}", name) for number, name in enumerate(outputs)]
    assert list(output_names(columns, given_outputs)) == names


NAME = st.sampled_from(["A", "A (2)", "A (enriched)", "A (enriched 2)", "A (2) (enriched)", "B"])


@given(st.lists(NAME), st.lists(NAME))
def test_no_output_has_the_name_of_another_column(columns, outputs):
    names = output_names(columns, [OutputColumn(str(n), name) for n, name in enumerate(outputs)])
    everything = [*set(columns), *names, *status_columns()]
    assert len(set(everything)) == len(everything)
    assert len(names) == len(outputs)


def test_the_status_columns_have_the_prefix_that_was_asked_for():
    layout = Layout(("a", "enrichment_status"), EMAIL, status_prefix="night")
    assert layout.names() == ("a", "enrichment_status", "Email", "night_status", "night_error")


@pytest.mark.parametrize("column", ["enrichment_status", "enrichment_error"])
def test_an_input_that_has_the_status_columns_is_refused(tmp_path, column):
    with pytest.raises(OutputError, match=column) as caught:
        check_layout(tmp_path / "out.csv", Layout(("a", column), EMAIL))
    assert "--status-prefix" in caught.value.mend


# --- CSV: input cells stay, byte for byte ---------------------------------------------------------

CELL = st.sampled_from(["", '"', ",", "\n", "\r", "a,b", 'say "hi"', " ", "00123", "1e5", None])
CELL |= st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
HEADER = CELL.filter(lambda name: name is None or "\ufeff" not in name)
DIALECT = st.builds(Dialect, line_end=st.sampled_from(["\n", "\r\n", "\r"]), bom=st.booleans())


def quoted_where_needed(cell):
    if cell is None:
        return ""
    needs = not cell or any(mark in cell for mark in ',"\r\n')
    return '"' + cell.replace('"', '""') + '"' if needs else cell


def text_of(rows, dialect):
    lines = (",".join(map(quoted_where_needed, row)) for row in rows)
    mark = "\ufeff" if dialect.bom else ""
    return (mark + "".join(line + dialect.line_end for line in lines)).encode()


@st.composite
def text_tables(draw):
    width = draw(st.integers(2, 4))
    header = draw(st.lists(HEADER, min_size=width, max_size=width))
    rows = draw(st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=10))
    return [name or None for name in header], rows, draw(DIALECT)


@given(text_tables())
def test_csv_that_was_quoted_where_needed_comes_back_byte_for_byte(tmp_path_factory, table):
    header, rows, dialect = table
    told = Reading(delimiter=dialect.delimiter)  # of names such as `;` nobody could find it
    folder = tmp_path_factory.getbasetemp()
    (folder / "in.csv").write_bytes(text_of([header, *rows], dialect))
    enrich(open_table(folder / "in.csv", told), folder / "out.csv")
    added = ["Email", "enrichment_status", "enrichment_error"]
    expected = [[*header, *added], *([*row, "x", "completed", None] for row in rows)]
    assert (folder / "out.csv").read_bytes() == text_of(expected, dialect)


@given(text_tables())
def test_csv_that_was_quoted_throughout_comes_back_cell_for_cell(tmp_path_factory, table):
    header, rows, dialect = table
    told = Reading(delimiter=dialect.delimiter)  # of names such as `;` nobody could find it
    folder = tmp_path_factory.getbasetemp()
    with (folder / "in.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=dialect.line_end)
        writer.writerows([header, *rows])
    enrich(open_table(folder / "in.csv", told), folder / "out.csv")
    again = open_table(folder / "out.csv", told)
    assert again.columns[:-3] == tuple(name or "" for name in header)
    kept = [row[:-3] for frame in again.batches() for row in frame.rows()]
    assert kept == [tuple(cell or "" for cell in row) for row in rows]


@FORMATS
def test_a_header_without_rows_gives_a_header_without_rows(tmp_path, extension):
    (tmp_path / "in.csv").write_text("a,b\r\n", newline="")
    target = tmp_path / f"out.{extension}"
    enrich(open_table(tmp_path / "in.csv"), target)
    if extension == "csv":
        assert target.read_bytes() == b"a,b,Email,enrichment_status,enrichment_error\r\n"
    else:
        frame = pl.read_parquet(target)
        assert frame.height == 0
        assert set(frame.dtypes) == {pl.String()}
        assert frame.columns == ["a", "b", "Email", "enrichment_status", "enrichment_error"]


def test_statuses_errors_and_missing_outputs(tmp_path):
    outcomes = [
        Outcome(RowStatus.FAILED, 'RUN_FAILED: no "answer", sorry'),
        Outcome(RowStatus.IN_DOUBT, "IN_DOUBT: line\nbreak"),
        Outcome(RowStatus.SKIPPED),
        Outcome(RowStatus.COMPLETED, outputs={"other": 1}),
        Outcome(RowStatus.COMPLETED, outputs={"c1": "\ud800!"}),
    ]
    frame = pl.DataFrame({"0": list("abcde")})
    for target in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        write(target, Layout(("id",), EMAIL), lambda: [(frame, outcomes)])
    assert (tmp_path / "out.csv").read_text() == (
        "id,Email,enrichment_status,enrichment_error\n"
        'a,,failed,"RUN_FAILED: no ""answer"", sorry"\n'
        'b,,in_doubt,"IN_DOUBT: line\nbreak"\n'
        "c,,skipped,\n"
        "d,,completed,\n"
        "e,�!,completed,\n"
    )
    rows = pl.read_parquet(tmp_path / "out.parquet").rows()
    assert rows[1] == ("b", None, "in_doubt", "IN_DOUBT: line\nbreak")
    assert rows[2:] == [
        ("c", None, "skipped", None),
        ("d", None, "completed", None),
        ("e", "�!", "completed", None),
    ]


def test_output_values_in_csv(tmp_path):
    values = ["1,5", "", None, 10**30, 0.5, True, [1, "a"], {"k": None}]
    target = written(tmp_path / "out.csv", *values)
    with target.open(newline="") as file:
        cells = [row[1] for row in csv.reader(file)][1:]
    assert cells == ["1,5", "", "", str(10**30), "0.5", "true", '[1,"a"]', '{"k":null}']
    assert target.read_text().splitlines()[2:4] == ['1,"",completed,', "2,,completed,"]


def test_enriched_text_that_a_spreadsheet_would_run_is_counted_and_made_safe_if_asked(tmp_path):
    outputs = (*EMAIL, OutputColumn("c2", "=Name"))
    values = ["=1", "a", "-5", -5, ["=1"], None, "", "+x"]
    outcomes = [Outcome(RowStatus.COMPLETED, outputs={"c1": value}) for value in values]
    outcomes[1] = Outcome(RowStatus.FAILED, "=CODE: message")
    frame = pl.DataFrame({"0": ["=input"] * len(values)})
    texts = {}
    for excel_safe in (False, True):
        target = tmp_path / f"{excel_safe}.csv"
        layout = Layout(("=id",), outputs, excel_safe=excel_safe)
        assert write(target, layout, lambda: [(frame, outcomes)]) == Written(formulas=4)
        with target.open(newline="") as file:
            texts[excel_safe] = list(csv.reader(file))
    header, *rows = texts[True]
    assert header == ["=id", "Email", "'=Name", "enrichment_status", "enrichment_error"]
    assert [row[1] for row in rows] == ["'=1", "", "-5", "-5", '["=1"]', "", "", "'+x"]
    assert {row[0] for row in rows} == {"=input"}
    assert rows[1][4] == "'=CODE: message"
    assert [[cell.removeprefix("'") for cell in row] for row in texts[True]] == texts[False]


def test_parquet_is_no_place_for_formulas(tmp_path):
    frame, outcomes = pl.DataFrame({"0": ["=input"]}), [done("=1", "=2")]
    layout = Layout(("id",), EMAIL, excel_safe=True)
    target = tmp_path / "out.parquet"
    assert write(target, layout, lambda: [(frame, outcomes)]) == Written()
    assert pl.read_parquet(target).row(0) == ("=input", "=1", "completed", "=2")


# --- whole or not at all --------------------------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("error", [KeyError("boom"), KeyboardInterrupt(), OSError(5, "theirs")])
def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path, extension, error):
    target = tmp_path / f"out.{extension}"
    target.write_text("old")

    def pairs():
        for number in range(40):
            yield pl.DataFrame({"0": ["x"] * 1000}), [done(1)] * 1000
            if number == 30:
                assert target.read_text() == "old"
                assert len(list(tmp_path.iterdir())) == 2
                raise error

    with pytest.raises(type(error)) as caught:
        write(target, Layout(("id",), EMAIL), pairs)
    assert caught.value is error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@contextmanager
def files_of_at_most(size):
    """Let the system refuse larger files, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@FORMATS
def test_a_disk_that_does_not_take_it(tmp_path, extension):
    target = tmp_path / f"out.{extension}"
    target.write_text("old")

    def pairs():
        for _ in range(60):
            yield pl.DataFrame({"0": [os.urandom(8).hex() for _ in range(5000)]}), [done(1)] * 5000

    with files_of_at_most(1 << 20), pytest.raises(OutputError) as caught:
        write(target, Layout(("id",), EMAIL), pairs)
    assert str(target) in caught.value.message
    assert "larger than is allowed" in caught.value.message
    assert "checkpoint" in caught.value.mend
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text() == "old"


@FORMATS
def test_the_permissions_of_a_file_that_is_replaced_stay(tmp_path, extension):
    target = tmp_path / f"out.{extension}"
    target.write_text("old")
    target.chmod(0o640)
    written(target, "x")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    fresh = written(tmp_path / f"fresh.{extension}", "x")
    plain = tmp_path / "plain"
    plain.touch()
    assert fresh.stat().st_mode == plain.stat().st_mode


@FORMATS
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_until_it_is_complete_nobody_else_may_read_it(tmp_path, extension, umask):
    target = tmp_path / f"out.{extension}"
    modes: set[int] = set()

    def pairs():
        yield pl.DataFrame({"0": ["1"]}), [done("x")]
        modes.update(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir())

    before = os.umask(umask)
    try:
        write(target, Layout(("id",), EMAIL), pairs)
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path):
    target = tmp_path / "out.csv"
    old, young, other = (
        tmp_path / f".{name}.tmp"
        for name in ("out.csv.0123456789ab", "out.csv.ba9876543210", "in.csv.0123456789ab")
    )
    for path in (old, young, other):
        path.write_text("half")
    for path, hours in ((old, 25), (young, 23), (other, 25)):
        moment = path.stat().st_mtime - hours * 3600
        os.utime(path, (moment, moment))
    written(target, "x")
    assert [path.exists() for path in (old, young, other)] == [False, True, True]


@FORMATS
def test_a_planted_link_is_not_followed_for_the_temporary_file(tmp_path, extension, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda size: "ab" * size)
    target, victim = tmp_path / f"out.{extension}", tmp_path / "victim"
    link = tmp_path / f".{target.name}.{'ab' * 6}.tmp"
    for there in (False, True):
        link.unlink(missing_ok=True)
        link.symlink_to(victim)
        if there:
            victim.write_text("precious")
        with pytest.raises(OutputError, match="cannot be written"):
            written(target, "x")
        assert victim.exists() is there
    assert victim.read_text() == "precious"
    assert not target.exists()


@FORMATS
def test_a_link_stays_and_its_file_is_replaced(tmp_path, extension):
    real, link = tmp_path / f"real.{extension}", tmp_path / f"link.{extension}"
    link.symlink_to(real)
    written(link, "x")
    assert link.is_symlink()
    assert real.stat().st_size > 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out", "a name without extension"),
        ("out.ods", "the extension .ods"),
        ("missing/out.csv", "its directory does not exist"),
        ("file.txt/out.csv", "its directory is a file"),
        ("folder.csv", "is a directory"),
        ("pipe.csv", "is not a regular file"),
        ("o" * 300 + ".csv", "its name is too long"),
        ("o\0.csv", "cannot be written"),
    ],
)
def test_places_that_cannot_be_written_are_refused_before_anything_is_spent(tmp_path, name, says):
    (tmp_path / "file.txt").touch()
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    before = sorted(tmp_path.iterdir())
    for refuse in (check_writable, written):
        with pytest.raises(OutputError, match=says) as caught:
            refuse(tmp_path / name)
        assert caught.value.mend
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_where_one_may_not_write(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="you may not write there"):
        check_writable(tmp_path / "out.csv")


@FORMATS
def test_a_check_of_the_place_leaves_no_trace(tmp_path, extension):
    check_writable(tmp_path / f"new.{extension}")
    assert not list(tmp_path.iterdir())
    old = tmp_path / f"old.{extension.upper()}"
    old.write_text("old")
    check_writable(old)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
