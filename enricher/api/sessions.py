"""A workspace for who asks it again and again: one connection, and one rate limit for all."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from enricher import pace
from enricher.api.planning import Plan, plan_job
from enricher.api.workspaces import Access, connected
from enricher.errors import CannotGoOn, ProviderRefused, UsageError
from enricher.job import Job
from enricher.model import RequestCounts, Warn
from enricher.preflight import asker
from enricher.providers.bitscale_facts import labels_of
from enricher.providers.bitscale_workspace import ANSWER_LOST, Workspace
from enricher.providers.transport import Transport

_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Session:
    """An open session; everything that is asked through it shares its gate."""

    access: Access
    _transport: Transport
    _gate: pace.Gate

    def workspace(self) -> Workspace:
        """The workspace of the key as it is now: a key that was rotated is read anew.

        Raises:
            KeyProblem: there is none, or it is not usable.
        """
        access = self.access
        ask = asker(self._gate, access.patience, RequestCounts(), access.warn, access.base_url)
        return Workspace(self._transport, access.key(), ask)

    async def plan(self, job: Job, warn: Warn) -> Plan:
        """What `run` would do; see `api.plan`."""
        return await plan_job(job, os.environ, warn, self._gate)

    async def start_run(
        self, grid: str, inputs: Mapping[str, str], outputs: Sequence[str], source: str
    ) -> Mapping[str, Any]:
        """One paid run, outside of any checkpoint; see `Workspace.start_run`.

        Raises:
            UsageError: an input that the grid does not have: it would be paid and not used.
            CannotGoOn: the answer was lost, code `in_doubt`; the run may have been paid.
            KeyProblem, ProviderRefused, ServerGone: nothing was paid.
        """
        there = self.workspace()
        known = labels_of(await there.contract(grid, outputs))
        if unknown := [label for label in inputs if known and label not in known]:
            raise UsageError(
                f"The grid has no input {', '.join(map(repr, unknown))}.",
                mend=f"Its inputs are {', '.join(map(repr, known))}: labels, not column ids.",
                code="unknown_input",
            )
        try:
            return await there.start_run(grid, inputs, outputs, source)
        except ProviderRefused as error:
            if error.code != ANSWER_LOST:
                raise
            raise CannotGoOn(
                "The answer to the submission was lost"
                f" ({error.message.removeprefix(f'{ANSWER_LOST}: ')}): the run may be under way,"
                " and paid.",
                mend="It is not sent again. Look at the grid's last rows in the app before you run"
                " the same inputs once more.",
                code="in_doubt",
            ) from None


@asynccontextmanager
async def session(access: Access) -> AsyncIterator[Session]:
    """Open a session in the event loop that runs; it asks nothing by itself.

    Raises:
        KeyProblem: there is no usable key.
    """
    async with connected(access, access.key(), _CONNECTIONS) as (transport, gate):
        yield Session(access, transport, gate)
