"""The door to `Office` in a scheduler of Dask."""

from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

from enricher.cluster.office import VERBS, Office

NAME = "enricher"


class EnricherPlugin(SchedulerPlugin):
    """One for each scheduler, whoever registers it first; its handlers begin with `enricher_`."""

    name = NAME
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """Called in the scheduler, which needs the same version of enricher as the client."""
        self._office = Office()
        for verb in VERBS:
            scheduler.handlers[f"{NAME}_{verb}"] = getattr(self._office, verb)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        self._office.client_left(client)

    async def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        await self._office.worker_left(worker)
