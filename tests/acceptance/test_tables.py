"""Tables as people have them: packed, foreign, several, on standard input and output."""

import csv
import gzip
import io
import json
import os
import stat
from pathlib import Path

import pytest

from enricher.source import is_spool
from tests.acceptance.desk import COMPANIES, STATUS, Desk, cells, content_of

GRID = ("--grid", COMPANIES.id, "--rate", "unlimited")
LEADS = ["Company Name;Website;Code", "Acme;acme.com;00123", "Café Zoë;zoë.fr;1e5", "Bolt;;"]
COMMAS = [line.replace(";", ",") for line in LEADS]
FED = ("-m", "company_name=a", "-m", "website=b")
OUTPUTS = [column.name for column in COMPANIES.outputs]


def bytes_of(lines, encoding="utf-8", end="\n"):
    return "".join(f"{line}{end}" for line in lines).encode(encoding)


def records(content, mark=";"):
    """The data rows of a table that is not in a CSV file."""
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))[1:]


def put(desk: Desk, name: str, content: bytes) -> Path:
    path = desk.folder / name
    path.write_bytes(content)
    return path


# --- packing and formats --------------------------------------------------------------------------


def test_a_packed_list_gives_a_packed_one_and_a_packed_part_of_it(desk: Desk) -> None:
    put(
        desk,
        "leads.csv.gz",
        gzip.compress(bytes_of(LEADS[:2])) + gzip.compress(bytes_of(LEADS[2:])),
    )
    desk.do("run", "leads.csv.gz", *GRID, "--max-runs", 1, exits=4)
    part = gzip.decompress((desk.folder / "leads.enriched.partial.csv.gz").read_bytes())
    assert [row[0] for row in records(part)] == ["Acme", "Café Zoë", "Bolt"]
    desk.do("run", "leads.csv.gz", *GRID)
    assert desk.files() == [
        "leads.csv.gz",
        "leads.enriched.csv.gz",
        "leads.enriched.csv.gz.checkpoint.db",
        "leads.enriched.csv.gz.checkpoint.db.lock",
    ]
    whole = gzip.decompress((desk.folder / "leads.enriched.csv.gz").read_bytes()).decode()
    assert whole.splitlines()[1].startswith("Acme;acme.com;00123;")
    assert len(desk.bought) == 3


@pytest.mark.parametrize("output", ["out.ndjson", "out.jsonl.zst", "out.tsv", "out.csv.zst"])
def test_formats_out(desk: Desk, output) -> None:
    put(desk, "leads.ndjson", b'{"Company Name": "Acme", "n": 1}\n{"Website": "x.io", "n": "1"}\n')
    desk.do("run", "leads.ndjson", *GRID, "-o", output)
    content = content_of(desk.folder / output)
    if "json" in output:
        first, second = map(json.loads, content.decode().splitlines())
        assert list(first) == ["Company Name", "n", "Website", *OUTPUTS, *STATUS]
        assert (first["n"], second["n"], first["Website"]) == (1, "1", None)
        assert isinstance(first["Employees"], int)
        assert isinstance(first["Tags"], list)
    else:
        rows = records(content, "\t" if output == "out.tsv" else ",")
        assert [row[:3] for row in rows] == [["Acme", "1", ""], ["", "1", "x.io"]]


def test_a_list_from_excel_is_read_with_a_sample_of_the_guess_and_written_in_utf8(
    desk: Desk,
) -> None:
    put(desk, "leads.csv", bytes_of(LEADS, "cp1252", "\r\n"))
    planned = desk.do("plan", "leads.csv", *GRID)
    assert 'is read as Windows-1252, in which it says "Café Zoë;zoë.fr;1e5"' in planned.out
    said = desk.do("run", "leads.csv", *GRID)
    assert "Windows-1252" in said.err
    out = (desk.folder / "leads.enriched.csv").read_bytes()
    assert out.startswith(b"\xef\xbb\xbfCompany Name;Website;Code;")
    assert "\r\nCafé Zoë;zoë.fr;1e5;".encode() in out
    assert desk.bought[1]["company_name"] == "Café Zoë"
    desk.do("run", "leads.csv", *GRID, "--encoding", "mac-roman")
    assert len(desk.bought) == 4, "the text of one row became another"
    desk.do("resume", "leads.enriched.csv.checkpoint.db", "--encoding", "cp1252")
    assert (desk.folder / "leads.enriched.csv").read_bytes() == out


def test_ragged_rows_are_refused_padded_or_left_out(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com", "Bolt"])
    said = desk.do("run", "leads.csv", *GRID, exits=1)
    assert "leads.csv, line 3: 1 field where the header has 2" in said.err
    planned = desk.do("plan", "leads.csv", *GRID, "--ragged", "skip")
    assert "1 row with too many or too few fields left out" in planned.out
    skipped = desk.do("run", "leads.csv", *GRID, "--ragged", "skip")
    assert "1 row with too many or too few fields left out of the output too" in skipped.err
    assert cells(desk.folder / "leads.enriched.csv").column("Company Name") == ["Acme"]
    padded = desk.do("run", "leads.csv", *GRID, "--ragged", "pad")
    assert "1 row with too few fields filled up" in padded.err
    assert cells(desk.folder / "leads.enriched.csv").column("Company Name") == ["Acme", "Bolt"]
    assert len(desk.bought) == 2


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--encoding", "klingon", "--encoding: 'klingon' is no encoding"),
        ("--delimiter", ";;", "--delimiter: ';;' must be one character"),
        ("--ragged", "mend", "'mend' is not one of 'error', 'pad', 'skip'"),
    ],
)
def test_options_of_the_wrong_form(desk: Desk, option, value, says) -> None:
    desk.write("leads.csv", COMMAS)
    assert says in desk.do("run", "leads.csv", *GRID, option, value, exits=2).err


# --- several files --------------------------------------------------------------------------------


def test_several_files_are_one_list(desk: Desk) -> None:
    desk.write("b.csv", ["Company Name,Website", "Bolt,", "Acme,acme.com"])
    desk.write("a.csv", ["Company Name,Website", "Acme,acme.com"])
    assert "--output: is required" in desk.do("run", "*.csv", *GRID, exits=2).err
    said = desk.do("run", "*.csv", *GRID, "-o", "all.csv", exits=1)
    assert "all.csv fits the pattern of the input" in said.err
    (desk.folder / "out").mkdir()
    told = desk.do("run", "*.csv", *GRID, "-o", "out/all.csv", "--json").json
    assert (told["rows"]["total"], told["runs"]["submitted"]) == (3, 2)
    out = cells(desk.folder / "out" / "all.csv")
    assert out.column("Company Name") == ["Acme", "Bolt", "Acme"]
    desk.write("c.csv", ["Company Name,Website", "Crux,crux.io"])
    desk.do("resume", "out/all.csv.checkpoint.db")
    assert cells(desk.folder / "out" / "all.csv").column("Company Name")[-1] == "Crux"
    desk.write("d.csv", ["Company,Website", "Crux,crux.io"])
    said = desk.do("run", "*.csv", *GRID, "-o", "out/all.csv", exits=1)
    assert "d.csv has other columns than" in said.err
    assert "lacks 'Company Name'; it has also 'Company'" in said.err


# --- standard input and output --------------------------------------------------------------------


def spools(desk: Desk) -> list[Path]:
    return [path for path in desk.folder.rglob("*") if is_spool(path)]


def test_standard_input_is_copied_once_and_read_from_the_copy_ever_after(desk: Desk) -> None:
    given = put(desk, "given", bytes_of(LEADS))
    desk.do("run", "-", *GRID, "-o", "out.csv", "--max-runs", 1, stdin=given, exits=4)
    (copy,) = spools(desk)
    assert copy.name.startswith("out.csv.checkpoint.db.input-")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert content_of(copy) == given.read_bytes()
    desk.do("resume", "out.csv.checkpoint.db", "--max-runs", 1, exits=4)
    desk.do("export", "out.csv.checkpoint.db", "-o", "part.csv")
    desk.do("run", "-", *GRID, "-o", "out.csv", stdin=given)
    assert spools(desk) == [copy]
    out = (desk.folder / "out.csv").read_bytes()
    assert b"\nAcme;acme.com;00123;" in out
    assert len(desk.bought) == 3
    put(desk, "given", bytes_of([*LEADS, "New;new.io;"]))
    told = desk.do("run", "-", *GRID, "-o", "out.csv", "--json", stdin=given).json
    assert (told["input"], told["runs"]["submitted"]) == ("-", 1)
    assert len(spools(desk)) == 1
    assert spools(desk) != [copy]


def test_a_plan_of_standard_input_leaves_nothing(desk: Desk) -> None:
    given = put(desk, "given", bytes_of(LEADS))
    for output in ("out.csv", "-"):
        said = desk.do("plan", "-", *GRID, "-o", output, stdin=given)
        assert "3 to enrich" in said.out
    assert [name for name in desk.files() if (desk.folder / name).is_file()] == ["given"]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "standard input is empty"), (b"a,b\n1\n", "standard input, line 2: 1 field")],
)
def test_a_mistake_on_standard_input_leaves_nothing(desk: Desk, content, says) -> None:
    given = put(desk, "given", content)
    said = desk.do("run", "-", *GRID, *FED, "-o", "o.csv", stdin=given, exits=1)
    assert says in said.err
    assert desk.files() == ["given"]


def test_standard_input_needs_an_output(desk: Desk) -> None:
    said = desk.do("run", "-", *GRID, exits=2)
    assert "--output: is required" in said.err


def test_a_pipe_from_end_to_end(desk: Desk) -> None:
    given = put(desk, "given", bytes_of(LEADS, end="\r\n"))
    stopped = desk.do("run", "-", *GRID, "-o", "-", "--max-runs", 1, stdin=given, exits=4)
    assert stopped.out == ""
    said = desk.do("run", "-", *GRID, "-o", "-", stdin=given)
    assert said.out.splitlines()[0].startswith("Company Name;Website;Code;")
    assert [row[0] for row in records(said.out)] == ["Acme", "Café Zoë", "Bolt"]
    assert len(desk.bought) == 3
    (told,) = [line for line in said.err.splitlines() if "the checkpoint is" in line]
    checkpoint = Path(told.partition("the checkpoint is ")[2])
    assert checkpoint.exists()
    assert desk.folder.parent / "state" in checkpoint.parents
    assert desk.do("export", checkpoint, "-o", "-").out == said.out
    assert desk.do("resume", checkpoint).out == said.out
    assert "--json has no place there" in desk.do("resume", checkpoint, "--json", exits=2).err
    said = desk.do("run", "-", *GRID, "-o", "-", "--json", stdin=given, exits=2)
    assert "--json has no place there" in said.err


def test_a_reader_that_leaves_early_stops_nothing(desk: Desk) -> None:
    desk.write("leads.csv", COMMAS)
    reading, writing = os.pipe()
    os.close(reading)
    life = desk.start("run", "leads.csv", *GRID, "-o", "-", stdout=writing)
    os.close(writing)
    _, err = life.process.communicate()
    assert life.process.returncode == 0
    assert "Finished." in err
    assert "Error" not in err
    assert len(desk.bought) == 3


def test_a_full_disk_behind_standard_output_is_told(desk: Desk) -> None:
    desk.write("leads.csv", COMMAS)
    with Path("/dev/full").open("wb") as full:
        life = desk.start("run", "leads.csv", *GRID, "-o", "-", stdout=full.fileno())
        _, err = life.process.communicate()
    assert life.process.returncode == 1
    assert "Standard output cannot be written: No space left" in err
    assert "enricher export" in err


# --- an input that moved --------------------------------------------------------------------------


def test_an_input_that_moved_can_be_named_for_every_command(desk: Desk) -> None:
    desk.write("leads.csv", COMMAS)
    desk.do("run", "leads.csv", *GRID)
    out = (desk.folder / "leads.enriched.csv").read_bytes()
    (desk.folder / "leads.csv").rename(desk.folder / "moved.csv")
    moved = ("--input", "moved.csv")
    assert "there is no such file" in desk.do("run", "leads.csv", *GRID, exits=1).err
    planned = desk.do("plan", "leads.csv", *GRID, *moved, "--json").json
    assert (planned["rows"]["reused"], planned["new_runs"]) == (3, 0)
    first, again = (
        desk.do(*command, *moved, "--json").json
        for command in (
            ("run", "leads.csv", *GRID),
            ("resume", "leads.enriched.csv.checkpoint.db"),
        )
    )
    assert first["job"] == again["job"]
    assert first["input"] == str(desk.folder / "leads.csv")
    assert first["output"] == str(desk.folder / "leads.enriched.csv")
    assert (desk.folder / "leads.enriched.csv").read_bytes() == out
    desk.do("export", "leads.enriched.csv.checkpoint.db", "-o", "again.csv", *moved)
    assert (desk.folder / "again.csv").read_bytes() == out
    assert len(desk.bought) == 3


def test_a_fifo_is_refused(desk: Desk) -> None:
    os.mkfifo(desk.folder / "leads.csv")
    said = desk.do("run", "leads.csv", *GRID, exits=1)
    assert "is not a regular file" in said.err
