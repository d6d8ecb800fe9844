"""What cells and servers say does no harm: on a terminal, in a log, in a spreadsheet."""

import csv
import json
from dataclasses import replace

import click
import pytest

from enricher.cli import cli
from tests.acceptance.desk import COMPANIES, SAMPLES, Desk, answers, cells
from tests.support.canary import KEY

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "--rate", "unlimited", "--mode", "sync")
CHECKPOINT = "leads.enriched.csv.checkpoint.db"

# --- formulas -------------------------------------------------------------------------------------

NAMES = ["=1+1", "@SUM(A1)", "-2+3", "+cmd|x", "-7", "Acme", "＝1", "\t=1"]


def runs_in_a_spreadsheet(value) -> bool:
    return isinstance(value, str) and value[:1] in tuple("=+-@\t＝")


@pytest.fixture(scope="module")
def formulas(shared_desk: Desk) -> Desk:
    """A list of names that its answers repeat, enriched with nothing said of formulas."""
    with (shared_desk.folder / "leads.csv").open("w", newline="") as file:
        rows = [[name, f"c{n}.com"] for n, name in enumerate(NAMES)]
        csv.writer(file, lineterminator="\n").writerows([["Company Name", "Website"], *rows])
    assert "--excel-safe" in shared_desk.do(*RUN).err
    return shared_desk


def right_cells(name: str, website: str) -> list:
    return answers(COMPANIES, {"company_name": name, "website": website})


def test_cells_that_begin_like_a_formula_are_counted_and_left_as_they_came(formulas: Desk) -> None:
    out = cells(formulas.folder / "leads.enriched.csv")
    texts = [value for row in out.rows for value in right_cells(*row[:2])]
    harmful = sum(map(runs_in_a_spreadsheet, texts))
    assert harmful >= 5
    assert f"Note: {harmful} enriched cells begin like a formula" in formulas.do(*RUN).err
    assert not [cell for row in out.rows for cell in row if cell.startswith("'")]


def test_excel_safe_marks_them_as_text_and_nothing_else(formulas: Desk) -> None:
    before = cells(formulas.folder / "leads.enriched.csv")
    said = formulas.do("resume", CHECKPOINT, "--excel-safe")
    assert "formula" not in said.err
    after = cells(formulas.folder / "leads.enriched.csv")
    assert after.header == before.header
    assert [row[:2] for row in after.rows] == [row[:2] for row in before.rows], "the input's cells"
    for row, old in zip(after.rows, before.rows, strict=True):
        for cell, plain, value in zip(
            row[2:], old[2:], [*right_cells(*row[:2]), "", ""], strict=True
        ):
            assert cell == (f"'{plain}" if runs_in_a_spreadsheet(value) else plain)
    assert len(formulas.bought) == len(NAMES)


def test_an_export_is_written_as_the_job_is(formulas: Desk) -> None:
    formulas.do(*RUN, "--excel-safe")
    assert "formula" not in formulas.do("export", CHECKPOINT, "-o", "safe.csv").err
    safe = (formulas.folder / "safe.csv").read_bytes()
    assert safe == (formulas.folder / "leads.enriched.csv").read_bytes()
    formulas.do(*RUN)
    said = formulas.do("export", CHECKPOINT, "-o", "plain.csv").err
    assert "enriched cells begin like a formula" in said
    assert (formulas.folder / "plain.csv").read_bytes() != safe


def test_plan_takes_the_option_too(formulas: Desk) -> None:
    assert formulas.do("plan", *RUN[1:], "--excel-safe", "--json").json["new_runs"] == 0


# --- a terminal -----------------------------------------------------------------------------------

HARMFUL = "\x1b[2J\x9b31m\u202eevil\nError: fake\x07"


def test_the_names_of_a_grid_and_the_cells_of_a_list_steer_no_terminal(new_desk) -> None:
    grid = replace(COMPANIES, name=f"Grid{HARMFUL}")
    desk = new_desk(grids=(grid,))
    text = HARMFUL.replace("\n", "\r")
    desk.write("leads.csv", ["Company Name,Website", f'"Acme{text}",acme.com'])
    told = desk.do("plan", *RUN[1:]).out
    assert "Grid�[2J�31m�evil�Error: fake�" in told
    assert not set(told) & set(HARMFUL.replace("\n", "")) & set("\x1b\x9b\u202e\x07\r")
    said = desk.do(*RUN[:3], COMPANIES.id, "-m", f"website={HARMFUL}", exits=1).err
    assert not [line for line in said.splitlines() if line.startswith("Error: fake")]


def test_an_error_with_a_hostile_file_name_is_harmless_and_json_gives_the_name_back(
    desk: Desk,
) -> None:
    name = f"no{HARMFUL}.csv"
    said = desk.do("run", name, "--grid", COMPANIES.id, "--json", exits=1)
    assert "no�[2J�31m�evil" in said.err
    assert said.out.rstrip("\n").isprintable()
    assert name in json.loads(said.out)["error"]["message"]


# --- the key --------------------------------------------------------------------------------------


def test_no_option_takes_a_key() -> None:
    with click.Context(cli) as context:
        commands = [cli.get_command(context, name) for name in cli.list_commands(context)]
        commands += [below for one in commands for below in getattr(one, "commands", {}).values()]
    named = [name for command in commands for param in command.params for name in param.opts]
    assert {name for name in named if "key" in name or "token" in name} == {"--api-key-file"}


@pytest.mark.parametrize("words", [["--api-key", KEY], [f"--api-key={KEY}"], [f"--key={KEY}"]])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(desk: Desk, words) -> None:
    said = desk.do("run", SAMPLES / "companies.csv", "--grid", COMPANIES.id, *words, exits=2)
    assert "No such option" in said.err  # the desk looks for the key in it
