"""Options to one validated `Job`; all mistakes are listed at once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from enricher.errors import UsageError
from enricher.formats import STANDARD, Ragged, Reading, split_pattern
from enricher.forms import (
    Age,
    AnyPlace,
    Count,
    Delimiter,
    Encoding,
    FailureLimit,
    FilePath,
    InFlight,
    Limiter,
    Offset,
    Prefix,
    Rate,
    Text,
    Url,
    Variable,
    parse_any_place,
)
from enricher.model import Limit, Mode
from enricher.places import Database, Place, is_standard, marked
from enricher.record import InDoubt
from enricher.shard import Shard

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_OPTIONS = {
    "input": "INPUT",
    "maps": "--map",
    "templates": "--set",
    "output_columns": "--output-column",
}
"""Options whose name is not that of their field."""


class Job(BaseModel):
    """Everything a user can say of a job. Paths are absolute; no secret stands here.

    `target` is what the provider runs: a grid, a workflow. `rate` in requests per second,
    `run_timeout` in seconds; `maps` is label to column, `templates` label to template. `input` is
    what the job is known by; `read_from`, where given, is read in its place: the copy of standard
    input, or where the input has moved to. `own_keys` are keys of `job_file` that only this
    provider reads. In a waterfall `steps` holds what differs between the steps, all of them, `step`
    is the place of this one, from 0, and `wanted` names the outputs of which it must fill one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: AnyPlace
    read_from: FilePath | None = None
    output: AnyPlace
    checkpoint: FilePath
    encoding: Encoding | None = None
    delimiter: Delimiter | None = None
    ragged: Ragged = Ragged.ERROR
    sheet: Text | None = None
    query: Text | None = None
    table: Text | None = Field(default=None, validate_default=True)
    overwrite: bool = False
    excel_safe: bool = False
    provider: Text
    target: Text = Field(min_length=1)
    base_url: Url
    api_key_file: FilePath | None = None
    api_key_env: Variable | None = None
    own_keys: dict[Text, Any] = {}
    source_id: Text = ""
    output_columns: tuple[Text, ...] = ()
    job_file: FilePath | None = None
    maps: dict[Text, Text] = {}
    templates: dict[Text, Text] = {}
    require: tuple[Text, ...] = ()
    where: Text = ""
    sample: Count | None = None
    seed: int | None = None
    offset: Offset = 0
    limit: Count | None = None
    columns: tuple[Text, ...] = ()
    only_enriched: bool = False
    explode: bool = False
    failures: AnyPlace | None = None
    rate: Rate = "auto"
    limiter: Limiter = "host"
    mode: Mode = Mode.ASYNC
    max_in_flight: InFlight = "auto"
    run_timeout: Age = 7200.0
    in_doubt: InDoubt = InDoubt.HOLD
    retry_failed: bool = False
    max_attempts: Count = 3
    refresh_after: Age | None = None
    no_dedupe: bool = False
    allow_failures: FailureLimit = Limit(count=0)
    max_runs: Count | None = None
    max_credits: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_failures: FailureLimit = Limit(share=0.5)
    stop_after: Age | None = None
    max_outage: Age = 900.0
    retry_lock: Age = 0.0
    status_prefix: Prefix = "enrichment"
    shard: Shard | None = None
    wanted: tuple[Text, ...] = ()
    step: int = 0
    steps: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _default_paths(cls, values: Any) -> Any:
        """`leads.csv` gives `leads.enriched.csv` and `leads.enriched.csv.checkpoint.db`."""
        values = {name: value for name, value in values.items() if value is not None}
        if "input" in values:
            source = _place_or_none(values["input"])
            if source is None:  # its own mistake is enough: nothing follows from it
                return {"output": STANDARD, "checkpoint": "none", **values}
            beside = marked(source, "enriched") if _is_one_file(source) else None
            if beside is not None:
                values.setdefault("output", beside)
            # Without an output there is no job; its being missing is mistake enough.
            output = _place_or_none(values.get("output", source))
            values.setdefault("checkpoint", _checkpoint_of(output, source, values))
        return values

    @field_validator("output", "failures")
    @classmethod
    def _is_one_table(cls, output: Place | None) -> Place | None:
        if isinstance(output, Database) and output.table is None:
            raise ValueError(f"{output} names no table: write it after a #, {output}#leads")
        return output

    @field_validator("table")
    @classmethod
    def _one_table_is_read(cls, table: str | None, info: ValidationInfo) -> str | None:
        source, query = info.data.get("input"), info.data.get("query")
        if isinstance(source, Database):
            if sum(one is not None for one in (query, table, source.table)) != 1:
                raise ValueError("a database needs either --query SQL or --table NAME")
        elif source is not None and (query is not None or table is not None):
            raise ValueError("--query and --table are for databases")
        return table

    @field_validator("templates")
    @classmethod
    def _fed_once(cls, templates: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if both := sorted(info.data.get("maps", {}).keys() & templates.keys()):
            label = both[0]
            raise ValueError(
                f"fed twice, by -m {label}=… and by --set {label}=…; drop one of them"
                + (f" (so are {', '.join(both[1:])})" if both[1:] else "")
            )
        return templates

    @field_validator("seed")
    @classmethod
    def _seed_of_a_sample(cls, seed: int | None, info: ValidationInfo) -> int | None:
        if seed is not None and info.data.get("sample") is None:
            raise ValueError("draws nothing without --sample N")
        return seed

    @field_validator("failures")
    @classmethod
    def _failures_apart(cls, failures: Place | None, info: ValidationInfo) -> Place | None:
        if failures is None:
            return None
        for what in ("input", "output", "checkpoint"):
            path = info.data.get(what)
            if path in (failures, partial_of(failures)):
                raise ValueError(f"{_short(failures)} is the {what} already; name another file")
        output = info.data.get("output")
        if output and failures == partial_of(output):
            raise ValueError(f"{_short(failures)} is where an unfinished output goes; name another")
        return failures

    @property
    def origin(self) -> str:
        """Scheme, host and port of the base URL, the port left out where it is the usual one."""
        parts = urlsplit(self.base_url)
        host = parts.netloc.removesuffix(_DEFAULT_PORTS[parts.scheme])
        return f"{parts.scheme}://{host}".lower()

    @property
    def partial(self) -> Place | None:
        """Where the output goes while the job is not finished; no database, no standard output."""
        return partial_of(self.output)

    @property
    def source(self) -> Place:
        """What is read, unless it has no copy yet."""
        return self.read_from or self.input

    @property
    def reading(self) -> Reading:
        return Reading(self.encoding, self.delimiter, self.ragged, self.sheet)

    def chain(self) -> tuple["Job", ...]:
        """The jobs of all steps, in order; this one alone where there are none."""
        if not self.steps:
            return (self,)
        shared = {**self.model_dump(mode="json"), "steps": self.steps}
        return tuple(
            Job.model_validate({**shared, **own, "step": number})
            for number, own in enumerate(self.steps)
        )

    @property
    def id(self) -> str:
        """The same for the same input, provider, target and mapping."""
        identity: list[Any] = [
            str(self.input),
            self.provider,
            self.base_url,
            self.target,
            self.source_id,
            sorted(self.output_columns),
            sorted(self.maps.items()),
            sorted(self.templates.items()),
        ]
        chosen = {"sheet": self.sheet, "query": self.query, "table": self.table}
        identity += [[name, value] for name, value in chosen.items() if value is not None]
        if self.steps:
            before = self.chain()[self.step - 1].id if self.step else ""
            identity.append(["step", self.step, before])
        return hashlib.blake2b(json.dumps(identity).encode(), digest_size=6).hexdigest()


OF_A_STEP = (
    *("provider", "target", "base_url", "api_key_file", "api_key_env", "own_keys", "source_id"),
    *("output_columns", "maps", "templates", "require", "wanted", "rate", "mode"),
    *("max_in_flight", "run_timeout", "in_doubt", "retry_failed", "max_attempts", "refresh_after"),
    *("no_dedupe", "max_runs", "max_credits", "max_failures", "max_outage"),
)
"""Fields that each step of a waterfall has for itself."""


def waterfall_of(jobs: Sequence[Job]) -> Job:
    """The first of several steps, which knows them all; `jobs` differ in the fields of a step."""
    dumped = [job.model_dump(mode="json") for job in jobs]
    steps = [{name: one[name] for name in OF_A_STEP} for one in dumped]
    return Job.model_validate({**dumped[0], "step": 0, "steps": steps})


def _short(place: Place) -> str:
    return place.name if isinstance(place, Path) else str(place)


def partial_of(place: Place) -> Place | None:
    """Where what belongs to `place` goes while the job is not finished; `None` for nowhere."""
    return marked(place, "partial")


def _place_or_none(value: object) -> Place | None:
    with suppress(ValueError):
        return parse_any_place(value)
    return None


def _is_one_file(source: Place) -> bool:
    return not isinstance(source, Path) or not split_pattern(source.absolute())[1]


def _checkpoint_of(output: Place | None, source: Place, values: Mapping[str, Any]) -> Path:
    """`<output>.checkpoint.db`; one in the user's state directory where the output is no file.

    There it belongs to what is read and asked, so that the same command finds it again.
    """
    if isinstance(output, Path) and not is_standard(output):
        return output.parent / f"{output.name}.checkpoint.db"
    asked = [str(source), values.get("base_url"), values.get("target")]
    digest = hashlib.blake2b(json.dumps(asked).encode(), digest_size=6).hexdigest()
    folder = platformdirs.user_state_path("enricher", appauthor=False)
    return folder / f"{digest}.checkpoint.db"


Kind = TypeVar("Kind", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with one option.

    Attributes:
        field: its name in the model.
        option: the name that the user knows it by.
    """

    field: str
    option: str
    text: str
    is_missing: bool = False

    def __str__(self) -> str:
        return f"{flag_of(self.option)}: {self.text}"


def flag_of(option: str) -> str:
    """How an option is written on the command line."""
    return _OPTIONS.get(option) or f"--{option.replace('_', '-')}"


def make_job(options: Mapping[str, Any], target_option: str = "target") -> Job:
    """Validate `options`; a value of `None` means not given.

    Args:
        target_option: the name that the user knows the option `target` by.

    Raises:
        UsageError: lists every mistake with the option it stands in.
    """
    return validated(Job, options, target_option)


def validated(kind: type[Kind], options: Mapping[str, Any], target_option: str = "target") -> Kind:
    """`make_job` for any model of options."""
    model, mistakes = checked(kind, options, target_option)
    if model is None:
        raise UsageError("\n".join(map(str, mistakes)), mend="See `enricher run --help`.")
    return model


def checked(
    kind: type[Kind], options: Mapping[str, Any], target_option: str = "target"
) -> tuple[Kind | None, list[Mistake]]:
    """The validated model, or every mistake in it."""
    try:
        return kind.model_validate({k: v for k, v in options.items() if v is not None}), []
    except ValidationError as error:
        return None, [_mistake(detail, target_option) for detail in error.errors(include_url=False)]


def _mistake(detail: Any, target_option: str) -> Mistake:
    name = str(detail["loc"][0])
    option = target_option if name == "target" else name
    if detail["type"] == "missing" and name == "output":
        needed = "is required where the input is no single file (-o out.csv, or -o -)"
        return Mistake(name, option, needed, is_missing=True)
    if detail["type"] in ("missing", "string_too_short"):
        return Mistake(name, option, "is required", is_missing=True)
    return Mistake(name, option, str(detail["msg"]).removeprefix("Value error, "))
