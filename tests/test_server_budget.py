"""One limit on a real Redis server, in real time."""

import asyncio
import time
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("redis")

from redis import Redis

from enricher.budget import LEASE, Said
from enricher.errors import ServerGone
from enricher.limiter.shared_server import ServerBudget
from enricher.pace import Gate, Sharing
from enricher.verdicts import RateSignal
from tests.support.redis_server import needs_redis, redis_server

pytestmark = needs_redis
RATE = 20


@pytest.fixture(scope="module")
def server():
    with redis_server() as started:
        yield started


def now():
    return asyncio.get_running_loop().time()


def gate(server, name, warnings, rate=RATE, patience=60.0):
    budget = ServerBudget(server.url, name, {})
    return Gate(rate, warn=warnings.append, sharing=Sharing(budget, patience, warnings.append))


class Log(list[float]):
    """The times of sends; `grown` is told of each."""

    def __init__(self):
        super().__init__()
        self.grown = asyncio.Event()

    def append(self, at):
        super().append(at)
        self.grown.set()

    async def reaches(self, count):
        while len(self) < count:
            self.grown.clear()
            await self.grown.wait()


async def busy(gate, log, seconds):
    until = now() + seconds
    try:
        while now() < until:
            (await gate.acquire()).sent()
            log.append(now())
    finally:
        await gate.aclose()


def most_in_a_second(times):
    times = sorted(times)
    return max(bisect_right(times, at) - bisect_right(times, at - 1.0) for at in times)


def test_processes_keep_one_limit_together(server):
    warnings: list[str] = []
    logs: list[list[float]] = [[], [], []]

    async def work():
        async with asyncio.TaskGroup() as tasks:
            for log in logs:
                tasks.create_task(busy(gate(server, "together", warnings), log, 6))

    asyncio.run(work())
    times = [at for log in logs for at in log]
    assert most_in_a_second(times) <= RATE
    assert len(times) >= 0.8 * RATE * 4.9
    assert max(map(len, logs)) <= 2 * min(map(len, logs))
    assert len([line for line in warnings if "keep one rate limit together" in line]) == 3


def restart(server):
    server.stop()
    server.start()


def forget(server):
    with Redis.from_url(server.url) as client:
        client.flushall()


@pytest.mark.parametrize("lose", [restart, forget])
def test_a_server_that_loses_its_memory_in_mid_job(server, lose):
    warnings: list[str] = []
    log = Log()

    async def work():
        working = asyncio.create_task(busy(gate(server, "lost", warnings), log, 7))
        await log.reaches(RATE)
        lose(server)
        await working

    asyncio.run(work())
    assert most_in_a_second(log) <= RATE
    assert len(log) > 2 * RATE, "it goes on"


def test_nothing_is_sent_without_the_server_and_in_the_end_the_job_stops(server):
    warnings: list[str] = []
    log = Log()

    async def work():
        working = asyncio.create_task(busy(gate(server, "gone", warnings, patience=2), log, 60))
        await log.reaches(3)
        server.stop()
        stopped = now()
        with pytest.raises(ServerGone) as error:
            await working
        return stopped, error.value

    try:
        stopped, error = asyncio.run(work())
    finally:
        server.start()
    assert [at for at in log if at > stopped + 0.1] == []
    assert error.exit_code == 4
    assert any("nothing is sent until it answers" in line for line in warnings)


def test_a_place_of_a_dead_process_comes_back_and_a_lost_id_takes_nobody_elses(server):
    async def work():
        one = ServerBudget(server.url, "ids", {})
        other = ServerBudget(server.url, "ids", {})
        wants = Said(rate=5, margin=0.03, want=5, enter=True)
        await asyncio.sleep((await one.exchange(wants)).wait + 0.01)
        first = await one.exchange(wants)
        full = await other.exchange(wants)
        given_back = await one.exchange(Said(rate=5, margin=0.03, unused=first.places))
        await asyncio.sleep(1)
        again = await other.exchange(wants)
        await one.aclose()
        await other.aclose()
        return first, full, given_back, again

    first, full, given_back, again = asyncio.run(work())
    assert len(set(first.places)) == 5
    assert not full.places
    assert full.wait > 0
    assert given_back.used == 0
    assert len(again.places) == 5
    assert not set(again.places) & set(first.places)


class OtherHost(asyncio.SelectorEventLoop):
    """The loop of a host whose clock is hours away from that of the others."""

    def __init__(self, ahead):
        self._ahead = ahead
        super().__init__()

    def time(self):
        return super().time() + self._ahead


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
def test_clocks_that_differ_between_hosts(server, ahead):
    """Neither is kept out, and together they keep the limit; times are of one clock here."""
    logs: list[list[float]] = [[], []]
    name = f"clocks {ahead}"

    async def host(log):
        mine = gate(server, name, [])
        until = time.monotonic() + 5
        while time.monotonic() < until:
            (await mine.acquire()).sent()
            log.append(time.monotonic())
        await mine.aclose()

    def on(loop_factory, log):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(host(log))

    with ThreadPoolExecutor() as hosts:
        there = hosts.submit(on, lambda: OtherHost(ahead), logs[0])
        on(None, logs[1])
        there.result()
    assert most_in_a_second([*logs[0], *logs[1]]) <= RATE
    assert sum(map(len, logs)) >= 0.8 * RATE * 3.9
    assert max(map(len, logs)) <= 2 * min(map(len, logs))


def test_a_pause_that_one_is_told_holds_all(server):
    log = Log()

    async def work():
        told, other = gate(server, "pause", []), gate(server, "pause", [])
        working = asyncio.create_task(busy(other, log, 5))
        (await told.acquire()).sent()
        await log.reaches(3)
        told.observe(RateSignal(limited=True, retry_after=2.0), now())
        at = now()
        await working
        await told.aclose()
        return at

    at = asyncio.run(work())
    later = [sent - at for sent in log if sent > at + 0.1]
    assert later[0] >= 1.95


def test_a_killed_process_leaves_nothing_stuck(server):
    async def work():
        dead = ServerBudget(server.url, "dead", {})
        wants = Said(rate=1, margin=0.03, want=1, enter=True)
        await asyncio.sleep((await dead.exchange(wants)).wait + 0.01)
        taken = await dead.exchange(wants)  # a place that is never used nor given back
        assert len(taken.places) == 1
        await dead.exchange(wants)  # and a turn in the queue
        at = now()
        alive = gate(server, "dead", [], rate=1)
        (await alive.acquire()).sent()
        waited = now() - at
        await alive.aclose()
        await dead._server.aclose()
        return waited

    assert 1.0 <= asyncio.run(work()) <= LEASE + 3
