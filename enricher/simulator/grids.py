"""The grids that a simulated workspace holds: frozen data, with stable ids."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from functools import cached_property


class ColumnType(StrEnum):
    """The documented column types (BitScale API v1, 5.3); all but text are runnable (5.2)."""

    TEXT = "text"
    ENRICHMENT = "enrichment"
    FORMULA = "formula"
    MERGE = "merge"


class SourceType(StrEnum):
    """The documented source types (BitScale API v1, 5.3)."""

    API = "api"
    CSV = "csv"


class Content(Enum):
    """What an output column tells; `values` knows how it is made up."""

    DESCRIPTION = auto()
    SLOGAN = auto()
    EMPLOYEES = auto()
    REVENUE_GROWTH = auto()
    TAGS = auto()
    HEADQUARTERS = auto()
    IS_HIRING = auto()
    FUNDING_STAGE = auto()
    FUNDING_SUMMARY = auto()
    REGISTRY_NUMBER = auto()
    CONTACT = auto()
    JOB_TITLE = auto()
    PROFILE_URL = auto()
    PERSON_SUMMARY = auto()
    SHORT_SUMMARY = auto()
    WEBSITE = auto()
    COUNTRY = auto()
    TECHNOLOGIES = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """A column. An input has a label, which runs are keyed by; an output has a content."""

    id: str
    name: str
    type: ColumnType
    label: str = ""
    content: Content | None = None
    dependencies: tuple[str, ...] = ()

    @property
    def runnable(self) -> bool:
        return self.type is not ColumnType.TEXT


@dataclass(frozen=True, slots=True)
class Source:
    """A data source; with a cron line it is a scheduled one."""

    id: str
    display_name: str
    type: SourceType
    last_run_at: str | None = None
    next_run_at: str | None = None
    cron_schedule: str | None = None


@dataclass(frozen=True)
class Grid:
    """A grid as it is when the simulator starts. `row_count` grows in the workspace, not here."""

    id: str
    name: str
    description: str
    columns: tuple[Column, ...]
    sources: tuple[Source, ...]
    row_count: int = 0
    created_at: str = "2025-11-01T09:00:00Z"
    updated_at: str = "2026-03-12T14:22:00Z"
    dedupe_column_id: str | None = None
    has_source_column: bool = True
    """Without one a run answers MISSING_SOURCE_COLUMN (BitScale API v1, 7)."""

    foreign: bool = False
    """It belongs to another workspace."""

    duration_scale: float = 1.0
    """Runs of this grid last so much of what the duration setting says."""

    copy_of: "Grid | None" = None
    """It finds what that grid finds, under ids of its own."""

    @cached_property
    def inputs(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if not column.runnable)

    @cached_property
    def outputs(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.runnable)

    def copied(self, mark: str) -> "Grid":
        """A copy as somebody makes it in another workspace: `mark` begins every id of it."""

        def own(id_: str) -> str:
            return mark + id_[len(mark) :]

        return replace(
            self,
            id=own(self.id),
            columns=tuple(
                replace(one, id=own(one.id), dependencies=tuple(map(own, one.dependencies)))
                for one in self.columns
            ),
            sources=tuple(replace(one, id=own(one.id)) for one in self.sources),
            dedupe_column_id=self.dedupe_column_id and own(self.dedupe_column_id),
            copy_of=self,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The input labels that the whole grid needs."""
        return self.labels_for(self.outputs)

    @cached_property
    def api_sources(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.type is SourceType.API)

    def column(self, column_id: str) -> Column | None:
        return self._by_id.get(column_id)

    def labels_for(self, outputs: Iterable[Column]) -> tuple[str, ...]:
        """The labels that these outputs stand on, in grid order (BitScale API v1, 5.4)."""
        needed = {column_id for output in outputs for column_id in self._ancestry[output.id]}
        return tuple(column.label for column in self.inputs if column.id in needed)

    def parents(self, column: Column) -> tuple[Column, ...]:
        """The columns that this one depends on, in the order it names them."""
        return tuple(self._by_id[column_id] for column_id in column.dependencies)

    @cached_property
    def _by_id(self) -> dict[str, Column]:
        return {column.id: column for column in self.columns}

    @cached_property
    def _ancestry(self) -> dict[str, frozenset[str]]:
        """Every column with the ids of all that it stands on."""
        return {column.id: frozenset(self._trace(column)) for column in self.columns}

    def _trace(self, column: Column) -> Iterator[str]:
        yield column.id
        for parent in self.parents(column):
            yield from self._trace(parent)


def _id(grid: int, part: int = 0) -> str:
    """A UUID that people can tell apart: grid number, then number of the column or source."""
    return f"5eed{grid:04d}-0000-4000-8000-{part:012d}"


def _input(grid: int, part: int, name: str, label: str) -> Column:
    return Column(_id(grid, part), name, ColumnType.TEXT, label=label)


def _output(
    grid: int,
    part: int,
    name: str,
    content: Content,
    needs: tuple[int, ...],
    kind: ColumnType = ColumnType.ENRICHMENT,
) -> Column:
    dependencies = tuple(_id(grid, number) for number in needs)
    return Column(_id(grid, part), name, kind, content=content, dependencies=dependencies)


def _api_source(grid: int) -> Source:
    return Source(_id(grid, 90), "BitScale API", SourceType.API, last_run_at="2026-03-12T14:20:00Z")


def _csv_source(grid: int) -> Source:
    return Source(
        _id(grid, 91),
        "Nightly CSV import",
        SourceType.CSV,
        last_run_at="2026-03-12T02:00:00Z",
        next_run_at="2026-03-13T02:00:00Z",
        cron_schedule="0 2 * * *",
    )


COMPANIES = Grid(
    id=_id(1),
    name="Company Enrichment",
    description="Firmographic data for companies: one column of every type there is.",
    columns=(
        _input(1, 1, "Company Name", "company_name"),
        _input(1, 2, "Website", "website"),
        _output(1, 11, "Company Description", Content.DESCRIPTION, (1, 2)),
        _output(1, 12, "Local Slogan", Content.SLOGAN, (1,)),
        _output(1, 13, "Employees", Content.EMPLOYEES, (1, 2)),
        _output(1, 14, "Revenue Growth", Content.REVENUE_GROWTH, (1,)),
        _output(1, 15, "Tags", Content.TAGS, (1, 2)),
        _output(1, 16, "Headquarters", Content.HEADQUARTERS, (1,)),
        _output(1, 17, "Is Hiring", Content.IS_HIRING, (2,)),
        _output(1, 18, "Funding Stage", Content.FUNDING_STAGE, (1,)),
        _output(1, 19, "Funding Summary", Content.FUNDING_SUMMARY, (18, 13), ColumnType.FORMULA),
        _output(1, 20, "Registry Number", Content.REGISTRY_NUMBER, (1,)),
        _output(1, 21, "Contact", Content.CONTACT, (2,), ColumnType.MERGE),
    ),
    sources=(_api_source(1), _csv_source(1)),
    row_count=1540,
    dedupe_column_id=_id(1, 1),
)

PEOPLE = Grid(
    id=_id(2),
    name="People Leads",
    description="",
    columns=(
        _input(2, 1, "Full Name", "full_name"),
        _input(2, 2, "Company", "company"),
        _input(2, 3, "Email", "email"),
        _output(2, 11, "Job Title", Content.JOB_TITLE, (1, 2)),
        _output(2, 12, "Profile", Content.PROFILE_URL, (1,)),
        _output(2, 13, "Summary", Content.PERSON_SUMMARY, (1, 2, 3)),
        _output(2, 14, "Summary", Content.SHORT_SUMMARY, (1, 11), ColumnType.MERGE),
    ),
    sources=(_api_source(2),),
    row_count=12,
    duration_scale=0.2,
)

NO_SOURCE = Grid(
    id=_id(3),
    name="CSV Imports",
    description="Fed by a file every night: no API source, so that it cannot be run from outside.",
    columns=(
        _input(3, 1, "Domain", "domain"),
        _output(3, 11, "Technologies", Content.TECHNOLOGIES, (1,)),
    ),
    sources=(_csv_source(3),),
    row_count=300,
)

WEBSITES = Grid(
    id=_id(4),
    name="Website Finder",
    description="Its outputs are named like the columns that people bring along.",
    columns=(
        _input(4, 1, "Company Name", "company_name"),
        _output(4, 11, "Website", Content.WEBSITE, (1,)),
        _output(4, 12, "Country", Content.COUNTRY, (1,)),
        _output(4, 13, "Employees", Content.EMPLOYEES, (1,)),
    ),
    sources=(_api_source(4),),
)

NO_SOURCE_COLUMN = Grid(
    id=_id(5),
    name="Misconfigured",
    description="Has an API source, and no column for it.",
    columns=(
        _input(5, 1, "Domain", "domain"),
        _output(5, 11, "Technologies", Content.TECHNOLOGIES, (1,)),
    ),
    sources=(_api_source(5),),
    has_source_column=False,
)

FOREIGN = Grid(
    id=_id(6),
    name="Somebody Else's Grid",
    description="",
    columns=(
        _input(6, 1, "Domain", "domain"),
        _output(6, 11, "Technologies", Content.TECHNOLOGIES, (1,)),
    ),
    sources=(_api_source(6),),
    foreign=True,
)

GRIDS = (COMPANIES, PEOPLE, NO_SOURCE, WEBSITES, NO_SOURCE_COLUMN, FOREIGN)
