"""The promise to the server: never more than N requests in any second. In virtual time."""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enricher.notice import EventName, event_of
from enricher.pace import LEAST_MARGIN, MARGIN_STEP, MOST_MARGIN, Backoff, Breaker, Gate, patiently
from enricher.verdicts import (
    Facts,
    JobStops,
    Malformed,
    MaybeSent,
    NotSent,
    RateSignal,
    Refused,
    Reply,
)
from tests.support import virtual

TOO_MANY = RateSignal(limited=True, retry_after=0.0)
"""A 429 that asks for no wait: what is left of it is what the gate learns."""


def now():
    return asyncio.get_running_loop().time()


async def sends(gate, count):
    """The times of so many sends, by someone who is always busy."""
    times = []
    for _ in range(count):
        (await gate.acquire()).sent()
        times.append(now())
    return times


def busy(rate, count):
    """The same with a gate of its own, which was made at time 0."""

    async def work():
        return await sends(Gate(rate), count)

    return virtual.run(work())


def most_in_a_second(times):
    return max(bisect_right(times, at) - bisect_right(times, at - 1.0) for at in times)


# --- never more than N in any second ---------------------------------------------------------


@pytest.mark.parametrize("rate", [0.3, 0.5, 1, 1.5, 2, 5, 7.5, 9.99, 50, 123.4, 500])
def test_no_second_holds_more_than_the_limit(rate):
    times = busy(rate, 40 + round(4 * rate))
    assert most_in_a_second(times) <= max(1, rate)
    if rate < 1:
        assert min(later - earlier for earlier, later in pairwise(times)) >= 1 / rate


@pytest.mark.parametrize("rate", [0.5, 1, 5, 7.5, 50, 500])
def test_the_second_before_the_start_counts_as_spent(rate):
    assert busy(rate, 1)[0] >= max(1.0, 1 / rate)


@pytest.mark.parametrize("rate", [0.5, 1, 5, 7.5, 50, 500])
def test_someone_always_busy_uses_nearly_the_whole_limit(rate):
    """A second holds whole requests only: of 7.5 it is 7 that can be used."""
    times = busy(rate, 100 + round(20 * rate))
    used = (len(times) - 1) / (times[-1] - times[0])
    assert used >= 0.96 * (math.floor(rate) if rate > 1 else rate)


@pytest.mark.parametrize("rate", [1, 5, 20])
def test_requests_are_spaced_evenly(rate):
    gaps = [later - earlier for earlier, later in pairwise(busy(rate, 20 * rate))]
    assert min(gaps) >= 1 / rate - 1e-9
    assert max(gaps) <= 1 / rate + LEAST_MARGIN + 1e-3


@pytest.mark.parametrize("rate", [50, 500])
def test_fast_requests_leave_in_small_groups(rate):
    """A timer for each would be late each time; a twenty-fifth of a second's worth is no burst."""
    times = busy(rate, 4 * rate)
    for at in times:
        in_a_tenth = bisect_right(times, at + 0.1) - bisect_right(times, at - 1e-9)
        assert in_a_tenth <= rate / 10 + rate / 25 + 1


class Log:
    """The sends of several who share a gate, each with the rate that was allowed then."""

    def __init__(self, gate):
        self.gate = gate
        self.entries: list[tuple[float, float]] = []

    async def send(self, count):
        for _ in range(count):
            (await self.gate.acquire()).sent()
            self.entries.append((now(), self.gate.rate))

    async def send_late(self, delays):
        """Requests that leave so long after their permission, or (negative) not at all."""

        async def leave(permit, delay):
            await asyncio.sleep(abs(delay))
            if delay >= 0:
                permit.sent()
                self.entries.append((now(), self.gate.rate))
            permit.close()

        async with asyncio.TaskGroup() as tasks:
            for delay in delays:
                tasks.create_task(leave(await self.gate.acquire(), delay))

    def check(self):
        times = [at for at, _ in self.entries]
        assert times == sorted(times)
        for at, rate in self.entries:
            if math.isinf(rate):
                continue
            in_the_second = bisect_right(times, at) - bisect_right(times, at - 1.0)
            assert in_the_second <= max(1, rate), (at, rate)
        for (earlier, _), (later, rate) in pairwise(self.entries):
            assert later - earlier >= (1 / rate if rate < 1 else 0)


RATES = st.floats(0.2, 60) | st.sampled_from([1.0, 5.0, 7.5, 50.0])
SIGNALS = st.builds(
    RateSignal,
    limit=st.none() | RATES,
    retry_after=st.none() | st.floats(0, 3),
    limited=st.booleans(),
)
DELAYS = st.floats(0, 0.3) | st.floats(0, 3)


@settings(deadline=None, max_examples=150)
@given(
    rate=RATES | st.just(math.inf),
    follow=st.booleans(),
    demands=st.lists(st.tuples(DELAYS, st.integers(1, 60)), min_size=1, max_size=4),
    answers=st.lists(st.tuples(DELAYS, SIGNALS, st.floats(0, 0.5)), max_size=12),
)
@example(  # what was sent at the higher limit counts when it comes back
    rate=50.0,
    follow=True,
    demands=[(0.0, 150)],
    answers=[(1.9, RateSignal(50), 0)] + [(0.01, RateSignal(limit), 0) for limit in (5, 50) * 5],
)
@example(
    rate=math.inf, follow=False, demands=[(0, 60), (0.5, 9)], answers=[(0.2, RateSignal(5), 0)]
)
@example(rate=1.0, follow=True, demands=[(0.2, 9)], answers=[(0, RateSignal(5), 0)])
def test_the_promise_holds_whatever_is_asked_and_whatever_the_server_says(
    rate, follow, demands, answers
):
    async def demand(log, delay, count):
        await asyncio.sleep(delay)
        await log.send(count)

    async def listen(gate):
        for delay, signal, ago in answers:
            await asyncio.sleep(delay)
            gate.observe(signal, now() - ago)

    async def work():
        log = Log(Gate(rate, follow=follow))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listen(log.gate))
            for delay, count in demands:
                tasks.create_task(demand(log, delay, count))
        return log

    log = virtual.run(work())
    assert len(log.entries) == sum(count for _, count in demands)
    log.check()
    if math.isfinite(rate):
        assert log.entries[0][0] >= 1.0


@settings(deadline=None, max_examples=100)
@given(
    rate=RATES,
    groups=st.lists(st.lists(st.just(0.0) | st.floats(-2, 2), max_size=40), min_size=1, max_size=3),
)
def test_the_promise_holds_for_requests_that_leave_late_or_never(rate, groups):
    """A new connection takes a while to be made, and may not be made at all."""

    async def work():
        log = Log(Gate(rate))
        async with asyncio.TaskGroup() as tasks:
            for delays in groups:
                tasks.create_task(log.send_late(delays))
        return log

    log = virtual.run(work())
    assert len(log.entries) == sum(delay >= 0 for delays in groups for delay in delays)
    log.check()


def test_idle_time_is_no_credit():
    async def work():
        gate = Gate(5)
        await asyncio.sleep(3600)
        return await sends(gate, 11)

    times = virtual.run(work())
    assert times[0] == pytest.approx(3600, abs=1e-3)
    assert times[1] - times[0] >= 0.2 - 1e-9
    assert most_in_a_second(times) == 5


def test_one_who_gives_up_waiting_holds_nobody():
    async def work():
        gate = Gate(5)
        waiting = [asyncio.create_task(gate.acquire()) for _ in range(3)]
        await asyncio.sleep(0.5)
        for task in waiting[:2]:
            task.cancel()
        (await waiting[2]).sent()
        return now(), await sends(gate, 10)

    first, times = virtual.run(work())
    assert first <= 1.1
    assert most_in_a_second([first, *times]) == 5


# --- what the server says --------------------------------------------------------------------


def after(signals, count=1, *, rate=5.0):
    """The seconds from the last of `signals` (each with a wait before it) to the sends after it."""

    async def work():
        gate = Gate(rate)
        await asyncio.sleep(10)
        for wait, signal in signals:
            await asyncio.sleep(wait)
            gate.observe(signal, now())
        told_at = now()
        everyone = [asyncio.create_task(sends(gate, 1)) for _ in range(count)]
        return [time - told_at for task in everyone for time in await task]

    return virtual.run(work())


@pytest.mark.parametrize(
    ("signal", "wait"),
    [
        (RateSignal(limited=True, retry_after=7.0), 7),
        (RateSignal(limited=True, retry_after=0.25), 0.25),
        (RateSignal(limited=True), 1),
        (RateSignal(retry_after=30.0), 30),  # a 503
        (RateSignal(limited=True, retry_after=0.0), 0),
        (RateSignal(), 0),
    ],
)
def test_everyone_waits_as_long_as_the_server_says_and_then_leaves_one_by_one(signal, wait):
    waits = after([(0, signal)], count=6)
    assert waits[0] == pytest.approx(wait, abs=0.01)
    assert all(later - earlier >= 0.2 - 1e-9 for earlier, later in pairwise(waits))


def test_pauses_take_the_latest_end_and_never_add_up():
    long, short = RateSignal(limited=True, retry_after=8.0), RateSignal(limited=True, retry_after=3)
    assert after([(0, long), (1, long), (1, long)])[0] == pytest.approx(8, abs=0.01)
    assert after([(0, long), (2, short)])[0] == pytest.approx(6, abs=0.01)
    assert after([(0, short), (1, long)])[0] == pytest.approx(8, abs=0.01)


def test_a_pause_holds_those_who_wait_already():
    async def work():
        gate = Gate(5)
        times = await sends(gate, 3)
        waiting = asyncio.create_task(sends(gate, 5))
        await asyncio.sleep(0.1)
        gate.observe(RateSignal(limited=True, retry_after=20.0), times[-1])
        return now(), await waiting

    told_at, times = virtual.run(work())
    assert times[0] - told_at >= 20 - 1e-9
    assert all(later - earlier >= 0.2 - 1e-9 for earlier, later in pairwise(times))


def rate_over(gate, seconds=20):
    """What can be sent in a second, after a second in which the gate takes in what it heard."""

    async def work():
        await sends(gate, 2 * max(1, math.ceil(gate.rate)))
        began, count = now(), 0
        while now() < began + seconds:
            (await gate.acquire()).sent()
            count += 1
        return count / (now() - began)

    return work()


def test_a_gate_that_follows_takes_the_servers_limit_up_and_down():
    async def work():
        gate = Gate(5, follow=True)
        rates = []
        for limit in (None, 20, 2, 0.5, 8.0):
            gate.observe(RateSignal(limit), now())
            rates.append((gate.rate, await rate_over(gate)))
        return rates

    told, real = zip(*virtual.run(work()), strict=True)
    assert told == (5, 20, 2, 0.5, 8)
    assert real == pytest.approx(told, rel=0.06)


def test_a_higher_limit_wakes_those_who_wait_by_a_lower_one():
    async def work():
        gate = Gate(5, follow=True)
        await sends(gate, 1)
        gate.observe(RateSignal(0.001), now())
        waiting = asyncio.create_task(sends(gate, 1))
        await asyncio.sleep(10)
        gate.observe(RateSignal(5), now())
        return waiting.done(), (await waiting)[0]

    was_done, sent_at = virtual.run(work())
    assert not was_done
    assert sent_at <= 12


def warned(rate, limits, *, follow=False):
    """The rate after each of these limits, and the warnings."""
    warnings: list[str] = []

    async def work():
        gate = Gate(rate, follow=follow, warn=warnings.append)
        rates = []
        for limit in limits:
            gate.observe(RateSignal(limit), now())
            rates.append(gate.rate)
        return rates

    return virtual.run(work()), warnings


def test_a_fixed_rate_is_lowered_by_the_servers_limit_never_raised_and_told_once():
    rates, warnings = warned(50, [100, 5, 5, None, 100, 5, 50, 5])
    assert rates == [50, 5, 5, 5, 50, 5, 50, 5]
    assert warnings == ["the server allows 5 requests/s: going at that, not 50"]


def test_refusals_for_the_rate_are_told_once_a_minute():
    warnings: list[str] = []

    async def work():
        gate = Gate(5, warn=warnings.append)
        for wait in (0, 1, 58, 2):
            await asyncio.sleep(wait)
            gate.observe(RateSignal(limited=True, retry_after=3.0), now())

    virtual.run(work())
    assert warnings == ["the server refused a request for the rate (429): pausing for 3 s"] * 2
    assert {event_of(line) for line in warnings} == {EventName.RATE_LIMITED}


def test_a_gate_that_follows_has_nothing_to_warn_of():
    assert warned(5, [3, 50], follow=True) == ([3, 50], [])


@pytest.mark.parametrize("follow", [False, True])
def test_headers_that_make_no_sense_are_told_once_and_change_nothing(follow):
    warnings: list[str] = []

    async def work():
        gate = Gate(5, follow=follow, warn=warnings.append)
        for n in range(20):
            gate.observe(RateSignal(nonsense=f"X-RateLimit-Limit 'banana{n}' is ignored"), now())
        return gate.rate, await sends(gate, 20)

    rate, times = virtual.run(work())
    assert warnings == [
        "the server's rate headers cannot be followed: X-RateLimit-Limit 'banana0' is ignored"
    ]
    assert (rate, times) == (5, busy(5, 20))


def test_a_limit_beyond_all_measure_is_none():
    assert warned(5, [1e6, 1e300], follow=True) == ([5, 5], [])
    assert warned(math.inf, [1e6, 1e300]) == ([math.inf, math.inf], [])


def test_without_a_limit_nothing_waits_until_the_server_names_one():
    warnings: list[str] = []

    async def work():
        gate = Gate(math.inf, warn=warnings.append)
        free = await sends(gate, 1000)
        gate.observe(RateSignal(5.0), now())
        return free, await sends(gate, 20)

    free, limited = virtual.run(work())
    assert free[-1] < 0.01
    assert most_in_a_second(limited) == 5
    assert limited[0] >= free[-1] + 1.0
    assert warnings == ["the server allows 5 requests/s: going at that, not unlimited"]


# --- the margin ------------------------------------------------------------------------------


async def margin(gate):
    """How much more than a second lies between send k and send k+5 at 5 requests a second."""
    times = await sends(gate, 20)
    return times[-1] - times[-6] - 1.0


def margins(steps: Callable):
    async def work():
        gate = Gate(5)
        return [await margin(gate), *[value async for value in steps(gate)]]

    return [pytest.approx(value, abs=1e-3) for value in virtual.run(work())]


def test_an_episode_of_429s_widens_the_margin_once():
    async def steps(gate):
        times = await sends(gate, 10)
        for sent_at in times[-5:]:
            await asyncio.sleep(0.01)
            gate.observe(TOO_MANY, sent_at)
        yield await margin(gate)
        gate.observe(TOO_MANY, times[-1])  # an answer that comes late is of the same episode
        yield await margin(gate)
        gate.observe(TOO_MANY, now())
        yield await margin(gate)

    widened = LEAST_MARGIN + MARGIN_STEP
    assert margins(steps) == [LEAST_MARGIN, widened, widened, widened + MARGIN_STEP]


def test_a_429_that_our_pace_did_not_cause_widens_nothing():
    """Others use the workspace too: with fewer than N of ours in that second it was theirs."""

    async def steps(gate):
        await asyncio.sleep(100)
        [sent_at] = await sends(gate, 1)
        gate.observe(TOO_MANY, sent_at)
        yield await margin(gate)

    assert margins(steps) == [LEAST_MARGIN, LEAST_MARGIN]


def test_the_answer_to_a_request_may_take_a_while():
    async def steps(gate):
        times = await sends(gate, 20)
        gate.observe(TOO_MANY, times[4])
        yield await margin(gate)

    assert margins(steps) == [LEAST_MARGIN, LEAST_MARGIN + MARGIN_STEP]


def test_it_is_learnt_from_a_429_also_if_the_request_left_a_little_after_its_permission():
    async def steps(gate):
        allowed_at = 0.0
        for _ in range(10):
            permit = await gate.acquire()
            allowed_at = now()
            await asyncio.sleep(0.01)
            permit.sent()
        gate.observe(TOO_MANY, allowed_at)
        yield await margin(gate)

    assert margins(steps) == [LEAST_MARGIN, LEAST_MARGIN + MARGIN_STEP]


def test_the_margin_has_an_end_and_goes_away_slowly():
    async def steps(gate):
        for _ in range(40):
            times = await sends(gate, 6)
            gate.observe(TOO_MANY, times[-1])
        yield await margin(gate)
        await asyncio.sleep(600)
        yield await margin(gate)
        await asyncio.sleep(24 * 3600)
        yield await margin(gate)

    halved = LEAST_MARGIN + (MOST_MARGIN - LEAST_MARGIN) / 2
    first, most, later, last = margins(steps)
    assert (first, last) == (LEAST_MARGIN, LEAST_MARGIN)
    assert most == pytest.approx(MOST_MARGIN, abs=0.01)
    assert later == pytest.approx(halved, abs=0.01)


# --- backoff ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "least", "most"), [(1, 1, 2), (2, 2, 3), (4, 8, 9), (6, 32, 33)]
)
def test_the_wait_after_a_fault_doubles_with_a_jitter(faults, least, most):
    waits = [Backoff().after(faults) for _ in range(200)]
    assert least <= min(waits) < max(waits) <= most


@pytest.mark.parametrize("faults", [7, 100, 100_000])
def test_the_wait_has_a_longest(faults):
    assert Backoff(longest=60).after(faults) == 60


# --- the breaker -----------------------------------------------------------------------------


def opened(kind="submit", *, patience=900.0, at=0.0):
    breaker = Breaker(patience)
    for n in range(5):
        assert not breaker.is_open
        breaker.fault(kind, at + n)
    assert breaker.is_open
    return breaker


@pytest.mark.parametrize("kind", ["submit", "look"])
def test_five_faults_in_a_row_of_one_kind_open_it(kind):
    breaker = opened(kind, at=100)
    assert 105 <= breaker.probe_due_at <= 106
    assert not breaker.is_given_up(200)


def test_an_answer_in_between_starts_the_count_anew():
    breaker = Breaker(900)
    for n in range(20):
        breaker.fault("submit", n)
        if n % 4 == 3:
            breaker.answered("submit")
    assert not breaker.is_open


def test_faults_of_different_kinds_do_not_add_up():
    breaker = Breaker(900)
    for n in range(4):
        breaker.fault("submit", n)
        breaker.fault("look", n)
    assert not breaker.is_open


def test_looks_that_are_answered_hide_no_server_that_breaks_on_every_submission():
    breaker = Breaker(900)
    for n in range(5):
        breaker.fault("submit", n)
        breaker.answered("look")
    assert breaker.is_open


def test_an_answered_probe_lets_one_submission_at_a_time_through_until_one_is_answered():
    breaker = opened()
    breaker.probed(alive=True, now=10)
    assert (breaker.is_open, breaker.is_trying) == (False, True)
    breaker.answered("look")
    assert breaker.is_trying
    breaker.fault("submit", 20)
    assert breaker.is_open
    breaker.probed(alive=True, now=30)
    breaker.answered("submit")
    assert (breaker.is_open, breaker.is_trying) == (False, False)
    breaker.fault("submit", 40)
    assert not breaker.is_open


def test_probes_come_later_and_later_and_at_least_every_half_minute():
    breaker = opened()
    at, waits = 4.0, []
    for _ in range(8):
        waits.append(breaker.probe_due_at - at)
        at = breaker.probe_due_at
        breaker.probed(alive=False, now=at)
    assert waits[0] <= 2
    assert waits[3] >= 8
    assert waits[-1] == 30


def test_a_server_that_answers_no_probe_is_given_up_after_the_patience():
    breaker = opened(patience=120, at=1000)
    while not breaker.is_given_up(breaker.probe_due_at):
        breaker.probed(alive=False, now=breaker.probe_due_at)
    assert 1120 < breaker.probe_due_at <= 1150
    assert not breaker.is_given_up(1120)


def test_a_server_that_breaks_on_every_submission_is_given_up_after_the_patience():
    breaker = opened(patience=120)
    at = 4.0
    while not breaker.is_given_up(at):
        at = breaker.probe_due_at
        breaker.probed(alive=True, now=at)
        breaker.answered("look")
        assert not breaker.is_given_up(at)
        breaker.fault("submit", at + 1)
        at += 1
    assert 120 < at <= 160


def test_a_server_that_is_back_is_not_given_up():
    breaker = opened("look", patience=120)
    breaker.probed(alive=True, now=100)
    for now_ in range(110, 10_000, 10):
        breaker.answered("look")
        assert not breaker.is_given_up(now_)


def test_the_fault_of_a_last_submission_does_not_end_a_job_that_waits_for_its_runs():
    breaker = Breaker(120)
    breaker.fault("submit", 0)
    for now_ in range(10, 10_000, 10):
        breaker.answered("look")
        assert not breaker.is_given_up(now_)


@pytest.mark.parametrize("old", ["submit", "look"])
def test_the_patience_begins_with_the_outage_not_with_an_old_fault(old):
    breaker = Breaker(120)
    breaker.fault(old, 0)
    breaker.answered("look")
    for n in range(5):
        breaker.fault("look", 5000 + n)
    breaker.probed(alive=False, now=5010)
    assert not breaker.is_given_up(5119)
    assert breaker.is_given_up(5121)


# --- when a request really leaves --------------------------------------------------------------


def test_a_request_that_leaves_late_counts_from_when_it_leaves():
    async def late(gate, delay, times):
        permit = await gate.acquire()
        await asyncio.sleep(delay)
        permit.sent()
        times.append(now())

    async def work():
        gate = Gate(5)
        times: list[float] = []
        async with asyncio.TaskGroup() as tasks:
            for n in range(60):  # every seventh makes a new connection first
                tasks.create_task(late(gate, 0.4 if n % 7 == 0 else 0.0, times))
        return sorted(times)

    assert most_in_a_second(virtual.run(work())) <= 5


def test_a_request_that_does_not_leave_holds_its_place_until_it_is_over():
    async def work():
        gate = Gate(2)
        stuck = [await gate.acquire() for _ in range(2)]
        waiting = asyncio.create_task(gate.acquire())
        await asyncio.sleep(30)
        held = not waiting.done()
        stuck[0].close()
        (await waiting).sent()
        return held, now()

    held, allowed_at = virtual.run(work())
    assert held
    assert allowed_at <= 32.5


# --- questions that cost nothing -------------------------------------------------------------

FAULTS = [NotSent("refused"), MaybeSent("reset"), Malformed("<html>"), Refused()]
ANSWERS = [Facts({"id": "ws"}), JobStops("GRID_NOT_FOUND", "none")]


def asked(replies, patience=900.0, rate=5.0):
    """Ask `patiently` a server that gives these replies, the last one for ever."""
    faults: list[Reply] = []
    times: list[float] = []

    async def request(on_sent):
        on_sent()
        times.append(now())
        return replies[min(len(times), len(replies)) - 1]

    async def work():
        gate = Gate(rate)
        reply = await patiently(gate, request, patience=patience, on_fault=faults.append)
        return reply, now()

    reply, ended_at = virtual.run(work())
    return reply, faults, times, ended_at


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_free_question_is_asked_until_it_is_answered(fault, answer):
    replies = [Reply(fault)] * 3 + [Reply(answer)]
    reply, faults, times, _ = asked(replies)
    assert reply == replies[-1]
    assert faults == replies[:3]
    assert len(times) == 4


@pytest.mark.parametrize("fault", FAULTS)
def test_after_the_patience_the_last_fault_is_the_answer(fault):
    reply, faults, times, ended_at = asked([Reply(fault)], patience=900)
    assert reply == Reply(fault)
    assert len(faults) == len(times) - 1
    assert 900 <= ended_at <= 935
    assert 25 <= len(times) <= 60


def test_a_free_question_keeps_to_the_limit_and_to_what_it_is_told():
    wait = Reply(Refused(), RateSignal(limit=5.0, retry_after=40.0, limited=True))
    _, _, times, _ = asked([wait, wait, Reply(Facts({}))])
    assert times[0] >= 1.0
    assert all(later - earlier >= 40 for earlier, later in pairwise(times))


def test_without_patience_a_question_is_asked_once():
    _, faults, times, _ = asked([Reply(NotSent("refused"))], patience=0)
    assert (len(times), faults) == (1, [])
