"""Several keys of one job: each with what it runs, and whether they fit one another."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from enricher.api.inputs import open_source
from enricher.api.wiring import Prepared, prepared
from enricher.errors import CannotGoOn, MappingError, UsageError
from enricher.forms import parse_path
from enricher.job import Job, make_job
from enricher.manifest import Workspace
from enricher.model import Credits, Warn

KEYS = "api_key_file"


def paired(
    options: Mapping[str, Any], target_option: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The options of each workspace, the first first; and what is wrong with them, by option.

    Keys and targets are paired in their order; one target may be for all keys.
    """
    keys, targets = listed(options.get(KEYS)), listed(options.get(target_option))
    wrong = {}
    if len(targets) > 1 and len(targets) != len(keys):
        files = "key file" if len(keys) == 1 else "key files"
        wrong[target_option] = (
            f"{len(targets)} for {len(keys)} {files}; give one for all keys, or one with each"
        )
    places = [_place(key) for key in keys]
    if twice := [key for key, place in zip(keys, places, strict=True) if places.count(place) > 1]:
        wrong[KEYS] = f"{twice[0]} is given twice; each workspace has a key of its own"
    if len(targets) > 1 and options.get("source_id"):
        wrong["source_id"] = "belongs to one grid, and there are several"
    each = []
    for number in range(1 if wrong else max(1, len(keys))):
        one = dict(options)
        if keys:
            one[KEYS] = keys[number]
        if targets:
            one[target_option] = targets[number % len(targets)]
        each.append(one)
    return each, wrong


def _place(key: Any) -> Any:
    """One name for one file; what names none is told of where the job is checked."""
    try:
        return parse_path(key)
    except ValueError:
        return key


def listed(value: Any) -> list[Any]:
    """What is given for an option: nothing, one or several."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def workspaces_of(jobs: Sequence[Job]) -> tuple[Workspace, ...]:
    """What differs between jobs that are one in shards."""
    return tuple(
        Workspace(None if job.api_key_file is None else str(job.api_key_file), job.target)
        for job in jobs
    )


def check_parts(workspaces: Sequence[Workspace], shards: int | None) -> None:
    """Raise `UsageError` if there are more keys than parts; `None` is a job that has no parts."""
    if len(workspaces) <= (shards or 1):
        return
    if shards is None:
        raise UsageError(
            f"--api-key-file: {len(workspaces)} keys can only run a job in shards.",
            mend="Plan it with --shards N -o manifest.json, then run --manifest manifest.json"
            " --shard I for each; or give one key.",
            code="keys_need_shards",
        )
    raise UsageError(
        f"--shards {shards}: there are {len(workspaces)} keys, and each runs a shard at least.",
        mend="Plan more shards; a few for each key are best.",
        code="keys_unpaired",
    )


# --- what they say ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkspaceTold:
    """What a workspace told of itself; `account` is its id, empty where it has none."""

    workspace: Workspace
    account: str
    title: str
    credits: Credits | None

    def to_json(self) -> dict[str, Any]:
        """An object of `workspaces` of `plan --json`."""
        return {
            "api_key_file": self.workspace.api_key_file,
            "target": self.workspace.target,
            "account": self.account,
            "credits": None if self.credits is None else self.credits.remaining,
        }


def asked_each(
    job: Job, workspaces: Sequence[Workspace], environ: Mapping[str, str], warn: Warn
) -> tuple[WorkspaceTold, ...]:
    """Ask each what is free, and make sure that all take and give the same.

    Raises:
        MappingError: they do not.
        KeyProblem, ProviderRefused, ServerGone: one of them cannot be asked.
    """
    return asyncio.run(_asked_each(job, workspaces, environ, warn))


async def _asked_each(
    job: Job, workspaces: Sequence[Workspace], environ: Mapping[str, str], warn: Warn
) -> tuple[WorkspaceTold, ...]:
    table = open_source(job)
    told: list[WorkspaceTold] = []
    first: Prepared | None = None
    for workspace in workspaces:
        asked = {KEYS: workspace.api_key_file, "target": workspace.target}
        one = make_job({**job.model_dump(mode="json"), **asked})
        with _named(workspace):
            async with prepared(one, table, environ, warn) as ready:
                first = first or ready
                _check_alike(first, ready)
                briefing = ready.briefing
                told.append(
                    WorkspaceTold(workspace, briefing.account, briefing.title, briefing.credits)
                )
    _warn_of_equals(told, warn)
    return tuple(told)


@contextmanager
def _named(workspace: Workspace) -> Iterator[None]:
    """What is in the way is told with the workspace in which it is."""
    try:
        yield
    except CannotGoOn as error:
        where = f"{workspace.target}, with the key in {workspace.api_key_file}"
        message = f"{where}: {error.message}"
        raise type(error)(message, mend=error.mend, code=error.code) from None


def _check_alike(first: Prepared, other: Prepared) -> None:
    """Equal rows must be equal in both, and the outputs of both stand in the same columns."""
    ours, theirs = first.mapping.described(), other.mapping.described()
    if ours != theirs:
        raise _unlike(first, other, "inputs", ours, theirs)
    names = [[column.name for column in ready.briefing.outputs] for ready in (first, other)]
    if Counter(names[0]) != Counter(names[1]):
        raise _unlike(first, other, "outputs", *names)


def _unlike(
    first: Prepared,
    other: Prepared,
    what: str,
    ours: Mapping[str, Any] | Sequence[str],
    theirs: Mapping[str, Any] | Sequence[str],
) -> MappingError:
    return MappingError(
        f"it has other {what} than {first.job.target}:"
        f" {', '.join(map(repr, theirs)) or 'none'}, not {', '.join(map(repr, ours)) or 'none'}.",
        mend="Make the grids alike: the same inputs, fed by the same columns, and outputs of the"
        " same names.",
        code="grids_differ",
    )


def _warn_of_equals(told: Sequence[WorkspaceTold], warn: Warn) -> None:
    counts = Counter(one.account for one in told if one.account)
    for account, count in counts.items():
        if count > 1:
            warn(
                f"{count} of the keys are of one workspace, {account}: if its limit counts them"
                " together, they are no faster than one key"
            )
