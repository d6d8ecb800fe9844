"""From the command line of `run` and `plan` to an order."""

from typing import TYPE_CHECKING, Any

from enricher.cli.options import TARGETS, job_options
from enricher.cli.telling import warn
from enricher.cli.voice import voice

if TYPE_CHECKING:
    from enricher.api import Order


def order_of(source: str, given: dict[str, Any], shards: int | None = None) -> "Order":
    """The job of `run` and `plan`; from here on the program speaks as it says.

    Without `shards` it has one key; of several targets the last counts then, as of any option.

    Raises:
        click.UsageError, UsageError, JobFileError: see `api.order_of`.
    """
    options = job_options(given)
    if shards is None and not isinstance(options["api_key_file"], list):
        options.update(
            {n: v[-1] for n, v in options.items() if n in TARGETS and isinstance(v, list)}
        )
    from enricher import api

    # An address may hold a password: it is repeated only when it is known to hold none.
    voice.known = {} if "://" in source else {"input": source}
    order = api.order_of(source, options, heed=voice.heed, shards=shards)
    job = order.job
    voice.known = {
        "job": job.id,
        "provider": job.provider,
        "target": job.target,
        **{name: str(getattr(job, name)) for name in ("input", "output", "checkpoint")},
    }
    for remark in order.remarks:
        warn(remark)
    return order
