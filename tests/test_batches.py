"""Whole lives of jobs in batches, in virtual time, against the stand-in of 8bitedge."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from enricher.checkpoint import Committer, JobSpec, Reader, Store, inline
from enricher.engine import BatchEngine, Tools
from enricher.mapping import KeyMaker
from enricher.model import (
    Context,
    Inputs,
    Item,
    Limit,
    RecoveredBatch,
    RequestCounts,
    State,
    Stop,
    StopCode,
)
from enricher.pace import Breaker, Gate
from enricher.providers.eightbitedge import EightBitEdge
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport
from enricher.reactions import MOST_BROKEN, Refusals
from enricher.simulator import parse_duration
from enricher.simulator.eightbitedge import PREFIX, BatchService, Plan, Settings
from enricher.stops import Caps, Stops
from tests.support import virtual
from tests.support.canary import KEY
from tests.support.network import Canned, SimulatedNetwork, Trouble

BASE = f"http://simulator{PREFIX}"
CONTEXT = Context("8bitedge", "http://simulator", "", "signals")
DAY = 24 * 3600.0


@dataclass
class Account:
    """An 8bitedge account, a network to it, and a checkpoint on disk."""

    folder: Path
    plan: Plan = Plan.PRO
    rate: float = 5.0
    caps: Caps = field(default_factory=Caps)
    most_in_flight: int = 1000
    more: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    slept: float = 0.0

    def __post_init__(self) -> None:
        settings = {"token": KEY, "duration": parse_duration("1"), "stub": False, **self.more}
        self.service = BatchService(Settings(rate=self.rate, plan=self.plan, **settings))
        self.network = SimulatedNetwork(self.service, prefix=PREFIX)
        self.checkpoint = self.folder / "job.checkpoint.db"
        self.counts = RequestCounts()
        self.token = KEY
        self.engine: BatchEngine | None = None

    async def live(self, items: Iterable[Item], during=lambda _: None):
        """Work the items off, or go on with what an earlier life left; as `api` does it."""
        store = Store.open(self.checkpoint, clock=self._clock)
        store.begin(JobSpec("job", CONTEXT))
        reader = Reader(self.checkpoint)
        journal = Committer(store.apply, inline(lambda: 0.005))
        transport = Transport(BASE, network=self.network)
        self.counts = RequestCounts()
        tools = Tools(
            provider=EightBitEdge(transport, ApiKey("T", None, {"T": self.token}), "signals"),
            gate=Gate(self.rate),
            breaker=Breaker(900.0),
            refusals=Refusals(answered=reader.pass_has_answers("job")),
            journal=journal,
            counts=self.counts,
            run_timeout=7200.0,
            warn=self.warnings.append,
            stops=Stops(self.caps, asyncio.get_running_loop().time()),
            most_in_flight=self.most_in_flight,
        )
        self.engine = BatchEngine(tools, reader.max_batch(CONTEXT), store.save_max_batch)
        recovered = [
            RecoveredBatch(found.batch, self._clock() - found.formed_at)
            for found in reader.batches(CONTEXT)
        ]
        known = reader.records([item.key for item in items])
        during(self.engine)
        try:
            return await self.engine.run(_feed(i for i in items if i.key not in known), recovered)
        finally:
            try:
                await journal.close()
            finally:
                await transport.aclose()
                reader.close()
                store.close()

    def _clock(self) -> float:
        return 1e9 + self.slept + asyncio.get_running_loop().time()

    @property
    def processed(self) -> Counter[int]:
        """How many items were processed how often."""
        return Counter(self.service.processed.values())

    def states(self, items: Iterable[Item]) -> Counter[Any]:
        with Reader(self.checkpoint) as reader:
            found = reader.records([item.key for item in items])
            return Counter(found[item.key].state if item.key in found else None for item in items)

    def open_batches(self) -> int:
        with Reader(self.checkpoint) as reader:
            return len(reader.batches(CONTEXT))


async def _feed(items: Iterable[Item]):
    items = list(items)
    for start in range(0, len(items), 70):
        yield items[start : start + 70]


def companies(count: int, prefix: str = "") -> list[Item]:
    keys = KeyMaker(CONTEXT, ("name",))
    inputs: list[Inputs] = [{"name": f"{prefix}Company {n}"} for n in range(count)]
    return [Item(keys.key(one), one) for one in inputs]


@pytest.fixture
def account(tmp_path):
    return Account(tmp_path)


def completed(count: int) -> Counter[State]:
    return Counter({State.COMPLETED: count})


# --- how many requests ------------------------------------------------------------------------


def test_ten_thousand_items_need_a_hundred_requests_and_one_to_learn_the_size(account):
    items = companies(10_000)
    assert virtual.run(account.live(items)) is None
    assert account.counts.total == 101
    assert account.states(items) == completed(10_000)
    assert account.processed == {1: 10_000}
    assert account.counts.accepted == 10_000


def test_the_size_of_a_batch_is_kept_for_the_next_time(account):
    async def twice():
        await account.live(companies(1000))
        await account.live(companies(1000, "Other "))

    virtual.run(twice())
    assert account.counts.total == 10


def test_equal_items_are_in_one_batch_only_once(account):
    items = companies(150)
    assert virtual.run(account.live([*items, *items])) is None
    assert account.processed == {1: 150}


@pytest.mark.parametrize(("plan", "requests"), [(Plan.FREE, 31), (Plan.ENTERPRISE, 2)])
def test_every_plan_is_used_to_its_size(tmp_path, plan, requests):
    account = Account(tmp_path, plan)
    items = companies(300)
    virtual.run(account.live(items))
    assert account.counts.total == requests
    assert account.states(items) == completed(300)


def test_no_more_items_are_in_flight_than_asked_for(tmp_path):
    account = Account(tmp_path, most_in_flight=30)
    seen = []
    account.network.script = lambda request: seen.append(len(json.loads(request.body)["requests"]))
    virtual.run(account.live(companies(100)))
    assert max(seen) == 30


# --- lost answers -----------------------------------------------------------------------------


def test_a_lost_answer_is_asked_for_with_the_same_key_and_bytes(account):
    happenings = iter([Trouble.LOST_AFTER, Trouble.CUT, Trouble.LOST_BEFORE])
    account.network.script = lambda _: next(happenings, None)
    items = companies(90)
    assert virtual.run(account.live(items)) is None
    sent = [(one.request.headers["idempotency-key"], one.request.body) for one in arrived(account)]
    assert len(sent) == 4
    assert len(set(sent)) == 1
    assert account.processed == {1: 90}
    assert account.states(items) == completed(90)
    assert account.counts.retried == 3


def arrived(account):
    return account.network.arrived


@pytest.mark.parametrize("seed", range(5))
def test_with_one_answer_in_twenty_lost_no_item_is_processed_twice(tmp_path, seed):
    account = Account(tmp_path, Plan.FREE)
    lost: Counter[str] = Counter()

    def script(request):
        lost["n"] += 1
        return Trouble.LOST_AFTER if (lost["n"] * 7 + seed) % 20 == 0 else None

    account.network.script = script
    items = companies(700)
    assert virtual.run(account.live(items)) is None
    assert account.processed == {1: 700}
    assert account.states(items) == completed(700)


def test_a_request_that_is_still_being_worked_on_is_waited_for(tmp_path):
    account = Account(tmp_path, more={"duration": parse_duration("200")})
    items = companies(50)
    assert virtual.run(account.live(items)) is None
    assert account.processed == {1: 50}
    assert account.states(items) == completed(50)


def test_an_answer_whose_numbers_do_not_add_up_is_asked_for_again(account):
    data = [{"status": 200, "data": {"a": 1}}] * 29
    wrong = {"data": data, "meta": {"batch": {"total": 30, "succeeded": 29, "failed": 1}}}
    happenings = iter([Canned(200, json.dumps(wrong).encode())])
    account.network.script = lambda _: next(happenings, None)
    items = companies(30)
    assert virtual.run(account.live(items)) is None
    assert account.states(items) == completed(30)


# --- the death of the process -----------------------------------------------------------------


def die_at(account: Account, items: list[Item], seconds: float) -> None:
    """Work until `seconds`, and die: nothing is withdrawn, closed or waited for."""

    async def life() -> None:
        working = asyncio.create_task(account.live(items))
        await asyncio.wait({working}, timeout=seconds)
        snapshot = account.checkpoint.read_bytes()
        wal = account.checkpoint.with_name(account.checkpoint.name + "-wal")
        log = wal.read_bytes() if wal.exists() else b""
        working.cancel()
        await asyncio.wait({working})
        account.checkpoint.write_bytes(snapshot)
        wal.write_bytes(log)

    virtual.run(life())
    account.slept += seconds


@pytest.mark.parametrize("seconds", [1.0, 1.3, 1.32, 1.5, 1.9, 2.4, 2.6, 3.1])
def test_a_job_that_died_goes_on_and_no_item_is_processed_twice(account, seconds):
    items = companies(900)
    die_at(account, items, seconds)
    assert virtual.run(account.live(items)) is None
    assert account.states(items) == completed(900)
    assert account.processed == {1: 900}
    assert account.open_batches() == 0


def test_a_batch_that_nobody_would_recognise_any_more_is_in_doubt(account):
    items = companies(40)
    account.network.script = lambda _: Trouble.HANG
    die_at(account, items, 3.0)
    account.slept += DAY
    account.network.script = lambda _: None
    assert virtual.run(account.live(items)) is None
    assert account.states(items) == Counter({State.IN_DOUBT: 40})
    assert account.processed == {1: 40}


def test_a_stop_leaves_what_is_unanswered_to_the_next_invocation(account):
    items = companies(250)
    account.network.script = lambda _: Trouble.HANG

    def during(engine):
        asyncio.get_running_loop().call_later(
            3.0, engine.stop, Stop(StopCode.SIGNAL, "told to", 15)
        )

    stop = virtual.run(account.live(items, during))
    assert stop.code is StopCode.SIGNAL
    account.network.script = lambda _: None
    assert virtual.run(account.live(items)) is None
    assert account.states(items) == completed(250)
    assert account.processed == {1: 250}


# --- items and batches that are refused -------------------------------------------------------


def test_each_item_has_its_own_result(tmp_path):
    account = Account(tmp_path, more={"fail_rate": 0.4})
    items = companies(300)
    assert virtual.run(account.live(items)) is None
    states = account.states(items)
    assert states[State.COMPLETED] + states[State.FAILED] == 300
    assert 30 < states[State.FAILED] < 120
    assert set(account.processed) > {1}  # what broke was submitted again
    assert account.counts.resubmitted_in_doubt == sum(
        (times - 1) * count for times, count in account.processed.items()
    )


def test_an_item_on_which_the_provider_breaks_is_listed_and_given_up_at_last(account):
    broken = {"status": 503, "error": {"code": "internal_error", "message": "oops"}}
    answer = {"data": [broken], "meta": {"batch": {"total": 1, "succeeded": 0, "failed": 1}}}
    account.network.script = lambda _: Canned(200, json.dumps(answer).encode())
    items = companies(1)
    assert virtual.run(account.live(items)) is None
    assert len(arrived(account)) == MOST_BROKEN
    assert len({one.request.headers["idempotency-key"] for one in arrived(account)}) == MOST_BROKEN
    assert account.states(items) == Counter({State.FAILED: 1})
    with Reader(account.checkpoint) as reader:
        assert len(reader.second_charges(CONTEXT)) == MOST_BROKEN - 1


def test_one_poison_item_is_found_by_halving_and_fails_alone(tmp_path):
    account = Account(tmp_path, more={"poison": frozenset({"Company 137"})})
    items = companies(200)
    assert virtual.run(account.live(items)) is None
    assert account.states(items) == Counter({State.COMPLETED: 199, State.FAILED: 1})
    assert account.processed == {1: 199}
    with Reader(account.checkpoint) as reader:
        record = reader.records([items[137].key])[items[137].key]
    assert record.code == "validation_failed"


def test_five_poison_items_in_a_row_stop_the_job(tmp_path):
    items = companies(50)
    account = Account(
        tmp_path, more={"poison": frozenset(item.inputs["name"] for item in items[10:])}
    )
    stop = virtual.run(account.live(items))
    assert stop.code is StopCode.REFUSED
    assert 5 <= account.states(items)[State.FAILED] <= 10  # others were under way


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "insufficient_scope", StopCode.REFUSED),
        (422, "idempotency_key_reuse", StopCode.REFUSED),
        (404, "not_found", StopCode.REFUSED),
        (302, "", StopCode.REFUSED),
        (401, "unauthorized", StopCode.KEY_REVOKED),
    ],
)
def test_what_every_batch_would_meet_stops_the_job_and_nothing_is_in_doubt(
    account, status, code, reason
):
    body = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    account.network.script = lambda _: Canned(status, body)
    items = companies(20)
    stop = virtual.run(account.live(items))
    assert stop.code is reason
    assert account.states(items) == Counter({None: 20})
    assert account.open_batches() == 0


def test_told_to_wait_the_same_batch_follows(account):
    happenings = iter([Canned(429, b"{}", (("retry-after", "7"),))])
    account.network.script = lambda _: next(happenings, None)
    items = companies(20)
    assert virtual.run(account.live(items)) is None
    first, second = arrived(account)
    assert second.at - first.at >= 7
    assert first.request.body == second.request.body
    assert account.counts.rate_limited == 1


# --- caps -------------------------------------------------------------------------------------


def test_max_runs_is_exact(tmp_path):
    account = Account(tmp_path, Plan.STARTER, caps=Caps(max_runs=120))
    items = companies(300)
    stop = virtual.run(account.live(items))
    assert stop.code is StopCode.MAX_RUNS
    assert account.states(items) == Counter({State.COMPLETED: 120, None: 180})
    assert account.service.metered == 120


def test_too_many_failures_stop_the_job(tmp_path):
    account = Account(tmp_path, caps=Caps(max_failures=Limit(5)))
    bad = {"status": 422, "error": {"code": "validation_failed", "message": "no"}}

    def script(request):
        count = len(json.loads(request.body)["requests"])
        sums = {"total": count, "succeeded": 0, "failed": count}
        body = {"data": [bad] * count, "meta": {"batch": sums}}
        return Canned(207, json.dumps(body).encode())

    account.network.script = script
    stop = virtual.run(account.live(companies(3000)))
    assert stop.code is StopCode.MAX_FAILURES


def test_a_server_that_is_gone_stops_the_job_and_nothing_is_in_doubt(account):
    account.network.refuse_connections = True
    items = companies(20)
    stop = virtual.run(account.live(items))
    assert stop.code is StopCode.SERVER_GONE
    assert account.states(items) == Counter({None: 20})


def test_a_server_that_loses_every_answer_stops_the_job_and_the_batch_is_asked_for_again(account):
    account.network.script = lambda _: Trouble.LOST_AFTER
    items = companies(20)
    stop = virtual.run(account.live(items))
    assert stop.code is StopCode.SERVER_GONE
    account.network.script = lambda _: None
    assert virtual.run(account.live(items)) is None
    assert account.processed == {1: 20}
    assert account.states(items) == completed(20)


# --- stubs ------------------------------------------------------------------------------------


def test_stubs_are_announced_once_and_written_as_they_came(tmp_path):
    account = Account(tmp_path, more={"stub": True})
    items = companies(250)
    assert virtual.run(account.live(items)) is None
    assert [text for text in account.warnings if "stub" in text] == [EightBitEdge.stand_in]
    with Reader(account.checkpoint) as reader:
        record = reader.records([items[0].key], outputs=True)[items[0].key]
    assert record.outputs == {"echo": {"name": "Company 0"}, "note": "stub"}
    assert record.provisional
