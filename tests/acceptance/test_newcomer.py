"""What newcomers with nothing but the README tripped over, so that it stays mended."""

import signal

from tests.acceptance.desk import COMPANIES, Desk, cells, until

ROWS = ["Company Name,Website", *(f"Company {n},c{n}.com" for n in range(4))]
RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--rate", "unlimited")
CHECKPOINT = "out.csv.checkpoint.db"


def test_an_export_is_in_nobodys_way_and_goes_when_the_job_is_finished(desk: Desk) -> None:
    desk.write("leads.csv", ROWS)
    desk.do(*RUN)
    desk.do("export", CHECKPOINT)
    assert "out.partial.csv" in desk.files()
    assert desk.do(*RUN).code == 0
    assert "out.partial.csv" not in desk.files()
    assert len(desk.bought) == 4


def test_a_list_with_another_delimiter_is_not_taken_for_one_column(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name;Website", "Acme;acme.com"])
    desk.do(*RUN)
    assert [run["website"] for run in desk.bought] == ["acme.com"]


def test_more_output_columns_are_told_before_they_are_paid_again(desk: Desk) -> None:
    desk.write("leads.csv", ROWS)
    desk.do(*RUN, "--output-column", "Contact")
    assert "4 inputs have a result with fewer output columns" in desk.do(*RUN).err
    assert len(desk.bought) == 8


def test_an_unknown_job_is_answered_with_those_that_there_are(desk: Desk) -> None:
    desk.write("leads.csv", ROWS)
    job = desk.do(*RUN, "--json").json["job"]
    said = desk.start("status", CHECKPOINT, "--job", "abc").end(exits=1)
    assert f"It holds: {job}" in said.err


def test_more_output_columns_are_bought_for_runs_that_were_under_way(desk: Desk) -> None:
    desk.write("leads.csv", ROWS)
    job = desk.start(*RUN, "--output-column", "Contact")
    until(lambda: len(desk.bought) == 4, "4 runs")
    job.process.send_signal(signal.SIGTERM)
    job.end(exits=143)
    said = desk.do(*RUN, "--json").json
    out = cells(desk.folder / "out.csv")
    assert [row[-2] for row in out.rows] == ["completed"] * 4
    assert said["rows"]["completed"] == 4
    assert said["rows"]["pending"] == 0
    assert len(desk.bought) == 8
    assert all(row[out.header.index("Tags")] for row in out.rows)
