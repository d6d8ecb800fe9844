"""Caps kept by the engine, with the real provider, HTTP client and checkpoint, in virtual time."""

import asyncio
import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from enricher.checkpoint import Reader
from enricher.model import Limit, State, Stop, StopCode
from enricher.simulator import Request, Settings, parse_duration
from enricher.stops import COLLECT_FOR, Caps
from tests.support import virtual
from tests.support.lives import CONTEXT, World, companies
from tests.support.network import Canned, Trouble

REFUSED = Canned(429, b"{}", (("Retry-After", "1"),))
COST = Settings().credits_per_run


def is_submission(request: Request) -> bool:
    return request.method == "POST"


def submissions(world: World) -> int:
    """How many the server had."""
    return sum(is_submission(sent.request) for sent in world.network.arrived)


def some_trouble(seed: int, *troubles: Trouble | Canned):
    """Now and then one of these for a submission."""
    chance = random.Random(seed)

    def script(request: Request) -> Trouble | Canned | None:
        if is_submission(request) and chance.random() < 0.3:
            return chance.choice(troubles)
        return None

    return script


def states_of(world: World, rows) -> Counter:
    return Counter(record and record.state for record in world.records(rows))


def bought(world: World) -> Counter[str]:
    return Counter(str(run.inputs["company_name"]) for run in world.workspace.runs)


def assert_within_the_limit(world: World) -> None:
    times = [sent.at for sent in world.network.arrived]
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[5:], strict=False))


# --- --max-runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [1, 7])
def test_so_many_submissions_are_sent_and_what_is_paid_is_collected(tmp_path: Path, cap: int):
    world = World(tmp_path, caps=Caps(max_runs=cap))
    rows = companies(20)
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.MAX_RUNS
    assert len(world.workspace.runs) == cap
    assert states_of(world, rows) == {State.COMPLETED: cap, None: 20 - cap}
    assert_within_the_limit(world)


def test_a_cap_that_is_just_enough_is_no_reason_to_stop(tmp_path: Path):
    world = World(tmp_path, caps=Caps(max_runs=12))
    rows = companies(12)
    assert virtual.run(world.live(rows)) is None
    assert states_of(world, rows) == {State.COMPLETED: 12}


@pytest.mark.parametrize("seed", range(3))
def test_refusals_and_equal_rows_do_not_count_and_lost_answers_do(tmp_path: Path, seed: int):
    world = World(tmp_path, caps=Caps(max_runs=15))
    world.network.script = some_trouble(seed, REFUSED, Trouble.LOST_AFTER, Trouble.LOST_BEFORE)
    rows = companies(40)
    stop = virtual.run(world.live([row for row in rows for _ in range(3)]))
    assert stop.code is StopCode.MAX_RUNS
    found = states_of(world, rows)
    assert found[State.COMPLETED] + found[State.IN_DOUBT] == 15
    assert found[None] == 25
    assert found[State.IN_DOUBT] > 0
    assert world.counts.rate_limited > 0
    assert submissions(world) == 15 + world.counts.rate_limited
    assert set(bought(world).values()) == {1}


def test_what_the_server_rejects_is_no_run(tmp_path: Path):
    world = World(tmp_path, caps=Caps(max_runs=5))
    no = Canned(400, b'{"error": {"code": "INVALID_INPUTS", "message": "no"}}')
    rows = companies(20)
    world.network.script = lambda r: no if b"Company 1" in r.body else None
    assert virtual.run(world.live(rows)).code is StopCode.MAX_RUNS
    assert len(world.workspace.runs) == 5


def test_the_same_again_goes_on_and_buys_nothing_twice(tmp_path: Path):
    world = World(tmp_path, caps=Caps(max_runs=6))
    rows = companies(20)
    stops = [virtual.run(world.live(rows)) for _ in range(4)]
    assert [stop and stop.code for stop in stops] == [StopCode.MAX_RUNS] * 3 + [None]
    assert bought(world) == Counter({row["company_name"]: 1 for row in rows})


# --- --max-credits -------------------------------------------------------------------------------


def used_in(world: World) -> int:
    return len(world.workspace.runs) * COST


@pytest.mark.parametrize("rate", [5, 50])
@pytest.mark.parametrize("most", [1, 2, 9, 40, 101])
def test_the_pass_uses_no_more_credits_than_allowed(tmp_path: Path, most: int, rate: int):
    settings = Settings(rate=rate, duration=parse_duration("uniform:1:5"))
    world = World(tmp_path, settings, rate=rate, caps=Caps(max_credits=most))
    rows = companies(100)
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.MAX_CREDITS
    assert COST <= used_in(world) <= max(most, COST)
    assert states_of(world, rows)[State.COMPLETED] == len(world.workspace.runs)
    assert world.spent.credits == used_in(world)


def test_the_cap_holds_for_the_whole_pass_and_a_higher_one_goes_on(tmp_path: Path):
    world = World(tmp_path, caps=Caps(max_credits=20))
    rows = companies(20)
    assert virtual.run(world.live(rows)).code is StopCode.MAX_CREDITS
    first = used_in(world)
    assert 0 < first <= 20
    assert virtual.run(world.live(rows)).code is StopCode.MAX_CREDITS
    assert used_in(world) <= 20
    world.caps = Caps(max_credits=1000)
    assert virtual.run(world.live(rows)) is None
    assert bought(world) == Counter({row["company_name"]: 1 for row in rows})


def test_one_run_at_a_time_until_a_cost_is_known(tmp_path: Path):
    world = World(tmp_path, Settings(duration=parse_duration("30")), caps=Caps(max_credits=1000))
    virtual.run(world.live(companies(10)))
    times = [run.submitted_at for run in world.workspace.runs]
    assert times[1] - times[0] >= 30
    assert times[-1] - times[1] < 5


def test_runs_that_an_earlier_life_left_are_reserved_too(tmp_path: Path):
    world = World(tmp_path, Settings(duration=parse_duration("20")), caps=Caps(max_credits=30))
    rows = companies(40)

    def stop_soon(engine) -> None:
        stop = Stop(StopCode.SIGNAL, "SIGINT", 2)
        asyncio.get_running_loop().call_later(30, engine.stop, stop)

    assert virtual.run(world.live(rows, during=stop_soon)).code is StopCode.SIGNAL
    assert virtual.run(world.live(rows)).code is StopCode.MAX_CREDITS
    assert used_in(world) <= 30


def test_runs_that_cost_nothing_are_not_held_up(tmp_path: Path):
    world = World(tmp_path, Settings(credits_per_run=0), caps=Caps(max_credits=1))
    rows = companies(40)
    assert virtual.run(world.live(rows)) is None
    assert states_of(world, rows) == {State.COMPLETED: 40}


def test_readings_of_the_balance_keep_to_the_limit(tmp_path: Path):
    world = World(tmp_path, caps=Caps(max_credits=60))
    virtual.run(world.live(companies(60)))
    readings = sum(sent.request.path == "/workspace" for sent in world.network.arrived)
    assert readings == world.counts.other > 0
    assert_within_the_limit(world)


def test_lost_answers_are_paid_for_all_the_same(tmp_path: Path):
    world = World(tmp_path, caps=Caps(max_credits=30))
    world.network.script = some_trouble(1, Trouble.LOST_AFTER)
    rows = companies(60)
    assert virtual.run(world.live(rows)).code is StopCode.MAX_CREDITS
    assert 24 <= used_in(world) <= 30
    assert states_of(world, rows)[State.IN_DOUBT] > 0


def test_a_provider_that_tells_its_credits_no_more_stops_the_job(tmp_path: Path):
    world = World(tmp_path, caps=Caps(max_credits=30))
    silent = Canned(200, b'{"id": "ws"}')
    world.network.script = lambda r: silent if r.path == "/workspace" else None
    stop = virtual.run(world.live(companies(9)))
    assert stop.code is StopCode.REFUSED
    assert "--max-credits" in stop.reason
    assert len(world.workspace.runs) == 1


# --- --max-failures ------------------------------------------------------------------------------


def test_too_many_failures_stop_the_job_and_what_runs_is_collected(tmp_path: Path):
    world = World(tmp_path, Settings(fail_rate=1), caps=Caps(max_failures=Limit(count=4)))
    rows = companies(200)
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.MAX_FAILURES
    found = states_of(world, rows)
    assert 4 <= found[State.FAILED] == len(world.workspace.runs) < 200
    assert set(found) == {State.FAILED, None}


def test_a_share_of_failures_stops_the_job_after_twenty(tmp_path: Path):
    world = World(tmp_path, Settings(fail_rate=1), caps=Caps(max_failures=Limit(share=0.5)))
    rows = companies(300)
    assert virtual.run(world.live(rows)).code is StopCode.MAX_FAILURES
    assert 20 <= states_of(world, rows)[State.FAILED] < 300


def test_failures_at_the_very_end_do_not_stop_a_finished_job(tmp_path: Path):
    world = World(tmp_path, Settings(fail_rate=1), caps=Caps(max_failures=Limit(count=6)))
    assert virtual.run(world.live(companies(6))) is None


def test_runs_that_time_out_are_failures_but_not_again_when_looked_at_again(tmp_path: Path):
    slow = Settings(duration=parse_duration("5000"))
    world = World(tmp_path, slow, run_timeout=60, caps=Caps(max_failures=Limit(count=5)))
    rows = companies(10)
    assert virtual.run(world.live(rows[:4])) is None
    world.caps = Caps(max_failures=Limit(count=2))
    assert virtual.run(world.live(rows[:4])) is None
    assert virtual.run(world.live(rows)) is None, "all are submitted before the first times out"
    world.caps = Caps(max_failures=Limit(count=1))
    assert virtual.run(world.live(companies(900))).code is StopCode.MAX_FAILURES


# --- --stop-after --------------------------------------------------------------------------------


def test_when_the_time_is_up_what_runs_is_collected_for_a_minute(tmp_path: Path):
    slow = Settings(duration=parse_duration("bimodal:5:5000:0.5"))
    world = World(tmp_path, slow, caps=Caps(stop_after=10))
    rows = companies(200)

    async def life() -> tuple[Stop | None, float]:
        return await world.live(rows), asyncio.get_running_loop().time()

    stop, took = virtual.run(life())
    assert stop.code is StopCode.STOP_AFTER
    assert 10 + COLLECT_FOR <= took <= 10 + COLLECT_FOR + 2
    assert max(run.submitted_at for run in world.workspace.runs) <= 10.5
    found = states_of(world, rows)
    fast = sum(run.ends_at - run.submitted_at < 100 for run in world.workspace.runs)
    assert found[State.COMPLETED] == fast > 0
    assert set(found) == {State.COMPLETED, State.RUNNING, None}


def test_when_all_is_collected_nobody_waits_for_the_minute(tmp_path: Path):
    world = World(tmp_path, Settings(duration=parse_duration("3")), caps=Caps(stop_after=10))
    rows = companies(200)

    async def life() -> tuple[Stop | None, float]:
        return await world.live(rows), asyncio.get_running_loop().time()

    stop, took = virtual.run(life())
    assert stop.code is StopCode.STOP_AFTER
    assert took < 10 + 25
    assert set(states_of(world, rows)) == {State.COMPLETED, None}


def test_a_job_that_is_done_in_time_does_not_stop(tmp_path: Path):
    world = World(tmp_path, caps=Caps(stop_after=3600))
    assert virtual.run(world.live(companies(10))) is None


def test_no_time_at_all_submits_nothing(tmp_path: Path):
    world = World(tmp_path, caps=Caps(stop_after=0))
    assert virtual.run(world.live(companies(10))).code is StopCode.STOP_AFTER
    assert world.network.arrived == []


# --- intents stand just before their permission --------------------------------------------------


def test_at_a_slow_rate_an_intent_is_written_just_before_its_permission(tmp_path: Path):
    """A crash that finds an intent which was never sent makes a doubt: there are few to find."""
    world = World(tmp_path, Settings(duration=parse_duration("300")))
    rows = companies(100)
    found: list[int] = []

    async def life() -> None:
        loop = asyncio.get_running_loop()
        job = asyncio.create_task(world.live(rows))
        chance = random.Random(3)
        await asyncio.sleep(1.5)
        while loop.time() < 18:
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            with Reader(world.checkpoint) as reader:
                intents = {one.key for one in reader.unfinished(CONTEXT, State.SUBMITTING)}
            arrived = sum(is_submission(sent.request) for sent in world.network.arrived)
            known = sum(1 for r in world.records(rows) if r)
            found.append(known - arrived)
            assert len(intents) >= known - arrived
        job.cancel()
        await asyncio.wait({job})

    virtual.run(life())
    assert len(found) > 100
    assert max(found) <= 1
    assert sum(found) / len(found) < 0.35


def test_intents_do_not_cost_pace(tmp_path: Path):
    world = World(tmp_path, Settings(duration=parse_duration("300")))
    virtual.run(world.live(companies(100)))
    last = max(run.submitted_at for run in world.workspace.runs)
    times = [sent.at for sent in world.network.arrived if sent.at <= last]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert sum(gaps) / len(gaps) < 1.03 / 5 + 0.005
    assert_within_the_limit(world)
