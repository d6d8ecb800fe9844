"""What a user orders, from the command line, the environment and a job file, to one `Job`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enricher.errors import UsageError
from enricher.job import Job, checked, make_job, validated
from enricher.jobfile import JobFile, Telling, read_job_file
from enricher.providers import bitscale

JOB_FILE = ".toml"


@dataclass(frozen=True, slots=True)
class Order:
    """A job, and how it is to be told.

    Attributes:
        id: the job's id; that of the original input where another stands in for it.
        remarks: what the environment decided against the job file, one line each.
    """

    job: Job
    id: str
    telling: Telling
    remarks: tuple[str, ...] = field(default=())


def job_of(options: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Job:
    """Validate options; the base URL comes from them, the environment, or the provider's own.

    Raises:
        UsageError: lists every mistake.
    """
    return make_job(_with_base_url(options, environ))


def _with_base_url(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    named = options.get("base_url") or environ.get(bitscale.BASE_URL_VARIABLE)
    return {**options, "base_url": named or bitscale.BASE_URL}


def order_of(
    source: Path,
    options: Mapping[str, Any],
    *,
    moved_input: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    heed: Callable[[Telling], None] = lambda _: None,
) -> Order:
    """The job that `source`, a data file or a job file, and `options` make.

    Options take precedence over the environment, and that over the job file.

    Args:
        options: fields of `Job` and of `Telling`; `None` means not given.
        moved_input: stands in for the input that a job file names.
        heed: gets the telling as soon as it is known, before the job's mistakes are raised.

    Raises:
        UsageError: lists every mistake, if all are in the options.
        JobFileError: lists every mistake, with its place.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if source.suffix.lower() == JOB_FILE:
        return _by_file(source, given, moved_input, environ, heed)
    if moved_input is not None:
        raise UsageError(
            f"INPUT {source} and --input {moved_input} name two inputs.",
            mend="--input stands in for the input of a job file; name one of them only.",
        )
    told, rest = telling_of(given)
    heed(told)
    job = job_of({"grid": "", **rest, "input": source}, environ)
    return Order(job, job.id, told)


def telling_of(options: Mapping[str, Any]) -> tuple[Telling, dict[str, Any]]:
    """How a job is to be told, and the options that are left.

    Raises:
        UsageError: lists every mistake.
    """
    telling, rest = _parted(options)
    return validated(Telling, telling), rest


def _parted(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    telling = {name: value for name, value in options.items() if name in Telling.model_fields}
    return telling, {name: value for name, value in options.items() if name not in telling}


def _by_file(
    source: Path,
    given: Mapping[str, Any],
    moved_input: Path | None,
    environ: Mapping[str, str],
    heed: Callable[[Telling], None],
) -> Order:
    file = read_job_file(source)
    telling, options = _parted({**file.without_rivals(given), **_but_mappings(given)})
    told, mistakes = checked(Telling, telling)
    for mistake in mistakes:
        file.reject_field(mistake.field, mistake.text)
    heed(told or Telling())
    remarks = _from_environment(options, given, file, environ)
    if moved_input is not None:
        options.setdefault("input", moved_input)
    file.check_files(given if moved_input is None else {**given, "input": moved_input})
    job = _checked_with(file, _with_base_url(options, environ), given)
    if told is None or job is None:
        raise UsageError("The options do not fit together.")  # never: the mistakes were raised
    if moved_input is None:
        return Order(job, job.id, told, remarks)
    moved = job.model_copy(update={"input": make_job({**dict(job), "input": moved_input}).input})
    return Order(moved, job.id, told, remarks)


def _but_mappings(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in ("maps", "templates")}


def _checked_with(
    file: JobFile, options: Mapping[str, Any], given: Mapping[str, Any]
) -> Job | None:
    """The job; all that is wrong with the file and the options is raised together."""
    job, mistakes = checked(Job, {"checkpoint": file.checkpoint, **options})
    others = []
    for mistake in mistakes:
        if mistake.field in given:
            others.append(str(mistake))
        elif not mistake.is_missing:
            file.reject_field(mistake.field, mistake.text)
        elif mistake.field not in ("output", "checkpoint") and not file.mentions(mistake.field):
            file.reject_field(mistake.field, "is required, here or as an option")
    if others and not file.mistakes:
        raise UsageError("\n".join(others), mend="See `enricher run --help`.")
    for text in others:
        file.mistakes.append((0, text))
    file.raise_mistakes()
    return job


def _from_environment(
    options: dict[str, Any],
    given: Mapping[str, Any],
    file: JobFile,
    environ: Mapping[str, str],
) -> tuple[str, ...]:
    """Take from `options` what the environment says otherwise than the file."""
    remarks = []
    url = environ.get(bitscale.BASE_URL_VARIABLE)
    if url and "base_url" in file.job and "base_url" not in given:
        del options["base_url"]
        remarks.append(
            f"{bitscale.BASE_URL_VARIABLE} is set: going to {url}, not to the base_url of"
            f" {file.path}"
        )
    key = environ.get(bitscale.KEY_VARIABLE)
    if key and "api_key_file" in options and "api_key_file" not in given:
        del options["api_key_file"]
        remarks.append(
            f"{bitscale.KEY_VARIABLE} is set: its key is used, not the api_key_file of {file.path}"
        )
    return tuple(remarks)
