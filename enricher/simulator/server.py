"""The simulator on a loopback port: for a person until a signal, for a program in a thread."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from enricher.simulator import openapi
from enricher.simulator.app import TRANSPORT, SimulatorApp, Stand
from enricher.simulator.eightbitedge import BatchService
from enricher.simulator.messages import Rules
from enricher.simulator.rules import Workspace
from enricher.simulator.scale import WorkflowService
from enricher.simulator.settings import Settings
from enricher.simulator.workspaces import Workspaces
from enricher.simulator.world import Api, World

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048


def serve(
    world: World | Settings,
    port: int = 0,
    on_ready: Callable[["RunningSimulator"], None] = lambda simulator: None,
) -> None:
    """Serve until SIGINT or SIGTERM, then return.

    Port 0 is any free port. `on_ready` is called once requests are answered. OSError means that
    the port cannot be had.
    """
    simulator = RunningSimulator(world, port)
    simulator.serve_here(lambda: on_ready(simulator))


@contextlib.contextmanager
def running_simulator(world: World | Settings, port: int = 0) -> Iterator["RunningSimulator"]:
    """The simulator in a thread of this process, for as long as the block lasts.

    Settings of BitScale alone stand for a world of that API.
    """
    simulator = RunningSimulator(world, port)
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()


class RunningSimulator:
    """A server that has its port from the start, and answers between `start` and `stop`.

    All services are there to look at; those of the world's APIs are served.

    Args:
        workspace: one that outlived an earlier server of this port; else a fresh one is made.
    """

    def __init__(
        self, world: World | Settings, port: int = 0, workspace: Workspace | None = None
    ) -> None:
        self.world = World(bitscale=world) if isinstance(world, Settings) else world
        self._socket = _listening_socket(port)
        self.port: int = self._socket.getsockname()[1]
        self.base_url = self.base_url_of(Api.BITSCALE)
        self.workspace = workspace or Workspace(self.world.bitscale, self.base_url)
        self.batches = BatchService(self.world.eightbitedge)
        self.workflows = WorkflowService(self.world.scale)
        self.others = tuple(Workspace(one, self.base_url) for one in self.world.others)
        services: dict[Api, Rules] = {
            Api.BITSCALE: Workspaces((self.workspace, *self.others)),
            Api.EIGHTBITEDGE: self.batches,
            Api.SCALE: self.workflows,
        }
        stands = [
            Stand(api.prefix, services[api], openapi.document(api)) for api in self.world.apis
        ]
        self.app = SimulatorApp(stands, faults=self.world.faults)
        self._server = _Server(_config(self.app))
        self._thread = threading.Thread(target=self.serve_here, name="simulator", daemon=True)

    def base_url_of(self, api: Api) -> str:
        """Where an API answers, if it is served."""
        return f"http://{HOST}:{self.port}{api.prefix}"

    @property
    def api_key(self) -> str:
        """The key that is valid now: a rotation changes it."""
        return self.workspace.api_key

    def start(self) -> None:
        """Serve in a thread; returns when requests are answered."""
        ready = threading.Event()
        self._server.on_started = ready.set
        self._thread.start()
        while not ready.wait(timeout=0.1):
            if not self._thread.is_alive():
                raise RuntimeError("the simulator ended before it was up")

    def stop(self) -> None:
        """Close every connection and the port; held requests end without an answer."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def serve_here(self, on_started: Callable[[], None] | None = None) -> None:
        """Serve in this thread until a signal or `stop`."""
        if on_started is not None:
            self._server.on_started = on_started
        with self._socket:
            asyncio.run(self._server.serve(sockets=[self._socket]))


class _Protocol(H11Protocol):
    """Hands its connection to the application, which may have to break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {TRANSPORT: transport}


class _Server(uvicorn.Server):
    """uvicorn that tells when it is up, and goes down at once and in silence."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.on_started: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What is still open here is idle or held; a held request would keep us up to 120 s.
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The inherited one raises the signal again after a clean exit, which kills the caller.
        self.should_exit = True


def _listening_socket(port: int) -> socket.socket:
    # The protocol must be named: asyncio switches Nagle's algorithm off for such sockets only, and
    # with it every answer waits 40 ms for the client's acknowledgement of the headers.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # Elsewhere this option would let two servers share a port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as problem:
        listener.close()
        raise OSError(f"cannot listen on {HOST}:{port}: {_cause(problem)}") from problem
    return listener


def _cause(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem)


def _config(app: SimulatorApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        backlog=_BACKLOG,
    )
