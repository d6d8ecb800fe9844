"""Outputs: every JSON type, and nothing but a function of the inputs."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.simulator import GRIDS, outputs_for
from enricher.simulator.grids import COMPANIES, PEOPLE, WEBSITES, Content, Grid
from enricher.simulator.values import value_of
from tests.simulator.driving import ACME

ROOT = Path(__file__).parents[2]

GOLDEN = {
    "Company Description": '"Acme Corp" makes payment services, sold to small firms.\n'
    "Founded in 1995, it works in 52 countries.",
    "Local Slogan": "Acme Corp के साथ आगे बढ़ें",
    "Employees": 460,
    "Revenue Growth": -15.63,
    "Tags": ["b2c", "saas"],
    "Headquarters": {"city": "大阪", "country": "Japan"},
    "Is Hiring": True,
    "Funding Stage": "Public",
    "Funding Summary": "Public; 460 people",
    "Registry Number": 853094249418171296,
    "Contact": "sales@acme.com",
}

texts = st.text(st.characters(codec="utf-8"), max_size=30)


def company(number: int) -> dict[str, str]:
    return {"company_name": f"Company {number}", "website": f"c{number}.example"}


def column_values(grid: Grid, content: Content) -> list[object]:
    column = next(column for column in grid.outputs if column.content is content)
    return [value_of(grid, column, company(number)) for number in range(300)]


def test_the_values_of_a_known_row_are_these() -> None:
    """Golden: whoever changes them changes every recorded expectation."""
    values = {output["name"]: output["value"] for output in outputs_for(COMPANIES, ACME).values()}
    assert values == GOLDEN


def test_another_process_finds_the_same() -> None:
    code = f"from enricher.simulator import *; print(ascii(outputs_for(GRIDS[0], {ACME!r})))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert printed == {ascii(outputs_for(COMPANIES, ACME))}


@pytest.mark.parametrize(
    ("content", "types"),
    [
        (Content.DESCRIPTION, {str}),
        (Content.EMPLOYEES, {int}),
        (Content.REGISTRY_NUMBER, {int}),
        (Content.REVENUE_GROWTH, {float, type(None)}),
        (Content.FUNDING_STAGE, {str, type(None)}),
        (Content.TAGS, {list}),
        (Content.HEADQUARTERS, {dict}),
        (Content.IS_HIRING, {bool}),
    ],
)
def test_the_company_grid_covers_every_json_type(content, types) -> None:
    assert {type(value) for value in column_values(COMPANIES, content)} == types


def test_values_are_hard_to_write_down() -> None:
    descriptions = column_values(COMPANIES, Content.DESCRIPTION)
    assert all(set('",\n') <= set(str(text)) for text in descriptions)
    assert '"Company 7"' in str(descriptions[7])
    slogans = "".join(map(str, column_values(COMPANIES, Content.SLOGAN)))
    assert all(letter in slogans for letter in "」ря와让مπक")
    assert [] in column_values(COMPANIES, Content.TAGS)
    growth = [value for value in column_values(COMPANIES, Content.REVENUE_GROWTH) if value]
    assert min(map(float, map(str, growth))) < 0
    registry = column_values(COMPANIES, Content.REGISTRY_NUMBER)
    assert all(isinstance(value, int) and 2**53 < value < 2**63 for value in registry)


@given(st.permutations(list({**ACME, "other": "x"}.items())))
def test_order_and_further_labels_do_not_matter(items) -> None:
    assert outputs_for(COMPANIES, dict(items)) == outputs_for(COMPANIES, ACME)


@given(texts, texts, texts)
def test_a_column_sees_its_own_labels_only(name, website, other) -> None:
    one = outputs_for(COMPANIES, {"company_name": name, "website": website})
    two = outputs_for(COMPANIES, {"company_name": name, "website": other})
    for column in COMPANIES.outputs:
        if "website" not in COMPANIES.labels_for([column]):
            assert one[column.id] == two[column.id]


@given(st.sampled_from(GRIDS), st.dictionaries(st.sampled_from(["company_name", "x"]), texts))
def test_any_text_has_outputs(grid, inputs) -> None:
    assert list(outputs_for(grid, inputs)) == [column.id for column in grid.outputs]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
@pytest.mark.parametrize("blank", ["", "  \t", None])
def test_blank_inputs_find_nothing(grid: Grid, blank) -> None:
    found = outputs_for(grid, dict.fromkeys(grid.labels, blank))
    assert {output["value"] for output in found.values()} == {None}


def test_inputs_that_are_no_text_count_by_their_json() -> None:
    number, text = ({"company_name": name, "website": ""} for name in (1234, "1234"))
    assert outputs_for(COMPANIES, number) == outputs_for(COMPANIES, text)


def test_different_rows_differ() -> None:
    shown = {str(outputs_for(COMPANIES, company(number))) for number in range(1000)}
    assert len(shown) == 1000


def test_some_columns_may_be_asked_for() -> None:
    wanted = [COMPANIES.outputs[4].id, COMPANIES.outputs[0].id, "nonsense"]
    found = outputs_for(COMPANIES, ACME, wanted)
    assert list(found) == [COMPANIES.outputs[0].id, COMPANIES.outputs[4].id]
    everything = outputs_for(COMPANIES, ACME)
    assert all(everything[column_id] == output for column_id, output in found.items())


def test_a_formula_is_made_of_the_columns_it_depends_on() -> None:
    values = {output["name"]: output["value"] for output in outputs_for(COMPANIES, ACME).values()}
    assert values["Funding Summary"] == (
        f"{values['Funding Stage'] or 'No known funding'}; {values['Employees']} people"
    )


def test_people_and_websites() -> None:
    person = {"full_name": "Zoë Lee", "company": "Acme Corp", "email": "zoe@acme.com"}
    title, _, long, short = (output["value"] for output in outputs_for(PEOPLE, person).values())
    assert str(long).startswith("Zoë Lee, known as <zoe@acme.com>")
    assert short == f"Zoë Lee ({title})"
    website, country, employees = (
        output["value"] for output in outputs_for(WEBSITES, ACME).values()
    )
    assert website == "https://acmecorp.example"
    assert isinstance(country, str)
    assert isinstance(employees, int)


def test_an_input_column_has_no_value_of_its_own() -> None:
    with pytest.raises(ValueError, match="is an input"):
        value_of(COMPANIES, COMPANIES.inputs[0], ACME)
