"""What is written: which columns and rows, the failures for another try, and what changed."""

from dataclasses import replace

import polars as pl
import pytest

from tests.acceptance.desk import COMPANIES, Desk, cells

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--rate", "unlimited")
PLAN = ("plan", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv")
CHECKPOINT = "out.csv.checkpoint.db"
LEADS = ["Company Name,Website,Zip", *(f"C{n},c{n}.com,00{n}" for n in range(12)), ",,00999"]


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.write("leads.csv", LEADS)
    return desk


@pytest.fixture
def failing(new_desk) -> Desk:
    """A desk whose workspace lets some runs fail, always the same ones."""
    desk = new_desk(fail_rate=0.4)
    desk.write("leads.csv", LEADS)
    return desk


# --- columns and rows ------------------------------------------------------------------------


def test_columns_are_chosen_and_ordered(desk: Desk) -> None:
    desk.do(*RUN, "--columns", "Tags,Zip,enrichment_status,Company Name")
    out = cells(desk.folder / "out.csv")
    assert out.header == ["Tags", "Zip", "enrichment_status", "Company Name"]
    assert out.column("Zip") == [*(f"00{n}" for n in range(12)), "00999"]
    desk.do(*RUN)
    whole = cells(desk.folder / "out.csv")
    for name in out.header:
        assert out.column(name) == whole.column(name)
    desk.do("export", CHECKPOINT, "-o", "tags.parquet", "--columns", "Tags,Zip", "--only-enriched")
    table = pl.read_parquet(desk.folder / "tags.parquet")
    assert table.columns == ["Tags", "Zip"]
    assert table.height == 12
    desk.do("resume", CHECKPOINT, "--columns", "Zip", "--rate", "unlimited")
    assert cells(desk.folder / "out.csv").header == ["Zip"]
    assert len(desk.bought) == 12


@pytest.mark.parametrize(("columns", "problem"), [("Zap", "no column"), ("Zip,Zip", "twice")])
def test_columns_that_are_none_are_refused_before_money(desk: Desk, columns, problem) -> None:
    said = desk.do(*RUN, "--columns", columns, exits=1)
    assert problem in said.err
    assert "'Zip', " in said.err
    assert desk.bought == []
    assert desk.files() == ["leads.csv"]


def test_a_name_that_stands_twice_chooses_both_columns(desk: Desk) -> None:
    desk.write("leads.csv", ['Company Name,Website,Note,"a, b",Note', "C1,c1.com,x,y,z"])
    desk.do(*RUN, "--columns", 'Note,"a, b"')
    assert (desk.folder / "out.csv").read_text() == 'Note,Note,"a, b"\nx,z,y\n'


def test_only_enriched_rows_are_written_and_all_are_counted(failing: Desk) -> None:
    told = failing.do(*RUN, "--only-enriched", "--json", exits=3).json
    out = cells(failing.folder / "out.csv")
    assert set(out.column("enrichment_status")) == {"completed"}
    assert len(out.rows) == told["rows"]["completed"] < 12
    assert told["rows"]["failed"] == 12 - len(out.rows)
    assert (told["rows"]["total"], told["rows"]["skipped"]) == (13, 1)


# --- failures --------------------------------------------------------------------------------


def test_failures_can_be_fed_back_again_and_again(failing: Desk) -> None:
    text = "\ufeff" + "\r\n".join(LEADS) + "\r\n"
    (failing.folder / "leads.csv").write_bytes(text.encode())
    failing.do(*RUN, "--failures", "failures.csv", exits=3)
    out = cells(failing.folder / "out.csv")
    failed = [r for r in out.records() if r["enrichment_status"] == "failed"]
    assert failed
    found = cells(failing.folder / "failures.csv")
    assert found.header == ["Company Name", "Website", "Zip", "failure_status", "failure_error"]
    assert found.column("Zip") == [row["Zip"] for row in failed]
    assert found.column("failure_error") == [row["enrichment_error"] for row in failed]
    written = (failing.folder / "failures.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")
    assert written.count(b"\r\n") == len(failed) + 1

    again = ("run", "failures.csv", "--grid", COMPANIES.id, "--rate", "unlimited")
    words = (*again, "--checkpoint", CHECKPOINT, "-o", "again.csv", "--failures", "left.csv")
    failing.do(*words, exits=3)
    assert len(failing.bought) == 12, "they are known as failed in the same checkpoint"
    assert (failing.folder / "left.csv").read_bytes() == written
    said = failing.do(*again, "-o", "new.csv", exits=3)
    assert "holds failures of an earlier job" in said.err
    assert len(failing.bought) == 12 + len(failed)


def test_failures_are_replaced_only_if_they_are_ours(failing: Desk) -> None:
    (failing.folder / "failures.csv").write_text("mine")
    words = (*RUN, "--failures", "failures.csv")
    said = failing.do(*words, exits=1)
    assert "failures.csv exists" in said.err
    assert failing.bought == []
    failing.do(*words, "--overwrite", exits=3)
    first = (failing.folder / "failures.csv").read_bytes()
    failing.do(*words, exits=3)
    assert (failing.folder / "failures.csv").read_bytes() == first
    (failing.folder / "mine.csv").write_text("mine")
    said = failing.do("export", CHECKPOINT, "-o", "e.csv", "--failures", "mine.csv", exits=1)
    assert "mine.csv exists" in said.err
    for _ in range(2):
        failing.do("export", CHECKPOINT, "-o", "e.csv", "--failures", "f.csv")
        assert (failing.folder / "f.csv").read_bytes() == first
    for taken in ("out.csv", "leads.csv", CHECKPOINT):
        said = failing.do(*RUN, "--failures", taken, exits=2)
        assert "already; name another file" in said.err
    failing.do(*RUN, "--failures", "out.partial.csv", exits=2)
    failing.do("export", CHECKPOINT, "-o", "f.csv", "--failures", "f.csv", exits=2)


def test_failures_of_a_stopped_job_go_beside_them(failing: Desk) -> None:
    words = (*RUN, "--failures", "failures.csv")
    failing.do(*words, "--max-runs", 8, exits=4)
    assert "failures.csv" not in failing.files()
    assert "failures.partial.csv" in failing.files()
    failing.do(*words, exits=3)
    assert "failures.csv" in failing.files()
    assert "failures.partial.csv" not in failing.files()


def test_allowed_failures_make_a_good_end(failing: Desk) -> None:
    failed = failing.do(*RUN, "--json", exits=3).json["rows"]["failed"]
    assert 1 < failed < 12
    told = failing.do(*RUN, "--allow-failures", failed, "--json").json
    assert (told["outcome"], told["rows"]["failed"]) == ("finished", failed)
    failing.do(*RUN, "--allow-failures", failed - 1, exits=3)
    failing.do("resume", CHECKPOINT, "--allow-failures", "90%", "--rate", "unlimited")
    failing.do(*RUN, "--allow-failures", "5%", exits=3)
    said = failing.do(*RUN, "--allow-failures", "some", exits=2)
    assert "a whole number, or a share such as 5%" in said.err


# --- what changed ----------------------------------------------------------------------------


def test_the_summary_tells_what_became_of_the_input(desk: Desk) -> None:
    desk.do(*RUN)
    said = desk.do(*RUN)
    assert "  input  " not in said.err
    desk.write("leads.csv", [LEADS[0], *reversed(LEADS[1:])])
    said = desk.do(*RUN)
    assert "what its rows send is the same, in whatever order" in said.err
    desk.write("leads.csv", [*LEADS[:5], "New,new.io,1"])
    plan = desk.do(*PLAN)
    assert "8 rows fewer than the last time (13), 1 input to run" in plan.out
    said = desk.do(*RUN)
    assert "8 rows fewer than the last time (13), 1 input to run" in said.err
    assert len(desk.bought) == 13


def test_results_from_before_a_change_of_the_grid_are_told_and_refreshed(desk: Desk) -> None:
    desk.do(*RUN)
    told = "12 rows have a result from before the grid's columns changed"
    for command in (RUN, PLAN):
        said = desk.do(*command)
        assert "columns changed" not in said.err + said.out
    first, *others = COMPANIES.columns
    changed = replace(COMPANIES, columns=(*others, replace(first, name=f"{first.name} 2")))
    desk.world.workspace.edit(changed)
    for command in (RUN, PLAN):
        said = desk.do(*command)
        assert told in said.err + said.out
        assert "--refresh-after 0s runs them again" in said.err + said.out
    assert len(desk.bought) == 12
    desk.do(*RUN, "--refresh-after", "0s")
    assert len(desk.bought) == 24
    assert "columns changed" not in desk.do(*RUN).err
    desk.world.workspace.edit(COMPANIES)
    assert told in desk.do(*RUN).err
