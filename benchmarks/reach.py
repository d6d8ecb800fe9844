"""Processes that keep one rate limit together: how much of it they use, and who gets how much.

    python -m benchmarks.reach                        4 processes at 5/s for 60 s, through the file
    python -m benchmarks.reach --redis                the same through a Redis server started for it
    python -m benchmarks.reach --rate 500 --processes 1
    python -m benchmarks.reach --real --rate 1000 --processes 3   with requests (see `real_reach`)

Each process always has something to send; nothing is sent, since what counts is when it would
leave. "most" is the largest number of sends in any second, of all processes together; "over" the
seconds that begin with a send and hold more than the limit. "least" and "greatest" are the shares
of a process.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from bisect import bisect_right
from contextlib import ExitStack
from pathlib import Path

from benchmarks import real_reach
from enricher.budget import Budget
from enricher.limiter.host import HostBudget
from enricher.pace import Gate, Sharing
from tests.support.redis_server import redis_server

_READY = 1.5
"""Seconds that processes need to start; measured is from then on."""


def _budget(where: str) -> Budget:
    if where.startswith("redis://"):
        from enricher.limiter.shared_server import ServerBudget

        return ServerBudget(where, "benchmark", {})
    return HostBudget(Path(where), asyncio.get_running_loop().time)


async def _busy(where: str, rate: float, begin: float, end: float) -> list[float]:
    """The times of the sends of one process, in seconds of the host's clock."""
    times: list[float] = []
    gate = Gate(rate, sharing=Sharing(_budget(where), 60, lambda _: None))
    await asyncio.sleep(begin - time.monotonic())
    while time.monotonic() < end:
        (await gate.acquire()).sent()
        times.append(time.monotonic())
    await gate.aclose()
    return times


async def _together(where: str, rate: float, count: int, seconds: float) -> list[list[float]]:
    begin = time.monotonic() + _READY
    words = ("--where", where, "--rate", str(rate), "--begin", str(begin))
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.reach", *words, "--end", str(begin + seconds)),
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(count)
    ]
    return [json.loads((await process.communicate())[0]) for process in processes]


def _told(name: str, rate: float, logs: list[list[float]]) -> None:
    times = sorted(at for log in logs for at in log)
    held = [n + 1 - bisect_right(times, at - 1.0) for n, at in enumerate(times)]
    used = (len(times) - 1) / (times[-1] - times[0]) / rate
    each = sorted(map(len, logs))
    print(
        f"{name:8}{len(logs):10}{rate:8g}{used:9.1%}{max(held):6}{sum(n > rate for n in held):6}"
        f"{each[0]:8}{each[-1]:10}",
        flush=True,
    )


def main() -> None:
    """Measure what the options ask for, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--redis", action="store_true", help="through a Redis server")
    parser.add_argument("--real", action="store_true", help="real jobs: shards of one list")
    parser.add_argument("--rows", type=int, default=15_000, help="of the list of --real")
    for name in ("--where", "--begin", "--end"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.where:
        begin, end = float(options.begin), float(options.end)
        print(json.dumps(asyncio.run(_busy(options.where, options.rate, begin, end))))
        return
    if options.real:
        real_reach.measure(options.rate, options.processes, options.rows)
        return
    with ExitStack() as held:
        if options.redis:
            where = held.enter_context(redis_server()).url
        else:
            where = f"{held.enter_context(tempfile.TemporaryDirectory())}/limit.db"
        print(
            f"{'through':8}{'processes':>10}{'rate/s':>8}{'used':>9}{'most':>6}{'over':>6}"
            f"{'least':>8}{'greatest':>10}"
        )
        rate, count = options.rate, options.processes
        logs = asyncio.run(_together(where, rate, count, options.seconds))
        _told("redis" if options.redis else "file", rate, logs)


if __name__ == "__main__":
    main()
