"""What the grids find out: made up, believable, and a pure function of (grid, column, inputs).

A column sees only the labels that it depends on, so a test can work out the right answer for any
row, whatever else was sent and in whatever order. Where all of those labels are blank there is
nothing to go by, and the value is null.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, TypeVar

from enricher.simulator import draws
from enricher.simulator.grids import Column, Content, Grid
from enricher.simulator.messages import Json, json_text

T = TypeVar("T")


class Output(TypedDict):
    """The shape of one output (BitScale API v1, 5.5, "Output Object Shape")."""

    value: Json
    name: str


def outputs_for(
    grid: Grid, inputs: Mapping[str, Json], output_columns: Collection[str] | None = None
) -> dict[str, Output]:
    """The outputs of a run by column id, in grid order; None means all runnable columns."""
    return {
        column.id: Output(value=value_of(grid, column, inputs), name=column.name)
        for column in grid.outputs
        if output_columns is None or column.id in output_columns
    }


def value_of(grid: Grid, column: Column, inputs: Mapping[str, Json]) -> Json:
    """The value that one output column of a run holds."""
    if column.content is None:
        raise ValueError(f"{column.name!r} is an input: it holds what was sent")
    texts = tuple(_text(inputs.get(label)) for label in grid.labels_for([column]))
    if not any(text.strip() for text in texts):
        return None
    parents = [parent for parent in grid.parents(column) if parent.runnable]
    found = [value_of(grid, parent, inputs) for parent in parents]
    origin = grid.copy_of or grid
    known_as = origin.columns[grid.columns.index(column)]
    return _CONTENTS[column.content](_Evidence(origin.id, known_as.id, texts, found))


def _text(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)


@dataclass(frozen=True)
class _Evidence:
    """What a column has to go by: the texts of its labels, and the outputs it depends on."""

    grid_id: str
    column_id: str
    texts: tuple[str, ...]
    found: Sequence[Json]

    @property
    def subject(self) -> str:
        """The first text that is not blank; most often a name."""
        return next(text for text in self.texts if text.strip()).strip()

    @property
    def domain(self) -> str:
        host = self.subject.lower().split("://")[-1].split("/")[0]
        return host.removeprefix("www.")

    def number(self, low: int, high: int, about: str) -> int:
        return draws.number(low, high, self.grid_id, self.column_id, about, *self.texts)

    def pick(self, choices: Sequence[T], about: str) -> T:
        return draws.pick(choices, self.grid_id, self.column_id, about, *self.texts)

    def one_in(self, chances: int, about: str) -> bool:
        return self.number(1, chances, about) == 1


_PRODUCTS = ("industrial software", "household goods", "payment services", "medical devices")
_MARKETS = ("retailers", "hospitals", "farms, mills and ports", "small firms", "public bodies")
_SLOGANS = (
    "「{}」と、次の一歩を。",
    "{} — рядом, когда нужно.",
    "{}와 함께, 더 멀리.",
    "{}，让工作更简单",
    "{}: مستقبلك يبدأ هنا",
    "{} — πάντα μπροστά",
    "{} के साथ आगे बढ़ें",
    "{} – für morgen, schon heute",
)
_TAGS = ("b2b", "b2c", "saas", "hardware", "fin, tech", "health", "energy", '"deep" tech', "食品")
_CITIES = (
    ("Boston", "United States"),
    ("São Paulo", "Brazil"),
    ("München", "Germany"),
    ("Łódź", "Poland"),
    ("Montréal", "Canada"),
    ("大阪", "Japan"),
    ("Nairobi", "Kenya"),
    ("Washington, D.C.", "United States"),
)
_SIZES = (1, 10, 100, 1_000, 10_000)
_STAGES = ("Seed", "Series A", "Series B", "Series C", "Public", None)
_TITLES = ("Head of Sales", "VP, Engineering", "Founder & CEO", "Controller", "Chargé de mission")
_TOOLS = ("PostgreSQL", "Kafka", "React", "Salesforce", "SAP S/4HANA", "C++")


def _description(evidence: _Evidence) -> Json:
    product, market = evidence.pick(_PRODUCTS, "product"), evidence.pick(_MARKETS, "market")
    year, countries = evidence.number(1890, 2019, "year"), evidence.number(2, 90, "countries")
    return (
        f'"{evidence.subject}" makes {product}, sold to {market}.\n'
        f"Founded in {year}, it works in {countries} countries."
    )


def _slogan(evidence: _Evidence) -> Json:
    return evidence.pick(_SLOGANS, "slogan").replace("{}", evidence.subject)


def _employees(evidence: _Evidence) -> Json:
    return evidence.number(10, 99, "lead") * evidence.pick(_SIZES, "size")


def _revenue_growth(evidence: _Evidence) -> Json:
    if evidence.one_in(8, "unknown"):
        return None
    return evidence.number(-2500, 9000, "growth") / 100


def _tags(evidence: _Evidence) -> Json:
    return _some_of(_TAGS, evidence)


def _technologies(evidence: _Evidence) -> Json:
    return _some_of(_TOOLS, evidence)


def _some_of(choices: Sequence[str], evidence: _Evidence) -> Json:
    """From none to three neighbours, so that empty lists happen too."""
    start = evidence.number(0, len(choices) - 3, "start")
    return [*choices[start : start + evidence.number(0, 3, "how many")]]


def _headquarters(evidence: _Evidence) -> Json:
    city, country = evidence.pick(_CITIES, "city")
    return {"city": city, "country": country}


def _is_hiring(evidence: _Evidence) -> Json:
    return evidence.one_in(2, "hiring")


def _funding_stage(evidence: _Evidence) -> Json:
    return evidence.pick(_STAGES, "stage")


def _funding_summary(evidence: _Evidence) -> Json:
    stage, employees = evidence.found
    return f"{stage or 'No known funding'}; {employees} people"


def _registry_number(evidence: _Evidence) -> Json:
    # Above 2**53: whoever reads it as a float loses digits.
    return evidence.number(10**17 + 1, 10**18 - 1, "registry")


def _contact(evidence: _Evidence) -> Json:
    return f"{evidence.pick(('info', 'press', 'sales'), 'mailbox')}@{evidence.domain}"


def _job_title(evidence: _Evidence) -> Json:
    return evidence.pick(_TITLES, "title")


def _profile_url(evidence: _Evidence) -> Json:
    return f"https://people.example/{evidence.number(10**6, 10**7 - 1, 'profile')}"


def _person_summary(evidence: _Evidence) -> Json:
    years = evidence.number(1, 25, "years")
    return f"{evidence.subject}, known as <{evidence.texts[-1]}>, has been at it for {years} years."


def _short_summary(evidence: _Evidence) -> Json:
    return f"{evidence.subject} ({evidence.found[0]})"


def _website(evidence: _Evidence) -> Json:
    letters = "".join(letter for letter in evidence.subject.lower() if letter.isalnum())
    return f"https://{letters or 'nameless'}.example"


def _country(evidence: _Evidence) -> Json:
    return evidence.pick(_CITIES, "country")[1]


_CONTENTS: dict[Content, Callable[[_Evidence], Json]] = {
    Content.DESCRIPTION: _description,
    Content.SLOGAN: _slogan,
    Content.EMPLOYEES: _employees,
    Content.REVENUE_GROWTH: _revenue_growth,
    Content.TAGS: _tags,
    Content.HEADQUARTERS: _headquarters,
    Content.IS_HIRING: _is_hiring,
    Content.FUNDING_STAGE: _funding_stage,
    Content.FUNDING_SUMMARY: _funding_summary,
    Content.REGISTRY_NUMBER: _registry_number,
    Content.CONTACT: _contact,
    Content.JOB_TITLE: _job_title,
    Content.PROFILE_URL: _profile_url,
    Content.PERSON_SUMMARY: _person_summary,
    Content.SHORT_SUMMARY: _short_summary,
    Content.WEBSITE: _website,
    Content.COUNTRY: _country,
    Content.TECHNOLOGIES: _technologies,
}
