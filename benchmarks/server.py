"""The built-in simulator in a process of its own, as far away as `--latency` says.

    python -m benchmarks.server --rate 500 --latency 0.2

Prints one JSON object when it is up (`base_url`, `api_key`, `grid`), and one when its standard
input ends: `accepted` (the number of requests in each second since the first), `rate_limited`, and
`cpu` (its own seconds). A request counts when it arrives; its answer leaves `--latency` seconds
later.
"""

import argparse
import asyncio
import json
import math
import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enricher.simulator import GRIDS, Settings, Workspace, parse_duration
from enricher.simulator.app import PREFIX, SimulatorApp, Stand

_BACKLOG = 2048


class Server:
    """One server process; a value of `running`.

    Attributes:
        address: `base_url`, `api_key` and `grid`.
        seen: what it tells at its end; empty until then.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address: Mapping[str, str] = json.loads(_line(process))
        self.seen: Mapping[str, Any] = {}

    def end(self) -> None:
        """Have it tell what it saw, and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self.seen = json.loads(_line(self._process))
        self._process.wait()


@contextmanager
def running(rate: str = "unlimited", latency: float = 0.0) -> Iterator[Server]:
    """A server for as long as the block lasts; runs take a second."""
    with _started("benchmarks.server", "--rate", rate, "--latency", str(latency)) as server:
        yield server


@contextmanager
def running_thin(rate: float) -> Iterator[Server]:
    """The same of the server that costs next to nothing; see `thin_server`."""
    with _started("benchmarks.thin_server", "--rate", str(rate)) as server:
        yield server


@contextmanager
def _started(module: str, *words: str) -> Iterator[Server]:
    command = [sys.executable, "-m", module, *words]
    process = subprocess.Popen(  # noqa: S603 — a file of this folder
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    server = Server(process)
    try:
        yield server
    finally:
        server.end()


def _line(process: "subprocess.Popen[str]") -> str:
    return process.stdout.readline() if process.stdout is not None else ""


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", default="unlimited", help="requests a second, or unlimited")
    parser.add_argument("--duration", default="1", help="how long runs last, in seconds")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer leaves")
    options = parser.parse_args()
    settings = Settings(
        rate=None if options.rate == "unlimited" else float(options.rate),
        duration=parse_duration(options.duration),
    )
    # The protocol must be named: asyncio switches Nagle's algorithm off for such sockets only.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    workspace = Workspace(settings, f"http://127.0.0.1:{listener.getsockname()[1]}{PREFIX}")
    asyncio.run(
        _serve(_far_away(SimulatorApp([Stand(PREFIX, workspace)]), options.latency), listener)
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seen = {
        "accepted": _by_second(workspace.accepted_at),
        "rate_limited": workspace.rate_limited,
        "cpu": usage.ru_utime + usage.ru_stime,
    }
    print(json.dumps(seen), flush=True)


async def _serve(app: ASGIApp, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=600,
        backlog=_BACKLOG,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}{PREFIX}"
    address = {"base_url": base_url, "api_key": Settings().api_key, "grid": GRIDS[0].id}
    print(json.dumps(address), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


def _far_away(app: ASGIApp, latency: float) -> ASGIApp:
    async def far(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(latency)
            await send(message)

        await app(scope, receive, send_later)

    return far if latency else app


def _by_second(times: tuple[float, ...]) -> list[int]:
    if not times:
        return []
    counts = Counter(math.floor(at - times[0]) for at in times)
    return [counts[second] for second in range(max(counts) + 1)]


if __name__ == "__main__":
    main()
