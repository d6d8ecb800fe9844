"""How a job is told: options of `run` that are no part of the job."""

import enum

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from enricher.forms import FilePath


class LogFormat(enum.StrEnum):
    """How lines for people are written."""

    TEXT = "text"
    JSON = "json"


class Telling(BaseModel):
    """How a job is told; no part of it, and not kept in the checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    yes: bool = False
    as_json: bool = Field(default=False, alias="json")
    summary_file: FilePath | None = None
    metrics_file: FilePath | None = None
    log_format: LogFormat = LogFormat.TEXT
    quiet: bool = False
    verbose: bool = False
    no_progress: bool = False

    @field_validator("verbose")
    @classmethod
    def _one_of_two(cls, verbose: bool, info: ValidationInfo) -> bool:
        if verbose and info.data.get("quiet"):
            raise ValueError("--quiet and --verbose contradict each other; drop one of them")
        return verbose
