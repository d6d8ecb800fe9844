"""Options to one validated `Job`; all mistakes are listed at once."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from enricher.errors import UsageError

RATE_FORM = "a number of requests per second above 0 (fractions too), `auto` or `unlimited`"
AGE_FORM = "a number with a unit: 90s, 15m, 2h or 30d"
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


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


def _parse_url(value: object) -> str:
    url = str(value).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{str(value)!r} is no address such as https://api.bitscale.ai/api/v1")
    if parts.username or parts.password:
        raise ValueError("a base URL must not hold a user name or password")
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname):
        raise ValueError(f"{url!r} would carry the key unencrypted; use https://")
    return url


Rate = Annotated[float | Literal["auto", "unlimited"], BeforeValidator(parse_rate)]
Url = Annotated[str, BeforeValidator(_parse_url)]
FilePath = Annotated[Path, BeforeValidator(lambda path: Path(path).expanduser().absolute())]


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
    provider: Literal["bitscale"] = "bitscale"
    grid: str = Field(min_length=1)
    base_url: Url
    api_key_file: FilePath | None = None
    source_id: str = ""
    output_columns: tuple[str, ...] = ()
    maps: dict[str, str] = {}
    templates: dict[str, str] = {}
    rate: Rate = "auto"
    run_timeout: float = Field(default=7200.0, ge=0)
    status_prefix: str = Field(default="enrichment", pattern=r"^[^\s,;\"]+$")

    @model_validator(mode="before")
    @classmethod
    def _default_paths(cls, values: Any) -> Any:
        """`leads.csv` gives `leads.enriched.csv` and `leads.enriched.csv.checkpoint.db`."""
        values = {name: value for name, value in values.items() if value is not None}
        if "input" in values:
            source = Path(values["input"])
            values.setdefault("output", source.with_name(f"{source.stem}.enriched{source.suffix}"))
            output = Path(values["output"])
            values.setdefault("checkpoint", output.with_name(f"{output.name}.checkpoint.db"))
        return values

    @model_validator(mode="after")
    def _no_contradiction(self) -> "Job":
        if both := sorted(self.maps.keys() & self.templates.keys()):
            raise ValueError(f"fed twice, by a column and by a template: {', '.join(both)}")
        return self

    @property
    def origin(self) -> str:
        """Scheme, host and port of the base URL."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}".lower()

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


def make_job(options: Mapping[str, Any]) -> Job:
    """Validate `options`; a value of `None` means not given.

    Raises:
        UsageError: lists every mistake with the option it stands in.
    """
    try:
        return Job.model_validate(dict(options))
    except ValidationError as error:
        mistakes = [_mistake(detail) for detail in error.errors(include_url=False)]
        raise UsageError("\n".join(mistakes), mend="See `enricher run --help`.") from None


def _mistake(detail: Any) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    option = f"--{name.replace('_', '-')}: " if name else ""
    if detail["type"] in ("missing", "string_too_short") and name:
        return f"{option}is required"
    return option + str(detail["msg"]).removeprefix("Value error, ")
