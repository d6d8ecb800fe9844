"""How much of a rate limit the gate uses, and how often a server finds it too fast.

    python -m benchmarks.limit                     an hour at 5/s, a minute at 50 and at 500/s
    python -m benchmarks.limit --rate 1.5 7.5      other rates; above 25/s a minute, else an hour
    python -m benchmarks.limit --real              in real time: a minute at 5/s

Somebody who always has something to send goes through the real `Gate` to a server that counts in
sliding windows, in fixed ones or by a token bucket. Each way takes 20 ms and a seeded jitter of 0
to 30 ms; a 429 says `Retry-After: 1`. "used" is what was accepted over rate × time, from the first
send on: the second before it counts as spent, and is the price of a start. "most" is the largest
number of sends in any one second, at the sender: never more than the rate. "restarts" is a sliding
server and a gate that dies every second or two, at any moment, and is replaced at once.

Time is virtual, so that an hour takes seconds. In real time each server is a process behind a
loopback socket, all three at once, and the real HTTP client sends: late timers then cost some rate,
and whatever else runs on the machine adds to the jitter.
"""

import argparse
import asyncio
import random
import sys
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from enricher.model import OnSent
from enricher.pace import DEFAULT_RATE, Gate, Permit
from enricher.providers.rate import rate_signal
from enricher.providers.transport import Answer, Transport
from enricher.simulator.limits import Window, limit_text, rate_limit
from enricher.verdicts import RateSignal
from tests.support import virtual

_LATENCY, _JITTER = 0.020, 0.030
"""Seconds, each way: what it takes at least, and how much more at most."""

_MINUTE, _HOUR = 60.0, 3600.0
_HOUR_UP_TO = 25.0
"""Requests a second; above it an hour would take minutes."""

_RESTARTS = 100
_DEADLINE = 30.0
_RETRY_AFTER = 1

Ask = Callable[[OnSent], Awaitable[RateSignal]]
"""Sends one request; gives what its answer says of the rate."""


class Server:
    """A limit, and the network before it. Times are seconds of any one clock."""

    def __init__(self, window: Window, rate: float, seed: int) -> None:
        self._random = random.Random(f"{window} {rate} {seed}")  # noqa: S311 — not for secrets
        self._limit = rate_limit(rate, window)
        self._now = self._phase = self._random.random()  # its ticks are not ours

    async def admits(self, now: Callable[[], float]) -> bool:
        """Whether a request that leaves now is accepted; returns when the answer is here.

        It counts when it has come, not when a timer says so, which on a busy machine is late.
        """
        comes_at, back = now() + self._one_way(), self._one_way()
        await asyncio.sleep(comes_at - now())
        self._now = max(self._now, comes_at + self._phase)
        admitted = self._limit.admit(self._now)
        await asyncio.sleep(back)
        return admitted

    def _one_way(self) -> float:
        return _LATENCY + self._random.uniform(0.0, _JITTER)


@dataclass
class Log:
    """What one sender saw, in seconds of the loop's clock."""

    sent: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    refused: int = 0

    def most_in_a_second(self) -> int:
        return max(n + 1 - bisect_right(self.sent, at - 1.0) for n, at in enumerate(self.sent))


async def _busy(gate: Gate, ask: Ask, log: Log, seconds: float) -> None:
    """Send whenever the gate allows, for so many seconds from the first request on."""
    loop = asyncio.get_running_loop()

    async def one(permit: Permit) -> None:
        sent_at = loop.time()

        def on_sent() -> None:
            log.sent.append(loop.time())
            permit.sent()

        signal = await ask(on_sent)
        gate.observe(signal, sent_at)
        if signal.limited:
            log.refused += 1
        else:
            log.accepted.append(sent_at)

    requests = []  # no task group: what has left goes on when its sender dies
    permit = await gate.acquire()
    end = loop.time() + seconds
    while loop.time() <= end:
        requests.append(loop.create_task(one(permit)))
        permit = await gate.acquire()
    permit.close()
    await asyncio.gather(*requests)


# --- in virtual time -------------------------------------------------------------------------


def _virtually(window: Window, rate: float, seed: int) -> Ask:
    server = Server(window, rate, seed)

    async def ask(on_sent: OnSent) -> RateSignal:
        on_sent()
        admitted = await server.admits(asyncio.get_running_loop().time)
        return RateSignal(rate, None if admitted else _RETRY_AFTER, limited=not admitted)

    return ask


async def _one_life(window: Window, rate: float, seed: int, seconds: float) -> Log:
    log = Log()
    await _busy(Gate(rate), _virtually(window, rate, seed), log, seconds)
    return log


async def _many_lives(window: Window, rate: float, seed: int) -> Log:
    """Each gate dies at any moment, and the next one is there at once."""
    log, ask = Log(), _virtually(window, rate, seed)
    lives = random.Random(seed)  # noqa: S311 — not for secrets
    for _ in range(_RESTARTS):
        life = asyncio.create_task(_busy(Gate(rate), ask, log, _HOUR))
        await asyncio.wait({life}, timeout=1.0 + max(1.0, 1 / rate) * lives.uniform(0.0, 2.0))
        life.cancel()
        await asyncio.wait({life})
    return log


# --- in real time ----------------------------------------------------------------------------


async def _serve(window: Window, rate: float, seed: int) -> None:
    """Be the server; the first line of the output is its port."""
    server = Server(window, rate, seed)
    headers = f"X-RateLimit-Limit: {limit_text(rate)}\r\nContent-Length: 0\r\n\r\n"
    accepted = f"HTTP/1.1 200 OK\r\n{headers}".encode()
    refused = f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {_RETRY_AFTER}\r\n{headers}".encode()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():  # the other headers
                pass
            writer.write(accepted if await server.admits(time.monotonic) else refused)
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


@asynccontextmanager
async def _server_apart(window: Window, rate: float, seed: int) -> AsyncIterator[str]:
    """The base URL of a server in a process of its own."""
    options = ["--serve", window, "--rate", str(rate), "--seed", str(seed)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.limit", *options), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None  # noqa: S101
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.terminate()
        await process.wait()


async def _really(window: Window, rate: float, seed: int, seconds: float) -> Log:
    log = Log()
    async with _server_apart(window, rate, seed) as url, Transport(url) as transport:

        async def ask(on_sent: OnSent) -> RateSignal:
            answer = await transport.exchange(
                "GET", "/", headers={}, deadline=_DEADLINE, on_sent=on_sent
            )
            assert isinstance(answer, Answer), answer  # noqa: S101
            return rate_signal(answer)

        await _busy(Gate(rate), ask, log, seconds)
    return log


async def _all_really(rate: float, seed: int, seconds: float) -> list[Log]:
    return await asyncio.gather(*(_really(window, rate, seed, seconds) for window in Window))


# --- the table -------------------------------------------------------------------------------


def main() -> None:
    """Measure what the options ask for and print a line for each server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, nargs="*", help="requests a second")
    parser.add_argument("--seconds", type=float, help="instead of an hour or a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the jitter")
    parser.add_argument("--real", action="store_true", help="in real time")
    parser.add_argument("--serve", type=Window, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve, options.rate[0], options.seed))
        return
    print(f"{'server':10}{'time':>8}{'rate/s':>8}{'used':>9}{'429/min':>9}{'most':>6}")
    if options.real:
        for rate in options.rate or [DEFAULT_RATE]:
            _print_real(rate, options.seed, options.seconds or _MINUTE)
    else:
        for rate in options.rate or [DEFAULT_RATE, 50.0, 500.0]:
            seconds = options.seconds or (_HOUR if rate <= _HOUR_UP_TO else _MINUTE)
            _print_virtual(rate, options.seed, seconds)


def _print_real(rate: float, seed: int, seconds: float) -> None:
    for window, log in zip(Window, asyncio.run(_all_really(rate, seed, seconds)), strict=True):
        _told(window, "real", rate, log, seconds)


def _print_virtual(rate: float, seed: int, seconds: float) -> None:
    for window in Window:
        _told(window, "virtual", rate, virtual.run(_one_life(window, rate, seed, seconds)), seconds)
    restarted = virtual.run(_many_lives(Window.SLIDING, rate, seed))
    _told("restarts", "virtual", rate, restarted, restarted.sent[-1] - restarted.sent[0])


def _told(server: str, kind: str, rate: float, log: Log, seconds: float) -> None:
    counted = sum(at > log.sent[0] for at in log.accepted)  # the first is where time begins
    used = counted / (rate * seconds)
    print(
        f"{server:10}{kind:>8}{rate:8g}{used:9.2%}{log.refused / seconds * 60:9.2f}"
        f"{log.most_in_a_second():6}",
        flush=True,
    )


if __name__ == "__main__":
    main()
