"""Which rows are submitted for, as a user names them; the others show what is known of them."""

import pytest

from tests.acceptance.desk import COMPANIES, Desk, cells, items

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--rate", "unlimited")
PLAN = ("plan", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv")
LEADS = [
    "Company Name,Website,Size,Note,Note",
    "Acme,acme.com,10,x,a",
    "Beta,beta.io,60,y,b",
    ",,99,,",
    "Gamma,,70,,",
    "Acme,acme.com,80,x,c",
    "Delta,d.com,n/a,,",
    'Eps,e.com,"",z,d',
]


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.write("leads.csv", LEADS)
    return desk


def statuses(desk: Desk, name: str = "out.csv") -> str:
    """The statuses of all rows, a letter each."""
    return "".join(word[0] for word in cells(desk.folder / name).column("enrichment_status"))


def names(desk: Desk) -> list[str]:
    return sorted(run["company_name"] for run in desk.bought)


def test_a_limit_counts_rows_that_have_something_to_send(desk: Desk) -> None:
    told = desk.do(*RUN, "--limit", 3, "--json").json
    assert names(desk) == ["Acme", "Beta", "Gamma"]
    assert statuses(desk) == "ccsccss", "row 5 is equal to row 1"
    assert (told["exit_code"], told["rows"]["skipped"]) == (0, 3)
    desk.do(*RUN, "--offset", 3, "--limit", 2)
    assert names(desk) == ["Acme", "Beta", "Delta", "Gamma"]
    assert statuses(desk) == "ccscccs", "results that are known are shown, whoever asked for them"
    desk.do(*RUN)
    assert statuses(desk) == "ccscccc"
    assert len(desk.bought) == 5, "nothing was bought twice: selection changes no key"


def test_where_chooses_by_columns_that_are_text(desk: Desk) -> None:
    desk.do(*RUN, "--where", "TRY_CAST(Size AS INT) > 50 AND Website IS NOT NULL")
    assert names(desk) == ["Acme", "Beta"]
    assert statuses(desk) == "ccssc" + "ss", "row 1 is equal to row 5"
    desk.do(*RUN, "--where", "\"Note (2)\" = 'd'")
    assert names(desk)[-1] == "Eps"


def test_require_skips_rows_without_this_input(desk: Desk) -> None:
    desk.do(*RUN, "--require", "website", "--limit", 4)
    assert names(desk) == ["Acme", "Beta", "Delta"]
    said = desk.do(*RUN, "--require", "web", exits=1)
    assert "--require 'web' is none of the inputs: " in said.err
    assert "'website'" in said.err
    assert len(desk.bought) == 3


@pytest.mark.parametrize("command", [RUN, PLAN])
@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("Size > = 5", "       ^"),
        ("Sise = '5'", 'unable to find column "Sise"'),
        ("CAST(Size AS INT) > 50", "row 6, where Size is 'n/a'"),
        ("Size > AVG(Size)", "AVG looks at many rows"),
    ],
)
def test_a_mistake_in_where_costs_nothing(desk: Desk, command, expression, shown) -> None:
    said = desk.do(*command, "--where", expression, exits=1)
    assert shown in said.err
    assert expression in said.err
    assert '"Company Name", "Website", "Size", "Note (1)", "Note (2)"' in said.err
    assert desk.bought == []
    assert desk.files() == ["leads.csv"]


def test_a_sample_is_the_same_each_time_and_other_with_another_seed(desk: Desk) -> None:
    desk.write("leads.csv", [LEADS[0], *(f"C{n},c{n}.com,{n},," for n in range(200))])
    plan = desk.do(*PLAN, "--sample", 20, "--json").json
    assert (plan["new_runs"], plan["rows"]["skipped"]) == (20, 180)
    desk.do(*RUN, "--sample", 20)
    assert len(desk.bought) == 20
    assert statuses(desk).count("c") == 20
    desk.do(*RUN, "--sample", 20)
    assert len(desk.bought) == 20, "the same twenty"
    desk.do(*RUN, "--sample", 20, "--seed", 7, "--where", "CAST(Size AS INT) < 100")
    assert 20 < len(desk.bought) <= 40
    assert all(int(run["company_name"][1:]) < 100 for run in desk.bought[20:])
    said = desk.do(*RUN, "--seed", 7, exits=2)
    assert "--seed" in said.err


def test_plan_tells_how_many_rows_are_skipped_and_why(desk: Desk) -> None:
    said = desk.do(*PLAN, "--where", "Note IS NULL", exits=1)
    assert '"Note (1)", "Note (2)"' in said.err
    words = ("--require", "website", "--where", "\"Note (1)\" = 'x'", "--limit", 1)
    said = desk.do(*PLAN, *words)
    assert (
        "Rows:      7: 1 to enrich, 0 answered already, 6 skipped"
        " (1 nothing to send, 1 --require, 3 --where, 1 --limit)" in said.out
    )
    told = desk.do(*PLAN, *words, "--json").json
    assert told["rows"] == {"total": 7, "new": 1, "reused": 0, "skipped": 6}


def test_no_row_passes_and_the_reason_is_told(desk: Desk) -> None:
    said = desk.do(*RUN, "--where", "Website = ''")
    assert "no row passes --where; an empty cell is NULL" in said.err
    assert statuses(desk) == "sssssss"


def test_rows_that_are_left_out_do_not_count_for_the_exit_code(new_desk) -> None:
    desk = new_desk(fail_rate=1.0)
    desk.write("leads.csv", LEADS)
    desk.do(*RUN, "--limit", 1, exits=3)
    assert statuses(desk) == "fsss" + "fss"
    told = desk.do(*RUN, "--where", "Size = '99'", "--json").json
    assert (told["exit_code"], told["outcome"]) == (0, "finished")
    assert (told["rows"]["failed"], told["rows"]["skipped"]) == (2, 5)
    assert statuses(desk) == "fsss" + "fss"


def test_resume_and_export_keep_the_selection(desk: Desk) -> None:
    desk.do(*RUN, "--limit", 2, "--max-runs", 1, exits=4)
    assert statuses(desk, "out.partial.csv") in ("cps" + "scss", "pcs" + "ssss", "csss" + "css")
    desk.do("resume", "out.csv.checkpoint.db", "--rate", "unlimited")
    assert names(desk) == ["Acme", "Beta"]
    desk.do("export", "out.csv.checkpoint.db", "-o", "copy.csv")
    assert statuses(desk, "copy.csv") == statuses(desk) == "ccsscss"


def test_one_run_a_row(desk: Desk) -> None:
    desk.do(*RUN)
    assert names(desk) == ["Acme", "Beta", "Delta", "Eps", "Gamma"]
    plan = desk.do(*PLAN, "--no-dedupe", "--json").json
    assert (plan["new_runs"], plan["rows"]["reused"]) == (1, 5), "the first keeps its run"
    desk.do(*RUN, "--no-dedupe")
    assert names(desk) == ["Acme", "Acme", "Beta", "Delta", "Eps", "Gamma"]
    told = desk.do(*RUN, "--no-dedupe", "--json").json
    assert told["runs"]["submitted"] == 0
    desk.write("leads.csv", [*LEADS, "Acme,acme.com,,,"])
    desk.do(*RUN, "--no-dedupe", "--where", "Size IS NULL")
    assert names(desk).count("Acme") == 3
    desk.do("export", "out.csv.checkpoint.db", "-o", "copy.csv")
    assert statuses(desk, "copy.csv") == statuses(desk) == "ccsccccc"
    assert len(items(desk.folder / "out.csv.checkpoint.db")) == 7
