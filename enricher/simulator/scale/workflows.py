"""The workflows that a simulated account holds, and the rows they find: frozen and seeded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from enricher.simulator import draws
from enricher.simulator.messages import Json, JsonObject, json_text


class ColumnType(StrEnum):
    """The documented column types (the example of `…/result`)."""

    STRING = "string"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the result."""

    id: str
    header: str
    type: ColumnType = ColumnType.STRING


@dataclass(frozen=True)
class Workflow:
    """A workflow as it is saved in the Workflows UI."""

    id: str
    name: str
    cards: tuple[str, ...]
    """The type of each card; only `import_csv` is documented."""

    columns: tuple[Column, ...]
    defaults: Mapping[str, str] = field(default_factory=dict)
    """The variables with their saved defaults."""

    fewest_rows: int = 1
    most_rows: int = 1
    rows_returned: int | None = None
    """A result holds no more rows than this, and says how many there are; None is all."""

    foreign: bool = False
    """It belongs to another account."""

    def rows(self, variables: Mapping[str, str]) -> list[JsonObject]:
        """What a run with these variables finds, every time: all rows."""
        used = {**self.defaults, **_known(variables, self.defaults)}
        about = json_text(dict(used))
        count = draws.number(self.fewest_rows, self.most_rows, "rows", self.id, about)
        return [
            {column.id: _value(self, column, number, about, used) for column in self.columns}
            for number in range(count)
        ]


def _known(variables: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """A variable that no card names replaces nothing."""
    return {name: text for name, text in variables.items() if name in defaults}


_WORDS = ("Łódź", "São Paulo", "大阪", "Boston", "München", "a, b", 'the "best"', "x\ny")


def _value(
    workflow: Workflow, column: Column, number: int, about: str, used: Mapping[str, str]
) -> Json:
    if column.id == "subject":
        return next((text for text in used.values() if text.strip()), "")
    parts = (workflow.id, column.id, number, about)
    if column.type is ColumnType.NUMBER:
        return draws.number(0, 1000, "value", *parts) / 1000
    return None if draws.number(1, 8, "unknown", *parts) == 1 else draws.pick(_WORDS, *parts)


COMPANY_PROFILE = Workflow(
    id="wf-company-profile",
    name="Company Profile",
    cards=("import_csv", "prompt", "extract"),
    columns=(
        Column("subject", "Company"),
        Column("headquarters", "Headquarters"),
        Column("score", "Score", ColumnType.NUMBER),
    ),
    defaults={"company_name": "", "website": "", "region": "US"},
)

PEOPLE_FINDER = Workflow(
    id="wf-people-finder",
    name="People Finder",
    cards=("import_csv", "search"),
    columns=(
        Column("place", "Place"),
        Column("score", "Score", ColumnType.NUMBER),
    ),
    defaults={"company_name": ""},
    fewest_rows=0,
    most_rows=4,
)

LONG_LIST = Workflow(
    id="wf-long-list",
    name="Long List",
    cards=("search",),
    columns=(Column("place", "Place"),),
    defaults={"company_name": ""},
    fewest_rows=5,
    most_rows=5,
    rows_returned=2,
)

FOREIGN = Workflow(
    id="wf-somebody-elses",
    name="Somebody Else's Workflow",
    cards=("search",),
    columns=(Column("place", "Place"),),
    foreign=True,
)

WORKFLOWS = (COMPANY_PROFILE, PEOPLE_FINDER, LONG_LIST, FOREIGN)
