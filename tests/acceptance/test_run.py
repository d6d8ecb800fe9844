"""One file in, the same file with the answers beside each row out."""

import json
from collections import Counter
from dataclasses import dataclass

import pytest

from enricher.simulator.routes import Endpoint
from enricher.simulator.runs import Fate
from tests.acceptance.desk import (
    COMPANIES,
    PEOPLE,
    STATUS,
    WEBSITES,
    Cells,
    Desk,
    Said,
    answers,
    assert_reads_as,
    cells,
)

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "--rate", "unlimited")
OUTPUTS = [column.name for column in COMPANIES.outputs]

NASTY = [
    "No.,Company Name,Website,Postal Code,Size,Note,Note,Employees",
    '1,"Müller, ""Söhne"" GmbH",mueller.de,00123,1e5,"two\nlines, one cell",,51-200',
    "2,トヨタ自動車,global.toyota,,-0.0,  spaced  ,x,1.50",
    "3,Zoë’s Café,,08933,1E+10,=1+1,,",
    "4,,,01067,,,blank where it counts,",
    '5,"Müller, ""Söhne"" GmbH",mueller.de,00124,NaN,"",TRUE,007',
    '6,"   ",\t,,,,,"also blank"',
    "7,Zoë’s Café,,08934,null,,,",
    "8,zoë’s café,,08934,null,,,",
]
"""Rows 5 and 7 are bought with rows 1 and 3; rows 4 and 6 have nothing to send."""


def inputs_of(row: list[str]) -> dict[str, str]:
    return {"company_name": row[1], "website": row[2]}


# --- one run, looked at from all sides -----------------------------------------------------------


@dataclass
class Enriched:
    """The nasty list after its run: what the command said, the input and the output."""

    desk: Desk
    said: Said
    leads: Cells
    out: Cells


@pytest.fixture(scope="module")
def enriched(shared_desk: Desk) -> Enriched:
    leads = shared_desk.write("leads.csv", NASTY)
    said = shared_desk.do(*RUN, "-o", "out.csv", "--summary-file", "summary.json")
    return Enriched(shared_desk, said, cells(leads), cells(shared_desk.folder / "out.csv"))


def test_every_input_cell_comes_back_as_it_was_and_in_order(enriched) -> None:
    assert [row[:8] for row in enriched.out.rows] == enriched.leads.rows


def test_output_columns_stand_in_the_order_of_the_grid_under_names_of_their_own(enriched) -> None:
    named = [name if name != "Employees" else "Employees (enriched)" for name in OUTPUTS]
    assert enriched.out.header == [*enriched.leads.header, *named, *STATUS]


def test_every_value_is_the_right_one(enriched) -> None:
    for row in enriched.out.rows:
        is_blank = not (row[1] + row[2]).strip()
        expected = [None] * len(OUTPUTS) if is_blank else answers(COMPANIES, inputs_of(row))
        for cell, value in zip(row[8:-2], expected, strict=True):
            assert_reads_as(cell, value)


def test_rows_with_nothing_to_send_are_skipped(enriched) -> None:
    statuses = ["skipped" if row[0] in ("4", "6") else "completed" for row in enriched.out.rows]
    assert enriched.out.column("enrichment_status") == statuses
    assert set(enriched.out.column("enrichment_error")) == {""}


def test_rows_with_equal_inputs_are_bought_once_and_sent_as_they_are(enriched) -> None:
    desk = enriched.desk
    distinct = {row[1]: inputs_of(row) for row in enriched.leads.rows if row[1].strip()}
    assert Counter(map(str, desk.bought)) == Counter(map(str, distinct.values()))


def test_the_summary_tells_a_person_what_became_of_the_job(enriched) -> None:
    desk = enriched.desk
    assert enriched.said.out == ""
    assert "Finished." in enriched.said.err
    assert "8: 6 completed, 2 skipped" in enriched.said.err
    assert "4 submitted, 2 rows answered without one" in enriched.said.err
    assert str(desk.folder / "out.csv.checkpoint.db") in enriched.said.err


def test_the_summary_file_holds_the_same_for_programs(enriched) -> None:
    desk = enriched.desk
    told = json.loads((desk.folder / "summary.json").read_text())
    assert (told["outcome"], told["exit_code"]) == ("finished", 0)
    assert told["rows"]["completed"] == 6


def test_there_are_no_other_files_than_output_checkpoint_and_lock(enriched) -> None:
    desk = enriched.desk
    made = ["out.csv", "out.csv.checkpoint.db", "out.csv.checkpoint.db.lock"]
    assert set(made) <= set(desk.files())
    assert not [name for name in desk.files() if "partial" in name or "tmp" in name]
    assert (desk.folder / made[1]).stat().st_mode & 0o777 == 0o600


# --- what a program is told ----------------------------------------------------------------------


def test_json_is_the_one_line_on_standard_output_and_its_numbers_are_right(desk: Desk) -> None:
    desk.write("leads.csv", NASTY)
    told = desk.do(*RUN, "--source-id", COMPANIES.api_sources[0].id, "--json").json
    requests = desk.world.workspace.requests
    free = requests.total() - requests[Endpoint.RUN] - requests[Endpoint.STATUS]
    path = desk.folder / "leads"
    assert told == {
        "schema": 1,
        "job": told["job"],
        "outcome": "finished",
        "exit_code": 0,
        "reason_code": None,
        "reason": None,
        "error": None,
        "provider": "bitscale",
        "target": COMPANIES.id,
        "input": f"{path}.csv",
        "output": f"{path}.enriched.csv",
        "checkpoint": f"{path}.enriched.csv.checkpoint.db",
        "started_at": told["started_at"],
        "updated_at": told["updated_at"],
        "seconds": told["seconds"],
        "eta_seconds": None,
        "rows": {
            "total": 8,
            "completed": 6,
            "failed": 0,
            "skipped": 2,
            "pending": 0,
            "in_doubt": 0,
            "reused": 2,
            "kept_old": 0,
        },
        "runs": {
            "submitted": 4,
            "resubmitted_in_doubt": 0,
            "resubmitted_failed": 0,
            "in_flight": 0,
        },
        "requests": {
            "total": requests.total(),
            "submit": 4,
            "poll": requests[Endpoint.STATUS],
            "other": free,
            "rate_limited": 0,
            "retried": 0,
        },
        "credits": {"before": 39600, "after": 39592},
        "steps": [],
    }
    assert told["started_at"] <= told["updated_at"]
    assert told["started_at"].endswith("Z")
    assert 2 <= told["seconds"] < 30


# --- more jobs in the same checkpoint -------------------------------------------------------------


def test_an_output_of_enricher_can_be_enriched_under_another_prefix(enriched) -> None:
    desk = enriched.desk
    before = len(desk.bought)
    again = ("run", "out.csv", *RUN[2:], "-o", "twice.csv", "--checkpoint", "out.csv.checkpoint.db")
    desk.do(*again, exits=1)
    desk.do(*again, "--status-prefix", "second")
    twice = cells(desk.folder / "twice.csv")
    assert twice.header[: len(enriched.out.header)] == enriched.out.header
    assert twice.header[-2:] == ["second_status", "second_error"]
    assert twice.column("Tags (enriched)") == enriched.out.column("Tags")
    assert len(desk.bought) == before


def test_two_jobs_share_a_checkpoint_and_what_is_in_it(enriched) -> None:
    desk = enriched.desk
    first = json.loads((desk.folder / "summary.json").read_text())
    desk.write("more.csv", ["Website,Company Name", "cog.net,Cog", "global.toyota,トヨタ自動車"])
    shared = ("--checkpoint", "out.csv.checkpoint.db", "--json")
    second = desk.do("run", "more.csv", *RUN[2:], *shared).json
    assert [run["company_name"] for run in desk.bought[4:]] == ["Cog"]
    assert (second["rows"]["completed"], second["rows"]["reused"]) == (2, 1)
    status = ("status", "out.csv.checkpoint.db", "--json")
    assert desk.do(*status).json == second
    assert desk.do(*status, "--job", first["job"]).json == first


def test_fewer_output_columns_cost_nothing_even_if_they_need_fewer_inputs(enriched) -> None:
    desk = enriched.desk
    fewer = ("--checkpoint", "out.csv.checkpoint.db", "-o", "few.csv", "--output-column", "Contact")
    assert desk.do("plan", *RUN[1:], *fewer, "--json").json["new_runs"] == 0


# --- names, mapping, columns ----------------------------------------------------------------------


def test_two_outputs_of_one_name_and_names_that_are_taken(desk: Desk) -> None:
    desk.write("people.csv", ["Name,Firm,Summary,Summary (enriched)", "Ada,Acme,kept,kept too"])
    fed = ("-m", "full_name=Name", "-m", "company=Firm", "--set", "email=")
    people = desk.start("run", "people.csv", "--grid", PEOPLE.id, "--rate", "unlimited", *fed)
    desk.write("firms.csv", ["Company Name,Website,country", "Acme,acme.com,US"])
    firms = desk.start("run", "firms.csv", "--grid", WEBSITES.id, "--rate", "unlimited")
    for life in (people, firms):
        life.end(exits=0)
    out = cells(desk.folder / "people.enriched.csv")
    named = ["Job Title", "Profile", "Summary (enriched 2)", "Summary (2)"]
    assert out.header == ["Name", "Firm", "Summary", "Summary (enriched)", *named, *STATUS]
    assert out.rows[0][2:4] == ["kept", "kept too"]
    inputs = {"full_name": "Ada", "company": "Acme", "email": ""}
    for cell, value in zip(out.rows[0][4:8], answers(PEOPLE, inputs), strict=True):
        assert_reads_as(cell, value)
    out = cells(desk.folder / "firms.enriched.csv")
    assert out.header[2:] == ["country", "Website (enriched)", "Country", "Employees", *STATUS]


def test_columns_templates_and_constants_feed_the_inputs(desk: Desk) -> None:
    desk.write("leads.csv", ["Firm,Domain,Path", "Acme,acme.com,x", "Bolt,,", ",,y"])
    fed = ("-m", "company_name=Firm", "--set")
    template = desk.start(*RUN, *fed, "website=https://{Domain}/{{{Path}}}", "-o", "1.csv")
    constant = desk.start(*RUN, *fed, "website=the same", "-o", "2.csv")
    for life in (template, constant):
        life.end(exits=0)
    sent = {(run["company_name"], run["website"]) for run in desk.bought}
    filled = {("Acme", "https://acme.com/{x}"), ("Bolt", ""), ("", "https:///{y}")}
    assert sent == filled | {("Acme", "the same"), ("Bolt", "the same")}
    out = cells(desk.folder / "2.csv")
    assert out.column("enrichment_status") == ["completed", "completed", "skipped"]


@pytest.mark.parametrize("header", ["COMPANY-NAME,web site", "company_name,_Website_"])
def test_inputs_find_columns_of_the_same_name_however_it_is_written(desk: Desk, header) -> None:
    desk.write("leads.csv", [f"No.,{header}", "1,Acme,acme.com"])
    plan = desk.do("plan", *RUN[1:], "--json").json
    name, website = header.split(",")
    assert plan["mapping"] == {"company_name": {"column": name}, "website": {"column": website}}


def test_chosen_output_columns_come_in_grid_order_and_others_cost_anew(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com", "Bolt,bolt.io"])
    tags, employees = COMPANIES.outputs[4], COMPANIES.outputs[2]
    chosen = ("--output-column", "Tags", "--output-column", employees.id)
    desk.do(*RUN, *chosen)
    out = cells(desk.folder / "leads.enriched.csv")
    assert out.header[2:-2] == ["Employees", "Tags"]
    assert {run.output_columns for run in desk.world.workspace.runs} == {(employees.id, tags.id)}

    more = (*chosen, "--output-column", "Headquarters")
    desk.do(*RUN, *more)
    assert len(desk.bought) == 4
    out = cells(desk.folder / "leads.enriched.csv")
    assert out.header[2:-2] == ["Employees", "Tags", "Headquarters"]

    desk.do(*RUN, "--output-column", "Tags")
    assert len(desk.bought) == 4
    out = cells(desk.folder / "leads.enriched.csv")
    for cell, run in zip(out.column("Tags"), desk.bought, strict=False):
        assert_reads_as(cell, answers(COMPANIES, run, [tags.id])[0])


# --- pace -----------------------------------------------------------------------------------------


def test_the_rate_holds_over_all_requests(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", *(f"C{n},c{n}.com" for n in range(8))])
    told = desk.do("run", "leads.csv", "--grid", COMPANIES.id, "--rate", "10", "--json").json
    sent = desk.world.workspace.accepted_at
    assert len(sent) == told["requests"]["total"]
    # What arrives is what left, shaken by a few milliseconds on the way.
    assert all(later - sooner > 0.9 for sooner, later in zip(sent, sent[10:], strict=False))
    assert told["requests"]["rate_limited"] == desk.world.workspace.rate_limited == 0


# --- runs that fail -------------------------------------------------------------------------------


def test_failed_rows_say_why_and_fresh_runs_give_the_same_bytes(new_desk) -> None:
    world = {"fail_rate": 0.3, "seed": 4}
    desks = [new_desk(**world), new_desk(**world)]
    rows = [f"Company {n},c{n}.com" for n in range(30)]
    for desk in desks:
        desk.write("leads.csv", ["Company Name,Website", *rows])
    # Slowly, so that runs arrive in their order: the words of an error depend on it.
    lives = [
        desk.start(*RUN[:-1], rate, "--json") for desk, rate in zip(desks, (20, 25), strict=True)
    ]
    told = [life.end(exits=3).json for life in lives]
    out = cells(desks[0].folder / "leads.enriched.csv")
    fates = {run.inputs["website"]: run.fate for run in desks[0].world.workspace.runs}
    assert set(fates.values()) == set(Fate)
    for row in out.records():
        assert_failed_or_right(out, row, fates[row["Website"]])
    failed = sum(fate is not Fate.COMPLETED for fate in fates.values())
    assert told[0]["outcome"] == "finished_with_failures"
    assert (told[0]["rows"]["failed"], told[0]["rows"]["completed"]) == (failed, 30 - failed)
    written = [(desk.folder / "leads.enriched.csv").read_bytes() for desk in desks]
    assert written[0] == written[1]


def assert_failed_or_right(out: Cells, row: dict[str, str], fate: Fate) -> None:
    if fate is Fate.COMPLETED:
        assert (row["enrichment_status"], row["enrichment_error"]) == ("completed", "")
        return
    assert row["enrichment_status"] == "failed"
    assert {row[name] for name in out.header[2:-2]} == {""}
    code, _, message = row["enrichment_error"].partition(": ")
    assert code == "RUN_FAILED"
    assert bool(message) == (fate is Fate.FAILED_AS_ERROR)
