"""Bad input: a cause and a mend, nothing submitted, nothing left behind."""

import sqlite3
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.desk import COMPANIES, NO_SOURCE, NO_SOURCE_COLUMN, Desk, Said

NOT_OURS = "/sys" if sys.platform == "linux" else "/"
"""A directory in which nobody may make a file, not even root."""

Prepare = Callable[[Desk], object]


def nothing(_desk: Desk) -> None:
    """The list is good."""


def lines(*text: str) -> Prepare:
    return lambda desk: desk.write("leads.csv", text)


def removed(desk: Desk) -> None:
    (desk.folder / "leads.csv").unlink()


def emptied(desk: Desk) -> None:
    (desk.folder / "leads.csv").write_bytes(b"")


def foreign_output(desk: Desk) -> None:
    desk.write("leads.enriched.csv", ["precious"])


def foreign_partial(desk: Desk) -> None:
    desk.write("leads.enriched.partial.csv", ["precious"])


def other_database(desk: Desk) -> None:
    with sqlite3.connect(desk.folder / "other.db") as db:
        db.execute("CREATE TABLE precious (n)")
    db.close()


def other_file(desk: Desk) -> None:
    desk.write("other.db", ["precious"])


def private_summary(desk: Desk) -> None:
    desk.write("summary.json", ["precious"])


@dataclass(frozen=True)
class Case:
    """What is wrong, and words of the cause and of the mend."""

    name: str
    cause: str
    mend: str
    options: Sequence[str] = ()
    prepare: Prepare = nothing
    input: str = "leads.csv"
    grid: str = COMPANIES.id
    key: str | None = None


CASES = [
    Case("no such file", "leads.csv: there is no such file", "Check the path", prepare=removed),
    Case("an empty file", "is empty (0 bytes)", "Make it again", prepare=emptied),
    Case("an unknown extension", ".xyz is not known", ".csv", input="leads.xyz"),
    Case("an unknown column", "has no column 'Firm'", "-m LABEL=", ["-m", "website=Firm"]),
    Case(
        "a label without a column",
        "label 'company_name': no column of that name",
        '-m LABEL="COLUMN"',
        prepare=lines("Firm,Website", "Acme,acme.com"),
    ),
    Case(
        "a label with two columns",
        "label 'website': several columns have that name: 'Website', 'web-site'",
        '-m LABEL="COLUMN"',
        prepare=lines("Company Name,Website,web-site", "Acme,acme.com,"),
    ),
    Case("an unknown grid", "GRID_NOT_FOUND", "Copy the id", grid=COMPANIES.id[:-1] + "9"),
    Case("a grid without source", "MISSING_SOURCE", "Add a BitScale API source", grid=NO_SOURCE.id),
    Case("a wrong key", "The API key was refused", "Copy the key again", key="sk-wrong"),
    Case("no key", "No API key", "Set BITSCALE_API_KEY", key=""),
    Case("output is input", "is the input itself", "-o", ["-o", "./leads.csv"]),
    Case("a foreign output", "exists, and no job of", "--overwrite", prepare=foreign_output),
    Case("a foreign partial", "exists, and no job of", "--overwrite", prepare=foreign_partial),
    Case("output without directory", "directory does not exist", "Create", ["-o", "no/out.csv"]),
    Case("output not writable", "cannot be written", "Choose a place", ["-o", f"{NOT_OURS}/o.csv"]),
    Case("output without extension", "without extension", ".parquet", ["-o", "out"]),
    Case(
        "status columns are taken",
        "has a column 'enrichment_status' already",
        "--status-prefix",
        prepare=lines("Company Name,Website,enrichment_status", "Acme,acme.com,"),
    ),
    Case(
        "another database as checkpoint",
        "is a SQLite database of something else",
        "--checkpoint",
        ["--checkpoint", "other.db"],
        other_database,
    ),
    Case(
        "another file as checkpoint",
        "is not a checkpoint of enricher",
        "--checkpoint",
        ["--checkpoint", "other.db"],
        other_file,
    ),
    Case(
        "output as checkpoint",
        "cannot be the output and the checkpoint",
        "--checkpoint",
        ["-o", "out.csv", "--checkpoint", "out.csv"],
    ),
    Case(
        "too many fields",
        "leads.csv, line 4: 3 fields where the header has 2",
        "Correct that line",
        prepare=lines("Company Name,Website", '"A\nB",a.com', "Acme,acme.com,x"),
    ),
    Case(
        "too few fields",
        "leads.csv, line 3: 1 field where the header has 2",
        "Correct that line",
        prepare=lines("Company Name,Website", "Acme,acme.com", "Bolt"),
    ),
    Case("an unknown output", "'Nope' is no output", "Name one", ["--output-column", "Nope"]),
    Case("an unknown source", "'Nope' is no source", "Name one", ["--source-id", "Nope"]),
    Case(
        "a summary file that is none",
        "summary.json exists and is no summary",
        "--summary-file",
        ["--summary-file", "summary.json"],
        private_summary,
    ),
    Case(
        "a summary file that cannot be",
        "no/s.json: No such file",
        "--summary-file",
        ["--summary-file", "no/s.json"],
    ),
]


@dataclass(frozen=True)
class Tried:
    """What a bad run said, and all files before and after it."""

    said: Said
    before: dict[str, bytes]
    after: dict[str, bytes]


def tried(desk: Desk, case: Case) -> Tried:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    desk.write("leads.xyz", ["Company Name,Website"])
    case.prepare(desk)
    before = contents(desk)
    run = ("run", case.input, "--grid", case.grid, "--rate", "unlimited", *case.options)
    env = {} if case.key is None else {"BITSCALE_API_KEY": case.key}
    return Tried(desk.start(*run, env=env).end(), before, contents(desk))


@pytest.fixture(scope="module")
def tries(shared_desk: Desk) -> dict[str, Future[Tried]]:
    """All cases, some at a time: most of each is the start of a process."""
    with ThreadPoolExecutor(3) as pool:
        return {case.name: pool.submit(tried, shared_desk.room(case.name), case) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(shared_desk: Desk, tries, case: Case) -> None:
    found = tries[case.name].result()
    assert (found.said.code, found.said.out) == (1, "")
    assert found.said.err.startswith("Error: ")
    assert case.cause in found.said.err
    assert case.mend in found.said.err
    assert found.after == found.before
    assert shared_desk.bought == []


def contents(desk: Desk) -> dict[str, bytes]:
    """All files: a failed start leaves no output, no checkpoint, and not even a lock."""
    return {name: read(desk.folder / name) for name in desk.files()}


def read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_a_key_file_that_others_can_read_is_refused(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    file = desk.key_file(desk.world.api_key)
    file.chmod(0o644)
    run = ("run", "leads.csv", "--grid", COMPANIES.id, "--api-key-file", file)
    said = desk.do(*run, exits=1)
    assert "can be read by other users (mode 0644)" in said.err
    assert "chmod 600" in said.err
    assert desk.bought == []


def test_a_grid_that_only_its_first_run_shows_to_be_misconfigured(desk: Desk) -> None:
    desk.write("leads.csv", ["Domain", "acme.com", "bolt.io"])
    run = ("run", "leads.csv", "--grid", NO_SOURCE_COLUMN.id, "--rate", "unlimited", "--json")
    said = desk.do(*run, exits=1)
    told = said.json
    assert (told["outcome"], told["exit_code"]) == ("error", 1)
    assert "MISSING_SOURCE_COLUMN" in told["error"]["message"]
    assert (told["runs"]["submitted"], told["runs"]["in_flight"]) == (0, 0)
    assert (told["rows"]["pending"], told["rows"]["in_doubt"]) == (2, 0)
    assert desk.bought == []
    assert not [name for name in desk.files() if "enriched" in name and name.endswith(".csv")]


def test_what_is_no_checkpoint_is_left_alone(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    other_database(desk)
    before = contents(desk)
    causes = {
        "none.db": "There is no checkpoint at",
        "leads.csv": "is not a checkpoint of enricher",
        "other.db": "is a SQLite database of something else",
    }
    for command, (name, cause) in zip(("status", "export", "resume"), causes.items(), strict=True):
        said = desk.do(command, name, exits=1)
        assert said.err.startswith("Error: ")
        assert cause in said.err
    assert contents(desk) == before
