"""To a cluster that exists, or to worker processes on this machine."""

import asyncio
import importlib.metadata
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import dask
from distributed import Client, LocalCluster

from enricher.cluster.nanny import DeafNanny
from enricher.cluster.plugin import NAME, EnricherPlugin
from enricher.cluster.versions import another_version
from enricher.errors import TryLater

ANSWER_PATIENCE = 5.0
"""Seconds to wait for a word of the scheduler."""

WORKERS_PATIENCE = 30
"""Seconds to wait for the first worker."""

_LOCAL = re.compile(r"local:([1-9][0-9]{0,2})")


_ALONE = {
    "logging.distributed": "critical",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Processes of our own say nothing, and show no pages."""


def is_local(address: str) -> bool:
    """Whether it means processes that are started here."""
    return _LOCAL.fullmatch(address) is not None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that we are connected to."""

    address: str
    client: Any
    workers: int

    @property
    def is_connected(self) -> bool:
        """Whether the connection still is the one that was made."""
        return bool(self.client.status == "running")

    async def say(self, verb: str, **told: Any) -> Any:
        """A word to the plugin in the scheduler.

        Raises:
            OSError: it does not answer.
        """
        async with asyncio.timeout(ANSWER_PATIENCE):
            return await getattr(self.client.scheduler, f"{NAME}_{verb}")(**told)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Cluster]:
    """Connect, make sure that all can work together, and put the plugin into the scheduler.

    Args:
        address: `local:N`, or that of a scheduler.

    Raises:
        TryLater: it cannot be reached, or has no worker.
        CannotGoOn: scheduler or workers have no enricher, or another version of it.
    """
    _hush()
    async with AsyncExitStack() as held:
        local = _LOCAL.fullmatch(address)
        target: Any = address
        if local:
            held.enter_context(dask.config.set(_ALONE))
            target = await held.enter_async_context(_local(int(local[1])))
        client = await _client(target, address, held)
        await _wait_for_a_worker(client, address)
        workers = await _workers_of_our_version(client)
        await client.register_plugin(EnricherPlugin())
        yield Cluster(address, client, workers)


def _local(workers: int) -> Any:
    """Processes of one thread each, which nobody else on this machine can talk to."""
    return _untyped(LocalCluster)(
        n_workers=workers,
        threads_per_worker=1,
        worker_class=DeafNanny,
        asynchronous=True,
        security=True,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address=None,
        scheduler_kwargs={"dashboard": False},
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )


def _hush() -> None:
    """What matters is told by us, and a log in JSON is nothing else."""
    for name in ("distributed", *logging.root.manager.loggerDict):
        if name == "distributed" or name.startswith("distributed."):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _untyped(maker: Any) -> Any:
    """A class of Dask whose calls have no types."""
    return maker


async def _client(target: Any, address: str, held: AsyncExitStack) -> Any:
    try:
        return await held.enter_async_context(
            _untyped(Client)(target, asynchronous=True, set_as_default=False)
        )
    except (OSError, ValueError) as error:  # also TimeoutError
        raise TryLater(
            f"The cluster {address} cannot be reached: {str(error).splitlines()[0]}",
            mend="Is the scheduler running there, and open to this machine? The same command later"
            " goes on.",
            code="cluster_gone",
        ) from None


async def _wait_for_a_worker(client: Any, address: str) -> None:
    try:
        await client.wait_for_workers(1, timeout=WORKERS_PATIENCE)
    except TimeoutError:
        raise TryLater(
            f"The cluster {address} has no workers.",
            mend=f"Start some: dask worker {address} --nthreads 1. The same command later goes on.",
            code="cluster_gone",
        ) from None


async def _workers_of_our_version(client: Any) -> int:
    """How many workers there are; all must run the same enricher: what one writes, others read."""
    ours = importlib.metadata.version("enricher")
    found: Mapping[str, Any] = await client.run(
        importlib.metadata.version, "enricher", on_error="return"
    )
    theirs = {f"worker {worker}": version for worker, version in found.items()}
    try:
        theirs["scheduler"] = await client.run_on_scheduler(importlib.metadata.version, "enricher")
    except importlib.metadata.PackageNotFoundError as missing:
        theirs["scheduler"] = missing
    for who, version in theirs.items():
        if version != ours:
            raise another_version(who, version if isinstance(version, str) else "", ours)
    return len(found)
