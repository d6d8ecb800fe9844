"""Where a rate limit is kept together with other processes."""

import asyncio
import math
from collections.abc import Mapping

from enricher import pace
from enricher.api.outside import Outside
from enricher.budget import Budget, BudgetBroken
from enricher.errors import CannotGoOn
from enricher.extras import extra
from enricher.job import Job
from enricher.limiter import budget_name
from enricher.limiter.host import HostBudget, file_of
from enricher.model import Warn
from enricher.providers.keys import ApiKey

LOCAL, HOST = "local", "host"


def open_budget(limiter: str, name: str, environ: Mapping[str, str]) -> Budget | None:
    """The budget `name` of a limiter; `None` where a process keeps its limit alone.

    Raises:
        BudgetBroken: it cannot be opened, and the process must keep its limit alone.
        CannotGoOn: what speaks to the server is not installed.
    """
    if limiter == LOCAL:
        return None
    if limiter != HOST:
        return _on_server(limiter, name, environ)
    return HostBudget(file_of(name), asyncio.get_running_loop().time)


def _on_server(url: str, name: str, environ: Mapping[str, str]) -> Budget:
    with extra("redis", "--limiter redis://…", CannotGoOn):
        from enricher.limiter.shared_server import ServerBudget
    return ServerBudget(url, name, environ)


def gate_of(
    job: Job, key: ApiKey, environ: Mapping[str, str], warn: Warn, outside: Outside
) -> pace.Gate:
    """The gate of a job; close it at the end."""
    sharing = None
    if job.rate != "unlimited":
        name = budget_name(job.provider, job.base_url, key.value)
        sharing = shared(job.limiter, name, environ, job.max_outage, warn, outside)
    match job.rate:
        case "auto":
            return pace.Gate(pace.DEFAULT_RATE, follow=True, warn=warn, sharing=sharing)
        case "unlimited":
            return pace.Gate(math.inf, warn=warn)
        case rate:
            return pace.Gate(rate, warn=warn, sharing=sharing)


def shared(
    limiter: str,
    name: str,
    environ: Mapping[str, str],
    patience: float,
    warn: Warn,
    outside: Outside,
) -> pace.Sharing | None:
    """The part in a shared limit; `None`, and a warning, if it is not to be had."""
    try:
        budget = (outside.budget or open_budget)(limiter, name, environ)
    except BudgetBroken as broken:
        warn(f"{broken}; this process keeps a limit of its own")
        return None
    return None if budget is None else pace.Sharing(budget, patience, warn)
