"""A stand-in of BitScale that costs next to nothing, for clients that are to be the bottleneck.

    python -m benchmarks.thin_server --rate 1000

What is free to ask is answered by the simulator's rules. A run costs some 30 µs of CPU a request,
a tenth of the simulator's: nothing is parsed but the first line of a request and the length of its
body, and every run ends after a second with the same outputs. It says what `server.py` says, and
counts in the same way.
"""

import argparse
import asyncio
import json
import math
import resource
import sys
import time
from collections import Counter, deque
from typing import cast

from enricher.simulator import GRIDS, Settings, Workspace, outputs_for
from enricher.simulator.app import PREFIX
from enricher.simulator.limits import rate_limit
from enricher.simulator.messages import Request, Response

_SECONDS = 1.0
"""How long a run lasts."""

_STATUS = f"{PREFIX}/run/status/"
_RUN = f"{PREFIX}/grids/{GRIDS[0].id}/run"


class Service:
    """Runs and their limit, in seconds of the monotonic clock."""

    def __init__(self, rate: float) -> None:
        settings = Settings(rate=None)
        self._rules = Workspace(settings)
        self._limit = rate_limit(rate, settings.window)
        self._limited = f"x-ratelimit-limit: {rate:g}\r\n".encode()
        self._ended: dict[str, float] = {}
        self._key = settings.api_key
        outputs = outputs_for(GRIDS[0], {"company_name": "Acme", "website": "acme.example"}, None)
        self._outputs = json.dumps(outputs)
        self.accepted_at: list[float] = []
        self.refused = 0

    def answer(self, method: str, path: str, body: bytes) -> bytes:
        """The bytes of the answer to a request."""
        now = time.monotonic()
        if not self._limit.admit(now):
            self.refused += 1
            return self._packed(429, b'{"error":{"code":"RATE_LIMIT_EXCEEDED","message":""}}')
        self.accepted_at.append(now)
        if path.startswith(_STATUS):
            return self._packed(200, self._status(path[len(_STATUS) :], now))
        if path == _RUN:
            id_ = f"run-{len(self._ended)}"
            self._ended[id_] = now + _SECONDS
            return self._packed(200, self._status(id_, now))
        return self._free(method, path, body, now)

    def _status(self, id_: str, now: float) -> bytes:
        rest = f'"completed","outputs":{self._outputs}' if now >= self._ended[id_] else '"running"'
        return f'{{"mode":"async","request_id":"{id_}","status":{rest}}}'.encode()

    def _free(self, method: str, path: str, body: bytes, now: float) -> bytes:
        headers = {"x-api-key": self._key}
        found = self._rules.handle(
            Request(method, path.removeprefix(PREFIX), {}, headers, body), now
        )
        answer = cast(Response, found)  # only a synchronous run is held
        return self._packed(answer.status, answer.body)

    def _packed(self, status: int, body: bytes) -> bytes:
        head = b"HTTP/1.1 %d .\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n"
        return head % (status, self._limited, len(body)) + body


class Connection(asyncio.Protocol):
    """One request after the other; a client that sends two at once is not expected."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._received = b""
        method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        self._transport.write(self._service.answer(method, target.partition("?")[0], body))


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


async def _serve(service: Service) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=2048)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PREFIX}"
    address = {"base_url": base_url, "api_key": Settings().api_key, "grid": GRIDS[0].id}
    print(json.dumps(address), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def _most_in_a_second(times: list[float]) -> int:
    window: deque[float] = deque()
    most = 0
    for at in times:
        window.append(at)
        while at - window[0] >= 1.0:
            window.popleft()
        most = max(most, len(window))
    return most


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second")
    service = Service(parser.parse_args().rate)
    asyncio.run(_serve(service))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    times = service.accepted_at
    counts = Counter(math.floor(at - times[0]) for at in times)
    seen = {
        "accepted": [counts[second] for second in range(max(counts, default=-1) + 1)],
        "most": _most_in_a_second(times),
        "rate_limited": service.refused,
        "cpu": usage.ru_utime + usage.ru_stime,
    }
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
