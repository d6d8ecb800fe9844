"""From the command line of `run` and `plan` to an order."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from enricher.cli.options import job_options
from enricher.cli.telling import warn
from enricher.cli.voice import voice

if TYPE_CHECKING:
    from enricher.api import Order


def order_of(source: Path, given: dict[str, Any], moved_input: Path | None) -> "Order":
    """The job of `run` and `plan`; from here on the program speaks as it says.

    Raises:
        click.UsageError, UsageError, JobFileError: see `api.order_of`.
    """
    options = job_options(given)
    from enricher import api

    voice.known = {"input": str(moved_input or source)}
    order = api.order_of(source, options, moved_input=moved_input, heed=voice.heed)
    job = order.job
    voice.known = {
        "job": order.id,
        "provider": job.provider,
        "target": job.grid,
        **{name: str(getattr(job, name)) for name in ("input", "output", "checkpoint")},
    }
    for remark in order.remarks:
        warn(remark)
    return order
