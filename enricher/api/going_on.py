"""The job that was begun before, as it is to go on: what is kept of it, and what is asked anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enricher.api.chaining import resumed
from enricher.checkpoint import Reader
from enricher.errors import UsageError
from enricher.job import Job, make_job
from enricher.providers import registry

EACH_TIME = frozenset({"max_runs", "stop_after", "in_doubt", "retry_failed", "refresh_after"})
"""Options that are not kept."""


def going_on(
    checkpoint: Path, changes: Mapping[str, Any], job_id: str | None, environ: Mapping[str, str]
) -> tuple[Job, str]:
    """The job that `checkpoint` holds, and what it is known by.

    Args:
        changes: options given anew; `None` keeps the stored one.

    Raises:
        CheckpointError: not a checkpoint, or no such job.
        UsageError: the stored base URL was not named again.
    """
    with Reader(checkpoint) as reader:
        record = reader.job(job_id)
    given = {name: value for name, value in changes.items() if value is not None}
    if record.options.get("steps"):
        steps = resumed(record.options, given, EACH_TIME)
        for one in steps.chain():
            check_named(one.model_dump(mode="json"), given, environ)
        return steps.model_copy(update={"checkpoint": checkpoint}), steps.id
    check_named(record.options, given, environ)
    kept = {name: value for name, value in record.options.items() if name not in EACH_TIME}
    vendor = registry.find(record.options["provider"])
    return make_job({**kept, **given, "checkpoint": checkpoint}, vendor.target_option), record.id


def check_named(
    stored: Mapping[str, Any], given: Mapping[str, Any], environ: Mapping[str, str]
) -> None:
    """A checkpoint or a manifest never sends a key to a place that its user did not name.

    Args:
        stored: options of the job that was begun.
        given: options of this very command.

    Raises:
        UsageError: the base URL is not the provider's own, and was not named.
    """
    url, vendor = stored.get("base_url"), registry.find(stored.get("provider") or "")
    of_environment = environ.get(vendor.base_url_variable, "")
    if stored.get("steps") and of_environment.rstrip("/") == url:
        return  # a URL that is given may be that of another step
    named = given.get("base_url") or of_environment
    if (named or vendor.base_url or "").rstrip("/") != url:
        raise UsageError(
            f"This job runs against {url}" + (f", not {named}." if named else "."),
            mend=f"Name it again if that is right: --base-url {url}, or"
            f" {vendor.base_url_variable} in the environment.",
            code="base_url_not_named",
        )
