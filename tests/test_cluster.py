"""The office of a cluster in virtual time: who may send, and how much. No Dask is needed."""

import asyncio
import os
from bisect import bisect_right
from pathlib import Path

import pytest

from enricher.api import Hooks, JobOutcome, StopCode, Summary
from enricher.budget import BudgetAway
from enricher.cluster.office import VERBS, Office
from enricher.cluster.rope import FencedBudget, Rope, SchedulerBudget
from enricher.errors import ManifestError, ServerGone, Superseded
from enricher.limiter.host import HostBudget
from enricher.manifest import Manifest, Workspace, check_seen, digest_of
from enricher.pace import Gate, Sharing
from enricher.report.summary import CreditTotals, Live
from enricher.report.whole import added_up
from tests.support import virtual

JOB, CLIENT = "/data/out.csv.shards/manifest.json", "client-1"


def now():
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The scheduler's host keeps its limits here."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


class Scheduler:
    """An office, and the way to it; `is_away` cuts that."""

    def __init__(self):
        self.office = Office(now)
        self.workers = set()
        self.is_away = False

    async def say(self, verb, told):
        assert verb in VERBS
        if self.is_away:
            raise BudgetAway("the scheduler does not answer")
        return await getattr(self.office, verb)(**told)

    async def attempt(self, shard=0, worker="w1"):
        """A new attempt at a shard, and its gate."""
        rope = Rope(self.say, JOB, shard)
        orders = await rope.begin(worker)
        self.workers.add(worker)
        budget = SchedulerBudget(rope, "key", alone=False)
        gate = Gate(5.0, sharing=Sharing(budget, 30, lambda _: None))
        return rope, gate, orders


def in_a_job(work):
    """Run `work(scheduler)` in an opened job, in virtual time."""

    async def opened():
        scheduler = Scheduler()
        office = scheduler.office
        assert await office.open(JOB, CLIENT)
        try:
            return await work(scheduler)
        finally:
            for worker in scheduler.workers:
                await office.worker_left(worker)

    return virtual.run(opened())


async def send(gate, log=None):
    permit = await gate.acquire()
    permit.sent()
    permit.close()
    if log is not None:
        log.append(now())


def test_a_stale_attempt_is_refused_and_the_new_one_is_not():
    async def work(scheduler):
        old, old_gate, _ = await scheduler.attempt(worker="w1")
        await send(old_gate)
        new, new_gate, _ = await scheduler.attempt(worker="w2")
        with pytest.raises(Superseded, match="another worker has taken this shard over"):
            await send(old_gate)
        assert (await old.beat(None, [])).stale
        assert not (await new.beat(None, [])).stale
        await send(new_gate)
        await old_gate.aclose()
        await send(new_gate)

    in_a_job(work)


def test_who_is_thought_dead_is_stale_before_anybody_takes_over():
    async def work(scheduler):
        _, gate, _ = await scheduler.attempt(worker="w1")
        _, other, _ = await scheduler.attempt(shard=1, worker="w2")
        await scheduler.office.worker_left("w1")
        with pytest.raises(Superseded):
            await send(gate)
        await send(other)

    in_a_job(work)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_worker_that_dies_after_another_took_over_leaves_no_file_open(state):
    async def work(scheduler):
        _, old, _ = await scheduler.attempt(worker="w1")
        await send(old)
        _, new, _ = await scheduler.attempt(worker="w2")
        await send(new)
        assert open_below(state)
        await scheduler.office.worker_left("w1")
        await scheduler.office.worker_left("w2")
        assert not open_below(state)

    in_a_job(work)


def open_below(folder):
    """The files of a folder that this process has open."""
    files = [Path(os.path.realpath(file)) for file in Path("/proc/self/fd").iterdir()]
    return [file for file in files if file.is_relative_to(folder)]


def test_a_scheduler_that_forgot_lets_nobody_send():
    async def work(scheduler):
        rope, gate, _ = await scheduler.attempt()
        await send(gate)
        scheduler.office = Office(now)
        with pytest.raises(Superseded):
            await send(gate)
        assert (await rope.beat(None, [])).stale
        assert (await scheduler.attempt())[2].stale, "nobody has opened the job there"

    in_a_job(work)


def test_a_scheduler_that_is_away_gives_nothing_and_then_goes_on():
    async def work(scheduler):
        _, gate, _ = await scheduler.attempt()
        await send(gate)
        scheduler.is_away = True
        waiting = asyncio.create_task(send(gate))
        await asyncio.sleep(10)
        assert not waiting.done()
        scheduler.is_away = False
        await waiting
        scheduler.is_away = True
        with pytest.raises(ServerGone, match="away for too long"):
            await send(gate)

    in_a_job(work)


def test_one_limit_over_all_shards():
    async def work(scheduler):
        log: list[float] = []
        gates = [(await scheduler.attempt(shard=n, worker=f"w{n}"))[1] for n in range(4)]

        async def busy(gate):
            while now() < 30:
                await send(gate, log)

        await asyncio.gather(*map(busy, gates))
        return log

    log = in_a_job(work)
    most = max(bisect_right(log, at) - bisect_right(log, at - 1.0) for at in log)
    assert most == 5
    assert len(log) >= 0.93 * 5 * 28


def test_a_budget_elsewhere_is_fenced_too(tmp_path):
    """`--limiter redis://…`: the permission is the server's, whether to ask the scheduler's."""

    async def work(scheduler):
        old, _, _ = await scheduler.attempt()
        budget = FencedBudget(old, HostBudget(tmp_path / "elsewhere.db", now))
        gate = Gate(5.0, sharing=Sharing(budget, 30, lambda _: None))
        await send(gate)
        await scheduler.attempt(worker="w2")
        with pytest.raises(Superseded):
            await send(gate)
        await gate.aclose()

    in_a_job(work)


def test_stops_reach_those_that_begin_later_too():
    async def work(scheduler):
        rope, _, orders = await scheduler.attempt()
        assert orders.stops == 0
        await scheduler.office.stop(JOB, 2, "stopped by SIGINT")
        heard = await rope.beat(None, [])
        assert (heard.stops, heard.signal, heard.reason) == (1, 2, "stopped by SIGINT")
        assert (await scheduler.attempt(shard=1))[2].stops == 1

    in_a_job(work)


def test_a_client_at_a_time_and_the_next_makes_all_before_it_stale():
    async def work(scheduler):
        rope, gate, _ = await scheduler.attempt()
        assert not await scheduler.office.open(JOB, "client-2")
        scheduler.office.client_left(CLIENT)
        assert (await rope.beat(None, [])).stops == 1, "nobody waits for it any more"
        assert await scheduler.office.open(JOB, "client-2")
        assert (await rope.beat(None, [])).stale
        with pytest.raises(Superseded):
            await send(gate)

    in_a_job(work)


def test_what_shards_say_is_passed_on_once():
    async def work(scheduler):
        rope, _, _ = await scheduler.attempt(shard=2)
        await rope.beat({"rows": 7}, [["note", "a word"]])
        told = await scheduler.office.watch(JOB)
        assert (told["shards"], told["lines"]) == ([(2, {"rows": 7})], [["note", "a word"]])
        assert (await scheduler.office.watch(JOB))["lines"] == []
        await scheduler.attempt(shard=2, worker="w2")
        assert (await scheduler.office.watch(JOB))["again"] == [2]

    in_a_job(work)


def test_a_shard_that_ended_without_a_word_is_named():
    pytest.importorskip("distributed")
    from enricher.api.cluster_watch import Watch

    watch = Watch(Summary(outcome=JobOutcome.RUNNING, shards=3), Hooks())
    for shard in (0, 2):
        watch.summaries[shard] = Summary(outcome=JobOutcome.FINISHED, exit_code=0)
    stop, code = watch.why_stopped()
    assert (stop.code, code) == (StopCode.WORKERS_LOST, 4)
    assert "not finished: shard 1" in stop.reason
    watch.summaries[1] = Summary(outcome=JobOutcome.FINISHED_WITH_FAILURES, exit_code=3)
    assert watch.why_stopped() == (None, 0)


def test_a_worker_that_sees_other_files(tmp_path):
    manifest = Manifest(tmp_path / "manifest.json", 2, {}, [], [Workspace(None, "grid")])
    manifest.write()
    digest = digest_of(manifest.path)
    check_seen(manifest.path, digest)
    manifest.path.write_text("{}")
    with pytest.raises(ManifestError, match="there is another one"):
        check_seen(manifest.path, digest)
    manifest.path.unlink()
    with pytest.raises(ManifestError, match="No such file") as caught:
        check_seen(manifest.path, digest)
    assert "--state-dir" in caught.value.mend


def test_each_account_has_its_own_credits_and_limit():
    def part(credits, rate, use):
        return Summary(
            outcome=JobOutcome.RUNNING,
            credits=CreditTotals(credits, None),
            live=Live(rate=rate, use=use, credits=credits - 1),
        )

    parts = {0: part(100, 5, 0.5), 1: part(30, 5, 0.9), 2: part(98, 5, 0.4)}
    whole = added_up(Summary(outcome=JobOutcome.RUNNING), parts, accounts=2)
    assert whole.credits == CreditTotals(130, None)
    assert (whole.live.rate, whole.live.use, whole.live.credits) == (10, 0.9, 97 + 29)
    begun = added_up(Summary(outcome=JobOutcome.RUNNING), {0: parts[0]}, accounts=2)
    assert begun.credits == CreditTotals(None, None), "of one of two it would pass for all"
