"""The same command again, the list as it was or another: only new content is bought."""

import pytest

from tests.acceptance.desk import COMPANIES, Desk, cells

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "--rate", "unlimited")
CHOSEN = ("--output-column", "Tags", "--status-prefix", "my")
CHECKPOINT = "leads.enriched.csv.checkpoint.db"
HEADER = "No.,Company Name,Website"
ROWS = [f"{n},Company {n % 9},c{n % 9}.com" for n in range(12)]


@pytest.fixture(scope="module")
def finished(shared_desk: Desk) -> Desk:
    """A job that has finished; every test leaves it so."""
    shared_desk.write("leads.csv", [HEADER, *ROWS])
    shared_desk.do(*RUN, *CHOSEN)
    assert len(shared_desk.bought) == 9
    return shared_desk


def written(desk: Desk, name: str = "leads.enriched.csv") -> bytes:
    return (desk.folder / name).read_bytes()


def test_again_submits_nothing_and_writes_the_same_bytes(finished: Desk) -> None:
    before, files = written(finished), finished.files()
    told = finished.do(*RUN, *CHOSEN, "--json").json
    assert (told["outcome"], told["runs"]["submitted"]) == ("finished", 0)
    assert told["rows"]["reused"] == told["rows"]["completed"] == 12
    assert written(finished) == before
    resumed = finished.do("resume", CHECKPOINT, "--json").json
    assert (resumed["outcome"], resumed["job"]) == ("finished", told["job"])
    assert written(finished) == before
    assert finished.files() == files
    assert len(finished.bought) == 9


@pytest.mark.parametrize("which", [(), ("--sample", 5), ("--where", "Website IS NOT NULL")])
def test_a_list_that_nobody_touched_is_not_counted_again(finished: Desk, which) -> None:
    finished.do(*RUN, *CHOSEN, *which)
    again = finished.do(*RUN, *CHOSEN, *which, "-v").err.splitlines()
    assert "12 rows, counted before" in again[0], "what is left to submit was not looked up"


def test_a_finished_list_can_be_had_at_another_place_too(finished: Desk) -> None:
    (finished.folder / "sub").mkdir()
    finished.do("resume", CHECKPOINT, "-o", "sub/copy.csv", "--rate", "7")
    copy = cells(finished.folder / "sub" / "copy.csv")
    assert copy.header == [*HEADER.split(","), "Tags", "my_status", "my_error"]
    assert written(finished, "sub/copy.csv") == written(finished)
    assert len(finished.bought) == 9


def test_an_input_that_moved_can_be_named_anew(finished: Desk) -> None:
    leads = finished.folder / "leads.csv"
    moved = leads.rename(finished.folder / "moved.csv")
    said = finished.do("resume", CHECKPOINT, exits=1)
    assert "leads.csv: there is no such file" in said.err
    finished.do("export", CHECKPOINT, "-o", "export.csv", "--input", "moved.csv")
    assert written(finished, "export.csv") == written(finished)
    finished.do("resume", CHECKPOINT, "--input", "moved.csv", "-o", "moved.enriched.csv")
    assert written(finished, "moved.enriched.csv") == written(finished)
    assert len(finished.bought) == 9
    moved.rename(leads)


def test_of_an_edited_list_only_new_content_is_bought(finished: Desk, desk: Desk) -> None:
    edited = [*reversed(ROWS[3:9]), "100,Edited,c3.com", "101,Company 2,c2.com", "102,New,new.io"]
    for place in (finished, desk):
        place.write("leads.csv", [f"{HEADER},Added", *(f"{row},{len(row)}" for row in edited)])
    lives = [place.start(*RUN, *CHOSEN, "--json") for place in (finished, desk)]
    again, _ = [life.end(exits=0).json for life in lives]
    assert [run["company_name"] for run in finished.bought[9:]] == ["Edited", "New"]
    assert again["rows"]["reused"] == len(edited) - 2
    assert written(finished) == written(desk), "as if it were a fresh run"
