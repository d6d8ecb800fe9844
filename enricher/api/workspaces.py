"""What a workspace tells: its own facts, its grids, and what a run of one needs; all of it free.

Each verb gives the API's own object, with the key blackened in it. All raise:
    KeyProblem: there is no usable key.
    ProviderRefused: the key, the plan, the grid or an output column is not right.
    ServerGone: no usable answer came for too long.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from enricher import pace
from enricher.api.limits import HOST, shared
from enricher.api.outside import REAL
from enricher.errors import UsageError
from enricher.forms import parse_path, parse_url
from enricher.limiter import budget_name
from enricher.model import RequestCounts, Warn
from enricher.preflight import asker
from enricher.providers import bitscale, registry
from enricher.providers.bitscale_workspace import MOST_GRIDS, Workspace
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport

__all__ = ["MOST_GRIDS", "Access", "access_of", "contract", "grid", "grids", "workspace"]

PATIENCE = 30.0
"""Seconds for which a server that does not answer is asked again: somebody waits at a terminal."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """How a workspace is reached.

    Attributes:
        patience: seconds for which a server that does not answer is asked again.
    """

    base_url: str
    key_file: Path | None
    patience: float
    environ: Mapping[str, str]
    warn: Warn

    def key(self) -> ApiKey:
        """The key, loaded anew.

        Raises:
            KeyProblem: there is none, or it is not usable.
        """
        return ApiKey(bitscale.KEY_VARIABLE, self.key_file, self.environ)


def access_of(
    options: Mapping[str, Any],
    *,
    environ: Mapping[str, str] = os.environ,
    warn: Warn = lambda _: None,
) -> Access:
    """Validate `base_url`, `api_key_file` and `max_outage`, each `None` if not given.

    Raises:
        UsageError: one is not of its form.
    """
    url = options.get("base_url") or environ.get(bitscale.BASE_URL_VARIABLE) or bitscale.BASE_URL
    file, patience = options.get("api_key_file"), options.get("max_outage")
    try:
        return Access(
            base_url=parse_url(url),
            key_file=None if file is None else parse_path(file),
            patience=PATIENCE if patience is None else patience,
            environ=environ,
            warn=warn,
        )
    except ValueError as error:
        raise UsageError(
            f"{error}", mend="See --base-url and --api-key-file of `enricher workspace --help`."
        ) from None


def workspace(access: Access) -> Mapping[str, Any]:
    """The plan, credits and members of the workspace that the key is of."""
    return asking(access, lambda there: there.details())


def grids(access: Access, search: str = "", page: int = 1, limit: int = 20) -> Mapping[str, Any]:
    """One page of the workspace's grids, from 1; `limit` grids a page, `MOST_GRIDS` at most."""
    return asking(access, lambda there: there.grids(search, page, limit))


def all_grids(access: Access, search: str = "", limit: int = MOST_GRIDS) -> Mapping[str, Any]:
    """`{"grids": […], "total": n}` of all pages, fetched `limit` grids at a time."""
    return asking(access, lambda there: there.every_grid(search, limit))


def grid(access: Access, grid_id: str) -> Mapping[str, Any]:
    """A grid with its settings, columns and sources."""
    return asking(access, lambda there: there.grid(grid_id))


def contract(access: Access, grid_id: str, outputs: Sequence[str] = ()) -> Mapping[str, Any]:
    """What a run of the grid needs, for these outputs (names or ids) or for all."""
    return asking(access, lambda there: there.contract(grid_id, outputs))


def asking(
    access: Access, question: Callable[[Workspace], Awaitable[T]], key: ApiKey | None = None
) -> T:
    """What `question` brings from the workspace, asked within the rate limit."""

    async def asked() -> T:
        async with _reached(access, key or access.key()) as there:
            return await question(there)

    return asyncio.run(asked())


@asynccontextmanager
async def connected(
    access: Access, key: ApiKey, connections: int = 1
) -> AsyncIterator[tuple[Transport, pace.Gate]]:
    """A way to the server, and the rate limit that is shared with the jobs of this host."""
    name = budget_name(registry.DEFAULT, access.base_url, key.value)
    sharing = shared(HOST, name, access.environ, access.patience, access.warn, REAL)
    gate = pace.Gate(pace.DEFAULT_RATE, follow=True, warn=access.warn, sharing=sharing)
    async with AsyncExitStack() as held:
        held.push_async_callback(gate.aclose)
        transport = Transport(access.base_url, connections=connections)
        yield await held.enter_async_context(transport), gate


@asynccontextmanager
async def _reached(access: Access, key: ApiKey) -> AsyncIterator[Workspace]:
    async with connected(access, key) as (transport, gate):
        ask = asker(gate, access.patience, RequestCounts(), access.warn, access.base_url)
        yield Workspace(transport, key, ask)
