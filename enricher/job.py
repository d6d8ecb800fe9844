"""Options to one validated `Job`; all mistakes are listed at once."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from enricher.cell import well_formed
from enricher.errors import UsageError
from enricher.model import Limit, Mode
from enricher.record import InDoubt

RATE_FORM = "a number of requests per second from 0.001 to 100000, `auto` or `unlimited`"
IN_FLIGHT_FORM = "a whole number from 1 to 100000, or `auto`"
LIMIT_FORM = "a whole number, or a share such as 5%"
AGE_FORM = "a number with a unit: 90s, 15m, 2h or 30d"
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_OPTIONS = {
    "input": "INPUT",
    "maps": "--map",
    "templates": "--set",
    "output_columns": "--output-column",
}
"""Options whose name is not that of their field."""


def parse_age(text: str) -> float:
    """Seconds of an age such as `90s`, `15m`, `2h` or `30d`.

    Raises:
        ValueError: not of that form.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not {AGE_FORM}")
    return float(match[1]) * _SECONDS[match[2]]


def parse_rate(value: object) -> float | Literal["auto", "unlimited"]:
    """`auto`, `unlimited` or requests per second.

    Raises:
        ValueError: not of that form.
    """
    if value == "auto":
        return "auto"
    if value == "unlimited":
        return "unlimited"
    try:
        rate = float(str(value))
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= 100_000:
        raise ValueError(f"{str(value)!r} is not {RATE_FORM}")
    return rate


def parse_in_flight(value: object) -> int | Literal["auto"]:
    """`auto` or how many runs may be under way.

    Raises:
        ValueError: not of that form.
    """
    if value == "auto":
        return "auto"
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= 100_000:
        raise ValueError(f"{text!r} is not {IN_FLIGHT_FORM}")
    return int(text)


def parse_limit(value: object) -> Limit:
    """A number of rows or runs, or a share of them such as `5%`.

    Raises:
        ValueError: not of that form.
    """
    if isinstance(value, Limit):
        return value
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(%?)", str(value).strip())
    number = float(match[1]) if match else math.nan
    if match and match[2] and number <= 100:
        return Limit(share=number / 100)
    if match and not match[2] and number.is_integer():
        return Limit(count=number)
    raise ValueError(f"{str(value)!r} is not {LIMIT_FORM}")


def _parse_seconds(value: object) -> object:
    return parse_age(value) if isinstance(value, str) else value


def _parse_url(value: object) -> str:
    url = str(value).rstrip("/")
    no_address = f"{str(value)!r} is no address such as https://api.bitscale.ai/api/v1"
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no such port, half an IPv6 address
        raise ValueError(no_address) from None
    if not whole or re.search(r"[\s\x00-\x1f\\?#]", url):
        raise ValueError(no_address)
    if "@" in parts.netloc:
        raise ValueError("a base URL must not hold a user name or password")
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or ""):
        raise ValueError(f"{url!r} would carry the key unencrypted; use https://")
    return url


def _parse_path(value: object) -> Path:
    """One name for one file, from wherever it is named: absolute, its folder without links.

    A link at the end of the path stays: what is written beside it is meant to stand there.
    """
    path = Path(str(value))
    if path.name in ("", ".."):
        raise ValueError(f"{str(value)!r} names no file")
    with suppress(RuntimeError):  # a file whose name begins with `~`, and no user of that name
        path = path.expanduser()
    return path.parent.resolve() / path.name


def _parse_prefix(value: object) -> str:
    prefix = str(value)
    if not re.fullmatch(r'[^\s,;"]+', prefix):
        raise ValueError(f"{prefix!r} must be a name without spaces, commas, semicolons and quotes")
    return prefix


def _parse_variable(value: object) -> str:
    """In capitals, as such names are: a key that was pasted here instead is not taken for one."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        raise ValueError("must be the NAME of an environment variable, in capitals; never the key")
    return value


def _parse_text(text: str) -> str:
    """Bytes that are no UTF-8 come from the shell as lone surrogates, and could not be sent."""
    if well_formed(text) != text:
        raise ValueError(f"{text!r} is not valid text: write it in UTF-8")
    return text


Age = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),
    BeforeValidator(_parse_seconds, json_schema_input_type=str | float),
]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float | Literal["auto", "unlimited"], BeforeValidator(parse_rate)]
FailureLimit = Annotated[
    Limit,
    BeforeValidator(parse_limit, json_schema_input_type=str | int),
    PlainSerializer(lambda limit: str(limit)),
]
InFlight = Annotated[int | Literal["auto"], BeforeValidator(parse_in_flight)]
Url = Annotated[str, BeforeValidator(_parse_url)]
FilePath = Annotated[Path, BeforeValidator(_parse_path)]
Prefix = Annotated[str, BeforeValidator(_parse_prefix)]
Text = Annotated[str, AfterValidator(_parse_text)]
Variable = Annotated[str, BeforeValidator(_parse_variable, json_schema_input_type=str)]


class Job(BaseModel):
    """Everything a user can say of a job. Paths are absolute; no secret stands here.

    `rate` in requests per second, `run_timeout` in seconds; `maps` is label to column, `templates`
    label to template.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: FilePath
    output: FilePath
    checkpoint: FilePath
    overwrite: bool = False
    excel_safe: bool = False
    provider: Literal["bitscale"] = "bitscale"
    grid: Text = Field(min_length=1)
    base_url: Url
    api_key_file: FilePath | None = None
    api_key_env: Variable | None = None
    source_id: Text = ""
    output_columns: tuple[Text, ...] = ()
    maps: dict[Text, Text] = {}
    templates: dict[Text, Text] = {}
    rate: Rate = "auto"
    mode: Mode = Mode.ASYNC
    max_in_flight: InFlight = "auto"
    run_timeout: Age = 7200.0
    in_doubt: InDoubt = InDoubt.HOLD
    retry_failed: bool = False
    max_attempts: Count = 3
    refresh_after: Age | None = None
    max_runs: Count | None = None
    max_credits: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_failures: FailureLimit = Limit(share=0.5)
    stop_after: Age | None = None
    max_outage: Age = 900.0
    status_prefix: Prefix = "enrichment"

    @model_validator(mode="before")
    @classmethod
    def _default_paths(cls, values: Any) -> Any:
        """`leads.csv` gives `leads.enriched.csv` and `leads.enriched.csv.checkpoint.db`."""
        values = {name: value for name, value in values.items() if value is not None}
        if "input" in values:
            source = Path(values["input"])
            values.setdefault("output", source.parent / f"{source.stem}.enriched{source.suffix}")
            output = Path(values["output"])
            values.setdefault("checkpoint", output.parent / f"{output.name}.checkpoint.db")
        return values

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

    @property
    def origin(self) -> str:
        """Scheme, host and port of the base URL, the port left out where it is the usual one."""
        parts = urlsplit(self.base_url)
        host = parts.netloc.removesuffix(_DEFAULT_PORTS[parts.scheme])
        return f"{parts.scheme}://{host}".lower()

    @property
    def partial(self) -> Path:
        """Where the output goes while the job is not finished."""
        return self.output.with_name(f"{self.output.stem}.partial{self.output.suffix}")

    @property
    def id(self) -> str:
        """The same for the same input, provider, target and mapping."""
        identity = [
            str(self.input),
            self.provider,
            self.base_url,
            self.grid,
            self.source_id,
            sorted(self.output_columns),
            sorted(self.maps.items()),
            sorted(self.templates.items()),
        ]
        return hashlib.blake2b(json.dumps(identity).encode(), digest_size=6).hexdigest()


Kind = TypeVar("Kind", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with one option; `field` is its name in the model."""

    field: str
    text: str
    is_missing: bool = False

    def __str__(self) -> str:
        name = self.field
        return f"{_OPTIONS.get(name) or '--' + name.replace('_', '-')}: {self.text}"


def make_job(options: Mapping[str, Any]) -> Job:
    """Validate `options`; a value of `None` means not given.

    Raises:
        UsageError: lists every mistake with the option it stands in.
    """
    return validated(Job, options)


def validated(kind: type[Kind], options: Mapping[str, Any]) -> Kind:
    """`make_job` for any model of options."""
    model, mistakes = checked(kind, options)
    if model is None:
        raise UsageError("\n".join(map(str, mistakes)), mend="See `enricher run --help`.")
    return model


def checked(kind: type[Kind], options: Mapping[str, Any]) -> tuple[Kind | None, list[Mistake]]:
    """The validated model, or every mistake in it."""
    try:
        return kind.model_validate({k: v for k, v in options.items() if v is not None}), []
    except ValidationError as error:
        return None, [_mistake(detail) for detail in error.errors(include_url=False)]


def _mistake(detail: Any) -> Mistake:
    name = str(detail["loc"][0])
    if detail["type"] in ("missing", "string_too_short"):
        return Mistake(name, "is required", is_missing=True)
    return Mistake(name, str(detail["msg"]).removeprefix("Value error, "))
