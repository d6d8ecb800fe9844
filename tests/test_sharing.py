"""One limit that several processes keep together: the file of a host, in virtual time."""

import asyncio
import math
import random
import sqlite3
from bisect import bisect_right

import pytest

from enricher.budget import LEASE, Said
from enricher.limiter import budget_name
from enricher.limiter.host import HostBudget
from enricher.pace import Gate, Sharing
from enricher.verdicts import RateSignal
from tests.support import virtual


def now():
    return asyncio.get_running_loop().time()


def most_in_a_second(times, span=1.0):
    times = sorted(times)
    return max(bisect_right(times, at) - bisect_right(times, at - span) for at in times)


class Host:
    """A limiter file, and the processes of its host; all in one loop."""

    def __init__(self, path):
        self.path = path
        self.warnings: list[str] = []
        self.sent: dict[str, list[float]] = {}
        self.budgets: list[HostBudget] = []

    def budget(self):
        self.budgets.append(HostBudget(self.path, now))
        return self.budgets[-1]

    def gate(self, rate=5.0, *, follow=False):
        sharing = Sharing(self.budget(), 900, self.warnings.append)
        return Gate(rate, follow=follow, warn=self.warnings.append, sharing=sharing)

    async def busy(self, name, gate, *, until, late=lambda: 0.0):
        """Send whenever it is allowed; each request leaves so long after its permission."""
        log = self.sent.setdefault(name, [])

        async def send(permit):
            await asyncio.sleep(late())
            permit.sent()
            log.append(now())
            permit.close()

        sending = set()
        try:
            while now() < until:
                task = asyncio.create_task(send(await gate.acquire()))
                sending.add(task)
                task.add_done_callback(sending.discard)
            await asyncio.gather(*sending)
            await gate.aclose()
        finally:  # killed: nothing is told to anyone
            for task in sending:
                task.cancel()

    @property
    def all(self):
        return sorted(at for log in self.sent.values() for at in log)


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path / "state" / "limit.db")
    yield host
    for budget in host.budgets:  # those of lives that were killed
        asyncio.run(budget.aclose())


def together(host, count, seconds, rate=5.0, late=lambda: 0.0):
    async def work():
        async with asyncio.TaskGroup() as tasks:
            for n in range(count):
                gate = host.gate(rate)
                tasks.create_task(host.busy(f"p{n}", gate, until=seconds, late=late))

    virtual.run(work())


@pytest.mark.parametrize("count", [1, 2, 4, 9])
@pytest.mark.parametrize("rate", [0.5, 1, 5, 50])
def test_processes_keep_one_limit_together_and_have_equal_shares(host, count, rate):
    seconds = 60 if rate >= 1 else 400
    together(host, count, seconds, rate)
    span = max(1.0, 1 / rate)
    assert most_in_a_second(host.all, span) <= max(1, rate)
    assert len(host.all) >= 0.95 * rate * (seconds - 2 * span) - 1
    each = [len(log) for log in host.sent.values()]
    assert len(each) == count
    if rate >= 1:
        assert max(each) <= 1.3 * min(each) + 2


def test_requests_that_leave_late_count_from_when_they_leave(host):
    chance = random.Random(7)
    together(host, 4, 120, late=lambda: chance.choice((0.0, 0.0, 0.001, 0.02, 0.4, 2.5)))
    assert most_in_a_second(host.all) <= 5


def test_a_fast_process_reaches_its_limit(host):
    together(host, 1, 30, rate=500)
    assert most_in_a_second(host.all) <= 500
    assert len(host.all) >= 0.95 * 500 * 28.9


def test_each_says_once_that_it_shares_and_nobody_who_is_alone(host):
    together(host, 2, 10)
    assert len(host.warnings) == 2
    assert all("keep one rate limit together" in line for line in host.warnings)
    alone = Host(host.path.with_name("other.db"))
    together(alone, 1, 10)
    assert alone.warnings == []


def test_lives_that_are_killed_at_any_moment_never_exceed_the_limit_together(host):
    """A new life begins at once: the file knows the second before it."""
    chance = random.Random(3)
    starts: list[float] = []

    async def work():
        for n in range(150):
            gate, born = host.gate(), now()
            late = lambda: chance.choice((0.0, 0.0, 0.01, 0.3))  # noqa: E731
            before = len(host.all)
            life = asyncio.create_task(host.busy(f"l{n}", gate, until=math.inf, late=late))
            await asyncio.wait({life}, timeout=chance.uniform(0.1, 4))
            life.cancel()
            await asyncio.wait({life})
            if len(host.all) > before:
                starts.append(host.all[before] - born)

    virtual.run(work())
    assert most_in_a_second(host.all) <= 5
    assert sorted(starts)[len(starts) // 2] < 0.8, "a blind second would be 1.03"


def test_a_small_job_after_another_waits_for_no_blind_second(host):
    async def work():
        for name in ("first", "second"):
            born = now()
            await host.busy(name, host.gate(), until=now() + 0.1)
            host.sent[name] = [at - born for at in host.sent[name]]
            await asyncio.sleep(5)

    virtual.run(work())
    assert host.sent["first"][0] >= 1.0, "nobody knows what was sent before the file was there"
    assert host.sent["second"][0] < 0.05


def test_a_killed_process_leaves_nothing_stuck(host):
    async def work():
        dead = host.budget()
        wants = Said(rate=1, margin=0.03, want=1, enter=True)
        await asyncio.sleep((await dead.exchange(wants)).wait)
        taken = await dead.exchange(wants)  # a place that is never used nor given back
        assert len(taken.places) == 1
        await dead.exchange(wants)  # and a turn in the queue
        at = now()
        alive = host.gate(1)
        await alive.acquire()
        return now() - at

    assert 1.0 <= virtual.run(work()) <= LEASE + 2


def test_a_place_is_held_as_long_as_its_process_lives(host):
    """A connection may take longer to be made than the lease is."""

    async def work():
        slow = await host.gate(1).acquire()
        other = asyncio.create_task(host.gate(1).acquire())
        await asyncio.sleep(10 * LEASE)
        assert not other.done()
        slow.sent()
        at = now()
        await other
        return now() - at

    assert 1.0 <= virtual.run(work()) <= 1.5


def test_a_request_that_never_left_gives_its_place_back(host):
    async def work():
        stuck = await host.gate(1).acquire()
        other = asyncio.create_task(host.gate(1).acquire())
        await asyncio.sleep(3)
        stuck.close()
        at = now()
        await other
        return now() - at

    assert virtual.run(work()) <= 1.1


def test_a_pause_that_one_is_told_holds_all(host):
    async def work():
        one, other = host.gate(), host.gate()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.busy("one", one, until=30))
            tasks.create_task(host.busy("other", other, until=30))
            await asyncio.sleep(5)
            one.observe(RateSignal(limited=True, retry_after=10.0), now())
            host.told = now()

    virtual.run(work())
    after = [at for at in host.all if at > host.told + 1e-3]
    assert after[0] >= host.told + 10
    assert most_in_a_second(host.all) <= 5


def test_the_smaller_of_two_rates_holds_for_both(host):
    async def work():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.busy("small", host.gate(4), until=30))
            tasks.create_task(host.busy("large", host.gate(20), until=60))

    virtual.run(work())
    both = [at for at in host.all if 3 < at < 30]
    assert most_in_a_second(both) <= 4
    assert len(host.sent["small"]) >= 0.9 * 2 * 28
    alone = [at for at in host.sent["large"] if at > 45]
    assert len(alone) >= 0.9 * 20 * 14.9, "the smaller one has ended"


def test_who_does_not_know_the_limit_yet_slows_nobody_down(host):
    async def work():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(host.busy("knows", host.gate(50), until=20))
            await asyncio.sleep(10)
            tasks.create_task(host.busy("new", host.gate(5, follow=True), until=20))

    virtual.run(work())
    assert len([at for at in host.all if at > 10]) >= 0.93 * 50 * 9.9


def test_a_file_of_another_boot_is_forgotten(host):
    together(host, 1, 5)
    with sqlite3.connect(host.path) as sql:
        sql.execute("UPDATE state SET boot = 'another', paused_until = 1e9")
        sql.execute("UPDATE places SET used_at = 1e9")
    sql.close()
    host.sent.clear()
    together(host, 1, 5)
    assert 1.0 <= host.all[0] <= 1.2, "nobody knows the second before a boot"


def test_a_broken_file_leaves_each_process_its_own_limit(host):
    async def work():
        gate = host.gate()
        task = asyncio.create_task(host.busy("p", gate, until=20))
        await asyncio.sleep(5)
        with sqlite3.connect(host.path) as sql:
            sql.execute("DROP TABLE places")
        sql.close()
        await task

    virtual.run(work())
    assert most_in_a_second(host.all) <= 5
    assert len(host.all) >= 0.9 * 5 * 17
    (line,) = host.warnings
    assert "cannot be used" in line
    assert "keeps a limit of its own" in line


def test_the_name_of_a_budget_does_not_tell_the_key():
    one = budget_name("bitscale", "https://a.test", "sk-live-1")
    assert "sk-live" not in one
    assert one == budget_name("bitscale", "https://a.test", "sk-live-1")
    others = {
        budget_name("scale", "https://a.test", "sk-live-1"),
        budget_name("bitscale", "https://b.test", "sk-live-1"),
        budget_name("bitscale", "https://a.test", "sk-live-2"),
    }
    assert len({one, *others}) == 4
