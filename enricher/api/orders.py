"""What a user orders, from the command line, the environment and a job file, to one `Job`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enricher.api.pairing import KEYS, check_parts, listed, paired, workspaces_of
from enricher.errors import CannotGoOn, UsageError
from enricher.job import (
    OF_A_STEP,
    Job,
    Mistake,
    checked,
    flag_of,
    make_job,
    validated,
    waterfall_of,
)
from enricher.jobfile import JobFile, Telling, read_job_file
from enricher.manifest import Workspace
from enricher.providers import registry

JOB_FILE = ".toml"


@dataclass(frozen=True, slots=True)
class Order:
    """A job, and how it is to be told.

    Attributes:
        remarks: what the environment decided against the job file, one line each.
        workspaces: who runs its shards; `job` is that of the first.
    """

    job: Job
    telling: Telling
    remarks: tuple[str, ...] = field(default=())
    workspaces: tuple[Workspace, ...] = field(default=())


def job_of(options: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Job:
    """Validate options; the base URL comes from them, the environment, or the provider's own.

    Raises:
        UsageError: lists every mistake.
        CannotGoOn: no such provider is installed.
    """
    vendor = _vendor_of(options)
    mistakes = [f"{flag_of(name)}: {text}" for name, text in _unfit(vendor, options).items()]
    if mistakes:
        raise UsageError("\n".join(mistakes), mend="See `enricher run --help`.")
    if vendor.own_keys:
        _check_own_keys(vendor, vendor.own_keys, options.get("own_keys") or {})
    return make_job(_addressed(vendor, options, environ), vendor.target_option)


def _vendor_of(options: Mapping[str, Any]) -> registry.Vendor:
    return registry.find(options.get("provider") or registry.DEFAULT)


def _check_own_keys(
    vendor: registry.Vendor, keys: registry.OwnKeys, given: Mapping[str, Any]
) -> None:
    mistakes = keys.check(given).mistakes
    if mistakes:
        listed = "\n".join(f"  {name}: {text}" for name, text in mistakes.items())
        raise CannotGoOn(
            f"The provider {vendor.name} is told by a job file what to ask:\n{listed}",
            mend="Write these keys under [provider] of a job file, and run that; see"
            " docs/providers.md.",
            code="job_file_needed",
        )


def _unfit(vendor: registry.Vendor, options: Mapping[str, Any]) -> dict[str, str]:
    """Options of other providers, which would be ignored in silence, and what it cannot run."""
    unfit = {
        option: f"is an option of the provider {other}, not of {vendor.name}"
        for option, other in registry.foreign_options(vendor).items()
        if options.get(option)
    }
    target = options.get(vendor.target_option)
    if target and vendor.targets and target not in vendor.targets:
        unfit[vendor.target_option] = f"{target!r} is none of {', '.join(vendor.targets)}"
    return unfit


def _addressed(
    vendor: registry.Vendor, options: Mapping[str, Any], environ: Mapping[str, str]
) -> dict[str, Any]:
    """The fields of a job: what is run under one name, and where."""
    base_url = options.get("base_url") or environ.get(vendor.base_url_variable) or vendor.base_url
    named = {
        "provider": vendor.name,
        "target": options.get(vendor.target_option) or _own_target(vendor, options),
        "base_url": base_url or None,
    }
    return {
        **{n: value for n, value in options.items() if n not in registry.TARGET_OPTIONS},
        **named,
    }


def _own_target(vendor: registry.Vendor, options: Mapping[str, Any]) -> str:
    """What a provider's own keys name to run; empty if they do not, or not yet rightly."""
    return vendor.own_keys.check(options.get("own_keys") or {}).target if vendor.own_keys else ""


def order_of(
    source: Path | str,
    options: Mapping[str, Any],
    *,
    environ: Mapping[str, str] = os.environ,
    heed: Callable[[Telling], None] = lambda _: None,
    shards: int | None = None,
) -> Order:
    """The job that `source`, a data file or a job file, and `options` make.

    Options take precedence over the environment, and that over the job file.

    Args:
        options: fields of `Job` and of `Telling`; `None` means not given. A key file and a target
            may be lists.
        shards: in how many the job will be run; without them it has one key.
        heed: gets the telling as soon as it is known, before the job's mistakes are raised.

    Raises:
        UsageError: lists every mistake, if all are in the options.
        JobFileError: lists every mistake, with its place.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if "://" not in str(source) and Path(source).suffix.lower() == JOB_FILE:
        return order_by_file(Path(source), given, environ, heed, shards)
    told, rest = telling_of(given)
    heed(told)
    each, wrong = paired(rest, _vendor_of(rest).target_option)
    if wrong:
        lines = [f"{flag_of(name)}: {text}" for name, text in wrong.items()]
        raise UsageError("\n".join(lines), mend="See docs/scaling.md.", code="keys_unpaired")
    jobs = [job_of({**one, "input": source}, environ) for one in each]
    order = Order(jobs[0], told, workspaces=workspaces_of(jobs))
    check_parts(order.workspaces, shards)
    return order


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


def order_by_file(
    source: Path,
    given: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    heed: Callable[[Telling], None] = lambda _: None,
    shards: int | None = None,
) -> Order:
    """The order of a job file, whatever its extension; see `order_of`."""
    file = read_job_file(source)
    telling, options = _parted({**file.without_rivals(given), **_but_mappings(given)})
    told, mistakes = checked(Telling, telling)
    for mistake in mistakes:
        file.reject_field(mistake.field, mistake.text)
    heed(told or Telling())
    file.check_files({**given, "input": given["read_from"]} if "read_from" in given else given)
    chain = Sections(file, given, environ)
    if file.steps:
        return _by_steps(chain, options, told or Telling())
    found = _found_in(chain, file, options)
    _raise_all(chain, found)
    if told is None or found.job is None:
        raise UsageError("The options do not fit together.")  # never: the mistakes were raised
    check_parts(found.workspaces, shards)
    return Order(found.job, told, found.remarks, found.workspaces)


@dataclass(frozen=True, slots=True)
class Sections:
    """A job file, and what takes precedence over it."""

    file: JobFile
    given: Mapping[str, Any]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a file or a step of it says; `others` are mistakes in options."""

    job: Job | None
    others: tuple[str, ...]
    remarks: tuple[str, ...]
    workspaces: tuple[Workspace, ...]


def _by_steps(chain: Sections, options: dict[str, Any], told: Telling) -> Order:
    """The first of the steps, which knows them all."""
    file, given = chain.file, chain.given
    if unfit := [flag_of(name) for name, value in given.items() if value and name in OF_ONE_STEP]:
        raise UsageError(
            f"{', '.join(unfit)}: is an option of one step, and {file.path} has several.",
            mend="Write it into the step that it is for.",
        )
    for name in _EACH_CAPPED & file.job.keys():
        file.reject_field(name, "caps each step by itself: write it under [steps.options]")
    found = []
    for step in file.steps:
        step.check_files(given)
        own = {**step.without_rivals(given), **_but_mappings(given)}
        found.append(_found_in(chain, step, {**options, **_parted(own)[1]}))
        if len(found[-1].workspaces) > 1:
            step.reject_field(KEYS, "several keys need shards, and a job of steps has none")
    _raise_all(chain, *found)
    jobs = [one.job for one in found if one.job is not None]
    remarks = dict.fromkeys(remark for one in found for remark in one.remarks)
    return Order(waterfall_of(jobs), told, tuple(remarks))


_EACH_CAPPED = {"max_runs", "max_credits"}
OF_ONE_STEP = {
    *("provider", "base_url", "api_key_file", "api_key_env", "source_id", "output_columns"),
    *("maps", "templates", "require", *registry.TARGET_OPTIONS, *_EACH_CAPPED),
}
"""Options that would mean every step of a waterfall, and can be right for one only."""


def _found_in(chain: Sections, section: JobFile, options: dict[str, Any]) -> Found:
    """The job that a file or a step of it makes, its mistakes noted in the file."""
    vendor = _vendor_of(options)
    if own_keys := section.own_keys(vendor.own_keys.names if vendor.own_keys else ()):
        options["own_keys"] = own_keys
    if vendor.own_keys:
        for name, text in vendor.own_keys.check(own_keys).mistakes.items():
            section.reject_own(name, text)
    remarks = _from_environment(options, chain.given, section, vendor, chain.environ)
    each, wrong = paired(options, vendor.target_option)
    made = [_checked_with(chain, section, one, vendor, wrong) for one in each]
    jobs = [job for job, _ in made if job is not None]
    others = dict.fromkeys(text for _, texts in made for text in texts)
    return Found(made[0][0], tuple(others), remarks, workspaces_of(jobs))


def _raise_all(chain: Sections, *found: Found) -> None:
    """Raise all that is wrong with the file and the options together."""
    others = dict.fromkeys(text for one in found for text in one.others)
    if others and not chain.file.mistakes:
        raise UsageError("\n".join(others), mend="See `enricher run --help`.")
    for text in others:
        chain.file.mistakes.append((0, text))
    chain.file.raise_mistakes()


def _but_mappings(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in ("maps", "templates")}


def _checked_with(
    chain: Sections,
    section: JobFile,
    options: Mapping[str, Any],
    vendor: registry.Vendor,
    wrong: Mapping[str, str],
) -> tuple[Job | None, list[str]]:
    """The job, and the mistakes in options; those of the file are noted there.

    `wrong` is what was found before, by option.
    """
    addressed = {
        "checkpoint": chain.file.checkpoint,
        "job_file": chain.file.path,
        **_addressed(vendor, options, chain.environ),
    }
    job, mistakes = checked(Job, addressed, vendor.target_option)
    known = {**wrong, **_unfit(vendor, options)}
    unfit = [Mistake(name, name, text) for name, text in known.items()]
    others = []
    for mistake in (*unfit, *mistakes):
        owner = section if mistake.field in (*OF_A_STEP, *registry.TARGET_OPTIONS) else chain.file
        if mistake.option in chain.given:
            others.append(str(mistake))
        elif not mistake.is_missing:
            owner.reject_field(mistake.option, mistake.text)
        elif mistake.field not in ("output", "checkpoint") and not owner.mentions(mistake.option):
            owner.reject_field(mistake.option, "is required, here or as an option")
    return job, others


def _from_environment(
    options: dict[str, Any],
    given: Mapping[str, Any],
    file: JobFile,
    vendor: registry.Vendor,
    environ: Mapping[str, str],
) -> tuple[str, ...]:
    """Take from `options` what the environment says otherwise than the file."""
    remarks = []
    url = environ.get(vendor.base_url_variable)
    if url and "base_url" in file.job and "base_url" not in given:
        del options["base_url"]
        remarks.append(
            f"{vendor.base_url_variable} is set: going to {url}, not to the base_url of {file.path}"
        )
    key = environ.get(vendor.key_variable)
    if key and len(listed(options.get(KEYS))) > 1 and KEYS not in given:
        remarks.append(
            f"{vendor.key_variable} is set, and not used: {file.path} names several key files"
        )
    elif key and KEYS in options and KEYS not in given:
        del options[KEYS]
        remarks.append(
            f"{vendor.key_variable} is set: its key is used, not the api_key_file of {file.path}"
        )
    return tuple(remarks)
