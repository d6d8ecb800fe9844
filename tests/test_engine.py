"""The engine with the real provider, HTTP client and checkpoint, in virtual time."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from enricher.model import State, Stop, StopCode
from enricher.simulator import GRIDS, Request, Settings, outputs_for, parse_duration
from tests.support import virtual
from tests.support.lives import World, companies
from tests.support.network import Canned, Trouble


def runs_of(world: World) -> Counter[str]:
    """How often each company was run at the provider."""
    return Counter(str(run.inputs["company_name"]) for run in world.workspace.runs)


def is_submission(request: Request) -> bool:
    return request.method == "POST"


def once(trouble: Trouble | Canned, *, submission: bool):
    """That trouble for the first request of a kind."""
    done: list[Request] = []

    def script(request: Request) -> Trouble | Canned | None:
        if done or is_submission(request) is not submission:
            return None
        done.append(request)
        return trouble

    return script


def test_every_row_is_run_once_and_its_outputs_are_on_disk(tmp_path: Path):
    world = World(tmp_path)
    rows = companies(40)
    assert virtual.run(world.live(rows)) is None
    assert runs_of(world) == Counter({row["company_name"]: 1 for row in rows})
    for row, record in zip(rows, world.records(rows), strict=True):
        expected = outputs_for(GRIDS[0], row)
        assert record.state is State.COMPLETED
        assert record.outputs == {id_: output["value"] for id_, output in expected.items()}


def test_the_limit_is_never_broken(tmp_path: Path):
    world = World(tmp_path)
    virtual.run(world.live(companies(60)))
    times = [sent.at for sent in world.network.arrived]
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[5:], strict=False))
    assert world.counts.rate_limited == 0


def test_few_requests_are_needed_for_runs_of_a_few_seconds(tmp_path: Path):
    world = World(tmp_path)
    virtual.run(world.live(companies(36)))
    assert world.counts.total <= 2.3 * 36


@pytest.mark.parametrize("trouble", [Trouble.LOST_AFTER, Trouble.LOST_BEFORE, Trouble.CUT])
def test_a_lost_answer_to_a_submission_is_in_doubt_and_never_resent(tmp_path: Path, trouble):
    world = World(tmp_path)
    world.network.script = once(trouble, submission=True)
    rows = companies(5)
    assert virtual.run(world.live(rows)) is None
    assert max(runs_of(world).values()) == 1
    states = [record.state for record in world.records(rows)]
    assert sorted(states) == [State.IN_DOUBT] + [State.COMPLETED] * 4


def test_a_submission_that_hangs_is_in_doubt_after_its_deadline(tmp_path: Path):
    world = World(tmp_path)
    world.network.script = once(Trouble.HANG, submission=True)
    rows = companies(3)
    assert virtual.run(world.live(rows)) is None
    assert [r.state for r in world.records(rows)].count(State.IN_DOUBT) == 1


def test_a_submission_that_was_not_sent_is_repeated(tmp_path: Path):
    world = World(tmp_path)
    world.network.refuse_connections = True
    rows = companies(3)

    async def life() -> Stop | None:
        loop = asyncio.get_running_loop()
        loop.call_later(60, setattr, world.network, "refuse_connections", False)
        return await world.live(rows)

    assert virtual.run(life()) is None
    assert runs_of(world) == Counter({row["company_name"]: 1 for row in rows})
    assert [record.state for record in world.records(rows)] == [State.COMPLETED] * 3


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble.LOST_AFTER,
        Trouble.HANG,
        Trouble.CUT,
        Canned(500, b'{"error": {"code": "INTERNAL_ERROR", "message": "x"}}'),
        Canned(502, b"<html>bad gateway</html>"),
        Canned(200, b"<html>"),
        Canned(200, b"[1, 2]"),
        Canned(503, b"{}", (("Retry-After", "7"),)),
        Canned(429, b"{}", (("Retry-After", "2"),)),
    ],
)
def test_a_look_is_repeated_until_it_is_answered(tmp_path: Path, trouble):
    world = World(tmp_path)
    world.network.script = once(trouble, submission=False)
    rows = companies(3)
    assert virtual.run(world.live(rows)) is None
    assert [record.state for record in world.records(rows)] == [State.COMPLETED] * 3


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Canned(429, b"{}", (("Retry-After", "3"),)), State.COMPLETED),
        (Canned(503, b"{}", (("Retry-After", "3"),)), State.COMPLETED),
        (Canned(500, b'{"error": {"code": "INTERNAL_ERROR"}}'), State.IN_DOUBT),
        (Canned(503, b"{}"), State.IN_DOUBT),
        (Canned(502, b"<html>"), State.IN_DOUBT),
        (Canned(200, b"<html>"), State.IN_DOUBT),
        (Canned(200, b'{"status": "running"}'), State.IN_DOUBT),
        (Canned(200, b'{"status": "failed"}'), State.FAILED),
        (Canned(500, b'{"error": {"code": "RUN_FAILED", "message": "m"}}'), State.FAILED),
        (Canned(400, b'{"error": {"code": "INVALID_INPUTS", "message": "m"}}'), State.FAILED),
    ],
)
def test_what_an_answer_to_a_submission_leads_to(tmp_path: Path, answer, state):
    world = World(tmp_path)
    world.network.script = once(answer, submission=True)
    rows = companies(1)
    assert virtual.run(world.live(rows)) is None
    assert world.record(rows[0]).state is state


def test_told_to_wait_everyone_waits(tmp_path: Path):
    world = World(tmp_path)
    world.network.script = once(Canned(429, b"{}", (("Retry-After", "10"),)), submission=True)
    virtual.run(world.live(companies(5)))
    times = [sent.at for sent in world.network.arrived]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) >= 9.5
    assert max(runs_of(world).values()) == 1


def test_rate_headers_that_make_no_sense_are_told_once_and_the_job_goes_on(tmp_path: Path):
    world = World(tmp_path, follow=True)
    told = (("X-RateLimit-Limit", "banana"), ("Retry-After", "soon"))
    refusals = iter([Canned(429, b"{}", told), Canned(503, b"{}", told)] * 3)
    world.network.script = lambda _: next(refusals, None)
    rows = companies(5)
    assert virtual.run(world.live(rows)) is None
    assert [record.state for record in world.records(rows)] == [State.COMPLETED] * 5
    assert world.warnings == [
        "the server's rate headers cannot be followed: X-RateLimit-Limit 'banana' is ignored;"
        " Retry-After 'soon' is taken as 1 s",
        "the server refused a request for the rate (429): pausing for 1 s",
    ]


def test_a_poison_row_fails_alone(tmp_path: Path):
    world = World(tmp_path)
    rows = companies(8)
    refused = Canned(413, b"too large")

    def script(request: Request) -> Canned | None:
        return refused if b"Company 3" in request.body else None

    world.network.script = script
    assert virtual.run(world.live(rows)) is None
    record = world.record(rows[3])
    assert (record.state, record.code) == (State.FAILED, "HTTP_413")
    assert [r.state for r in world.records(rows)].count(State.COMPLETED) == 7


def test_a_refusal_as_the_first_answer_of_a_pass_stops_the_job(tmp_path: Path):
    world = World(tmp_path)
    error = b'{"error": {"code": "INVALID_REQUEST", "message": "no"}}'
    world.network.script = lambda r: Canned(400, error) if is_submission(r) else None
    rows = companies(8)
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.REFUSED
    assert "INVALID_REQUEST" in stop.reason
    assert world.records(rows) == [None] * 8
    assert len(world.network.arrived) == 1


def test_five_refused_rows_in_a_row_stop_the_job(tmp_path: Path):
    world = World(tmp_path)
    rows = companies(30)

    def script(request: Request) -> Canned | None:
        poisoned = is_submission(request) and b"Company 0" not in request.body
        return Canned(422, b"{}") if poisoned else None

    world.network.script = script
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.REFUSED
    states = Counter(record.state for record in world.records(rows) if record)
    assert states[State.FAILED] == 5
    assert states[State.RUNNING] + states[State.COMPLETED] == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "MISSING_SOURCE"),
        (400, "INVALID_SOURCE"),
        (400, "MISSING_SOURCE_COLUMN"),
        (400, "INVALID_OUTPUT_COLUMN"),
        (402, "PAYMENT_REQUIRED"),
        (400, "INSUFFICIENT_CREDITS"),
        (403, "FEATURE_DISABLED"),
        (403, "GRID_NOT_FOUND"),
        (404, "GRID_NOT_FOUND"),
        (307, ""),
    ],
)
@pytest.mark.parametrize("submission", [True, False])
def test_an_answer_that_everyone_would_get_stops_the_job(
    tmp_path: Path, status: int, code: str, submission: bool
):
    world = World(tmp_path)
    body = f'{{"error": {{"code": "{code}", "message": "the words of the server"}}}}'.encode()
    world.network.script = once(Canned(status, body), submission=submission)
    rows = companies(20)
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.REFUSED
    assert max(runs_of(world).values(), default=0) <= 1
    world.network.script = lambda _: None
    assert virtual.run(world.live(rows)) is None
    assert runs_of(world) == Counter({row["company_name"]: 1 for row in rows})


def test_a_refused_key_stops_the_job_and_keeps_the_ids(tmp_path: Path):
    world = World(tmp_path, settings=Settings(rate=None))
    rows = companies(10)

    async def life() -> Stop | None:
        loop = asyncio.get_running_loop()
        rotate = Request("POST", "/api-key/rotate", {}, {"x-api-key": world.workspace.api_key}, b"")
        loop.call_later(2.5, lambda: world.workspace.handle(rotate, loop.time()))
        return await world.live(rows)

    assert virtual.run(life()).code is StopCode.KEY_REVOKED
    assert virtual.run(world.live(rows)) is None
    assert runs_of(world) == Counter({row["company_name"]: 1 for row in rows})


def test_a_new_key_in_the_key_file_goes_on(tmp_path: Path):
    key_file = tmp_path / "key"
    world = World(tmp_path, settings=Settings(rate=None), key_file=key_file)
    key_file.touch(mode=0o600)
    key_file.write_text(world.workspace.api_key + "\n")
    rows = companies(10)

    def rotate() -> None:
        request = Request(
            "POST", "/api-key/rotate", {}, {"x-api-key": world.workspace.api_key}, b""
        )
        world.workspace.handle(request, asyncio.get_running_loop().time())
        key_file.write_text(world.workspace.api_key)

    async def life() -> Stop | None:
        asyncio.get_running_loop().call_later(2.5, rotate)
        return await world.live(rows)

    assert virtual.run(life()) is None
    assert runs_of(world) == Counter({row["company_name"]: 1 for row in rows})
    assert len([w for w in world.warnings if "key" in w]) == 1


@pytest.mark.parametrize("rate", [5.0, 50.0])
def test_a_journal_that_is_slow_does_not_slow_the_job(rate: float, tmp_path: Path):
    """0.3 s for each group, as on a slow way to an object store: intents are written earlier."""
    rows, seconds = companies(200), []
    for commit in (0.005, 0.3):
        folder = tmp_path / str(commit)
        folder.mkdir()
        settings = Settings(rate=rate, duration=parse_duration("constant:60"))
        world = World(folder, settings, rate=rate, commit=commit)

        async def life(world: World = world) -> float:
            assert await world.live(rows) is None
            return asyncio.get_running_loop().time()

        seconds.append(virtual.run(life()))
    assert seconds[1] < 1.08 * seconds[0]


def test_stopped_in_the_middle_it_goes_on_without_paying_twice(tmp_path: Path):
    world = World(tmp_path)
    rows = companies(30)

    def stop_soon(engine) -> None:
        stop = Stop(StopCode.SIGNAL, "SIGINT", 2)
        asyncio.get_running_loop().call_later(4.0, engine.stop, stop)

    stopped = virtual.run(world.live(rows, during=stop_soon))
    assert stopped.code is StopCode.SIGNAL
    assert 0 < len(world.workspace.runs) < 30
    left = [record.state for record in world.records(rows) if record]
    assert set(left) <= {State.RUNNING, State.COMPLETED}
    assert virtual.run(world.live(rows)) is None
    assert runs_of(world) == Counter({row["company_name"]: 1 for row in rows})


def test_after_a_stop_what_is_paid_is_looked_at_before_anything_is_bought(tmp_path: Path):
    world = World(tmp_path, settings=Settings(duration=parse_duration("60")))
    rows = companies(30)

    def stop_soon(engine) -> None:
        stop = Stop(StopCode.SIGNAL, "SIGINT", 2)
        asyncio.get_running_loop().call_later(4.0, engine.stop, stop)

    virtual.run(world.live(rows, during=stop_soon))
    bought = len(world.workspace.runs)
    first = len(world.network.arrived)
    virtual.run(world.live(rows[::-1]))  # so that new ones are read first
    after = [sent.request.method for sent in world.network.arrived[first:]]
    assert after[:bought] == ["GET"] * bought


def test_a_second_stop_waits_for_no_answer(tmp_path: Path):
    world = World(tmp_path)
    world.network.script = lambda r: Trouble.HANG if is_submission(r) else None
    rows = companies(10)

    def stop_twice(engine) -> None:
        stop = Stop(StopCode.SIGNAL, "SIGINT", 2)
        for at in (2.0, 2.5):
            asyncio.get_running_loop().call_later(at, engine.stop, stop)

    async def life() -> float:
        await world.live(rows, during=stop_twice)
        return asyncio.get_running_loop().time()

    assert virtual.run(life()) < 3.0
    states = {record.state for record in world.records(rows) if record}
    assert states == {State.IN_DOUBT}


def test_equal_items_that_come_twice_are_bought_once(tmp_path: Path):
    world = World(tmp_path)
    rows = companies(5)
    assert virtual.run(world.live([*rows, *rows, *rows])) is None
    assert runs_of(world) == Counter({row["company_name"]: 1 for row in rows})


def test_a_run_older_than_the_timeout_is_given_up_and_looked_at_once_next_time(tmp_path: Path):
    world = World(tmp_path, settings=Settings(duration=parse_duration("500")), run_timeout=100.0)
    rows = companies(1)
    assert virtual.run(world.live(rows)) is None
    record = world.record(rows[0])
    assert (record.state, record.code) == (State.STALLED, "RUN_TIMEOUT")
    virtual.run(world.live(rows))
    assert world.counts.poll == 1
    assert len(world.workspace.runs) == 1


def test_a_stalled_run_that_ended_meanwhile_is_collected(tmp_path: Path):
    world = World(tmp_path, settings=Settings(duration=parse_duration("50")), run_timeout=10.0)
    rows = companies(1)

    async def lives() -> None:
        await world.live(rows)
        assert world.record(rows[0]).state is State.STALLED
        await asyncio.sleep(60)
        await world.live(rows)

    virtual.run(lives())
    assert world.record(rows[0]).state is State.COMPLETED
    assert len(world.workspace.runs) == 1


def test_a_run_that_the_server_does_not_know_is_given_up_and_not_resent(tmp_path: Path):
    world = World(tmp_path)
    missing = Canned(404, b'{"error": {"code": "REQUEST_NOT_FOUND", "message": "none"}}')
    world.network.script = lambda r: None if is_submission(r) else missing
    rows = companies(1)
    assert virtual.run(world.live(rows)) is None
    record = world.record(rows[0])
    assert (record.state, record.code) == (State.STALLED, "REQUEST_NOT_FOUND")
    assert "charged" in record.message
    assert len(world.workspace.runs) == 1


def test_an_unknown_status_is_taken_as_running_and_told_once(tmp_path: Path):
    world = World(tmp_path)
    seen: list[int] = []

    def script(request: Request) -> Canned | None:
        if is_submission(request) or len(seen) >= 4:
            return None
        seen.append(1)
        return Canned(200, b'{"status": "queued"}')

    world.network.script = script
    rows = companies(2)
    assert virtual.run(world.live(rows)) is None
    assert [record.state for record in world.records(rows)] == [State.COMPLETED] * 2
    assert len([warning for warning in world.warnings if "queued" in warning]) == 1


def test_an_outage_costs_a_handful_of_doubts_and_the_job_goes_on_after_it(tmp_path: Path):
    world = World(tmp_path)
    rows = companies(200)
    broken = Canned(500, b'{"error": {"code": "INTERNAL_ERROR"}}')

    def script(request: Request) -> Canned | None:
        return broken if 10 < asyncio.get_running_loop().time() < 300 else None

    world.network.script = script
    assert virtual.run(world.live(rows)) is None
    states = Counter(record.state for record in world.records(rows))
    assert states[State.IN_DOUBT] <= 12
    assert states[State.IN_DOUBT] + states[State.COMPLETED] == 200


def test_a_server_that_breaks_on_every_submission_costs_few_doubts_and_stops_the_job(
    tmp_path: Path,
):
    world = World(tmp_path)
    world.network.script = lambda r: Canned(500, b"{}") if is_submission(r) else None
    rows = companies(500)
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.SERVER_GONE
    assert sum(record is not None for record in world.records(rows)) <= 50


def test_a_server_that_hangs_costs_few_doubts(tmp_path: Path):
    world = World(tmp_path, rate=50, settings=Settings(rate=50))
    world.network.script = lambda r: Trouble.HANG if is_submission(r) else None
    rows = companies(500)
    stop = virtual.run(world.live(rows))
    assert stop.code is StopCode.SERVER_GONE
    assert sum(record is not None for record in world.records(rows)) <= 50


def test_a_server_that_is_gone_stops_the_job_after_its_patience(tmp_path: Path):
    world = World(tmp_path, patience=120)
    world.network.refuse_connections = True

    async def life() -> tuple[Stop | None, float]:
        return await world.live(companies(5)), asyncio.get_running_loop().time()

    stop, took = virtual.run(life())
    assert stop.code is StopCode.SERVER_GONE
    assert 120 <= took <= 180
    assert world.records(companies(5)) == [None] * 5


def test_a_poll_url_is_never_followed(tmp_path: Path):
    world = World(tmp_path)
    virtual.run(world.live(companies(3)))
    hosts = {sent.request.headers["host"] for sent in world.network.arrived}
    assert hosts == {"simulator"}


@pytest.mark.parametrize("id_", ["../../api-key/rotate", "a b", "x" * 200, "", 7, None])
def test_an_id_that_is_no_id_is_never_part_of_an_address(tmp_path: Path, id_):
    import json

    world = World(tmp_path)
    body = json.dumps({"mode": "async", "status": "running", "request_id": id_}).encode()
    world.network.script = once(Canned(200, body), submission=True)
    rows = companies(1)
    virtual.run(world.live(rows))
    assert world.record(rows[0]).state is State.IN_DOUBT
    assert all(sent.request.path.startswith("/grids/") for sent in world.network.arrived)


def test_a_run_with_an_equal_row_behind_it_is_waited_for(tmp_path: Path):
    world = World(tmp_path, Settings(duration=parse_duration("constant:9")))
    rows = companies(10)
    again = rows[-1]  # in the next batch, while its run has only begun
    assert virtual.run(world.live([*rows, again])) is None
    assert max(runs_of(world).values()) == 1
    assert [record.state for record in world.records(rows)] == [State.COMPLETED] * 10


def test_an_answer_that_is_lost_now_and_then_holds_up_nothing(tmp_path: Path):
    """One request in 60 is never answered, and is given up after its deadline only."""
    rows, seconds = companies(400), []
    for name, lost in (("none", 0), ("some", 60)):
        folder = tmp_path / name
        folder.mkdir()
        world = World(folder, Settings(duration=parse_duration("constant:40")))
        numbers = itertools.count(1)

        def script(
            _: Request, numbers: Iterator[int] = numbers, lost: int = lost
        ) -> Trouble | None:
            return Trouble.HANG if lost and next(numbers) % lost == 0 else None

        world.network.script = script

        async def life(world: World = world) -> float:
            assert await world.live(rows) is None
            return asyncio.get_running_loop().time()

        seconds.append(virtual.run(life()))
    assert seconds[1] < 1.25 * seconds[0]


def test_a_server_that_hangs_costs_a_handful_of_doubts(tmp_path: Path):
    world = World(tmp_path, patience=200)
    world.network.script = lambda _: Trouble.HANG
    rows = companies(100)
    assert virtual.run(world.live(rows)).code is StopCode.SERVER_GONE
    states = [record.state for record in world.records(rows) if record]
    assert states == [State.IN_DOUBT] * len(states)
    assert len(states) <= 10


def test_stopped_twice_what_never_left_is_not_in_doubt(tmp_path: Path):
    world = World(tmp_path)
    world.network.latency = 20.0  # most of it to be connected
    rows = companies(3)

    def during(engine):
        for at in (5.0, 5.5):
            stop = Stop(StopCode.SIGNAL, "SIGINT", 2)
            asyncio.get_running_loop().call_later(at, engine.stop, stop)

    virtual.run(world.live(rows, during=during))
    assert world.network.arrived == []
    assert world.records(rows) == [None] * 3
