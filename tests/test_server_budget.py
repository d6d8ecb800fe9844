"""One limit on a real Redis server, in real time."""

import asyncio
from bisect import bisect_right

import pytest

pytest.importorskip("redis")

from enricher.budget import Said
from enricher.errors import ServerGone
from enricher.limiter.shared_server import ServerBudget
from enricher.pace import Gate, Sharing
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


def test_a_server_that_loses_its_memory_in_mid_job(server):
    warnings: list[str] = []
    log = Log()

    async def work():
        working = asyncio.create_task(busy(gate(server, "lost", warnings), log, 7))
        await log.reaches(RATE)
        server.stop()
        server.start()
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
