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


def test_a_plan_says_what_is_blank_and_who_knows_the_list_already(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,", "Bolt,bolt.io", "Cog,", ",", "Acme,"])
    say = ("leads.csv", "--grid", COMPANIES.id, "--rate", "unlimited")
    blank = "'website' is blank in 3 of the rows to enrich"
    assert f"{blank}, which are bought all the same; --require website skips them" in (
        desk.do("plan", *say).out
    )
    assert "is blank in" not in desk.do("plan", *say, "--require", "website").out
    assert "is blank in" not in desk.do("plan", *say, "--set", "website=").out

    assert blank in desk.do("run", *say).err
    assert "is blank in" not in desk.do("run", *say).err, "nothing is bought"
    for said in (desk.do("plan", *say, "-o", "b.csv").out, desk.do("run", *say, "-o", "b.csv").err):
        assert "another checkpoint knows 3 of the first 3 inputs of this list" in said
        assert "leads.enriched.csv.checkpoint.db" in said
    assert "another checkpoint" not in desk.do("plan", *say, "-o", "b.csv").out
    first = ("--checkpoint", "leads.enriched.csv.checkpoint.db")
    assert "another checkpoint" not in desk.do("plan", *say, "-o", "c.csv", *first).out


def test_what_the_grid_does_to_equal_rows_is_told_before_the_first_run_only(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    say = ("leads.csv", "--grid", COMPANIES.id, "--rate", "unlimited")
    assert "auto_dedupe" in desk.do("plan", *say).out
    assert "auto_dedupe" in desk.do("run", *say).err
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com", "Bolt,bolt.io"])
    assert "auto_dedupe" not in desk.do("plan", *say).out
    assert "auto_dedupe" not in desk.do("run", *say).err


def test_a_plan_counts_what_the_last_run_takes(new_desk) -> None:
    desk = new_desk(duration="constant:2", rate=50)
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    say = ("leads.csv", "--grid", COMPANIES.id)
    said = desk.do("plan", *say).out
    assert "requests a second, and what the last run takes" in said
    desk.do("run", *say)
    desk.write("leads.csv", ["Company Name,Website", "Bolt,bolt.io"])
    assert "what the last run takes" not in desk.do("plan", *say).out
    assert desk.do("plan", *say, "--json").json["seconds"] >= 2
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    assert desk.do("plan", *say, "--json").json["seconds"] < 2, "nothing is to be run"


def test_a_mistake_in_a_job_file_is_told_where_it_stands(desk: Desk) -> None:
    desk.write("leads.csv", ["Company,Site", "Acme,acme.com"])
    (desk.folder / "a.toml").write_text(
        f'input = "leads.csv"\n[provider]\ngrid = "{COMPANIES.id}"\n[inputs]\nwebsite = "Sight"\n'
    )
    said = desk.do("plan", "a.toml", exits=1).err
    assert "input 'website' of a.toml: the file has no column 'Sight'" in said
    assert "Name the column under [inputs] of a.toml" in said
    assert "-m" not in said
