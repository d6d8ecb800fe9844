"""Held, polled, or either: the engine with the real provider and HTTP client, in virtual time."""

import asyncio
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from enricher.engine import ANSWER_GRACE, HOLD_GRACE, Engine
from enricher.model import Mode, State, Stop, StopCode
from enricher.providers.bitscale import HOLD
from enricher.simulator import GRIDS, Request, Settings, outputs_for, parse_duration
from tests.support import virtual
from tests.support.lives import World, companies
from tests.support.network import Canned, Trouble

MODES = [*Mode]
CTRL_C = Stop(StopCode.SIGNAL, "SIGINT", 2)


def world_of(folder: Path, duration: str, mode: Mode = Mode.SYNC, **more) -> World:
    settings = {"duration": parse_duration(duration), **more.pop("settings", {})}
    return World(folder, settings=Settings(**settings), mode=mode, **more)


def is_submission(request: Request) -> bool:
    return request.method == "POST"


def once(trouble: Trouble | Canned):
    """That trouble for the first submission."""
    left = [trouble]

    def script(request: Request) -> Trouble | Canned | None:
        return left.pop() if is_submission(request) and left else None

    return script


def modes_sent(world: World) -> list[str]:
    """What each submission that arrived asked for, in order."""
    requests = [sent.request for sent in world.network.arrived]
    return [json.loads(each.body)["mode"] for each in requests if is_submission(each)]


def runs_of(world: World) -> Counter[str]:
    """How often each company was run at the provider."""
    return Counter(str(run.inputs["company_name"]) for run in world.workspace.runs)


def once_each(rows: list[dict[str, str]]) -> Counter[str]:
    return Counter(row["company_name"] for row in rows)


def states(world: World, rows: list[dict[str, str]]) -> Counter[State]:
    return Counter(record.state for record in world.records(rows) if record)


def most_at_once(world: World) -> int:
    """How many runs went on at the provider at the same time."""
    runs = world.workspace.runs
    begins = [(run.submitted_at, 1) for run in runs]
    ends = [(run.ends_at, -1) for run in runs]
    return max(itertools.accumulate(change for _, change in sorted([*begins, *ends])))


def lived(world: World, rows: list[dict[str, str]], *stops: float) -> tuple[Stop | None, float]:
    """A whole life, with a Ctrl-C at each of these times; why it stopped, and when it ended."""

    def during(engine: Engine) -> None:
        for at in stops:
            asyncio.get_running_loop().call_later(at, engine.stop, CTRL_C)

    async def life() -> tuple[Stop | None, float]:
        stop = await world.live(rows, during=during)
        return stop, asyncio.get_running_loop().time()

    return virtual.run(life())


# --- in every mode --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("duration", ["uniform:1:5", "bimodal:5:150:0.3"])
def test_every_row_is_run_once_and_has_its_own_outputs(tmp_path: Path, mode, duration):
    world = world_of(tmp_path, duration, mode)
    rows = companies(60)
    assert lived(world, rows)[0] is None
    assert runs_of(world) == once_each(rows)
    for row, record in zip(rows, world.records(rows), strict=True):
        expected = outputs_for(GRIDS[0], row)
        assert record.state is State.COMPLETED
        assert record.outputs == {id_: output["value"] for id_, output in expected.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("rate", "count"), [(5.0, 70), (40.0, 120)])
@pytest.mark.parametrize("duration", ["constant:3", "bimodal:2:130:0.2"])
def test_the_limit_is_never_broken(tmp_path: Path, mode, rate, count, duration):
    """Held answers keep their connections: a new one takes its time to be made."""
    world = world_of(tmp_path, duration, mode, rate=rate, settings={"rate": rate})
    assert lived(world, companies(count))[0] is None
    times = [sent.at for sent in world.network.arrived]
    later = itertools.islice(times, int(rate), None)
    assert all(after - before >= 1.0 for before, after in zip(times, later, strict=False))
    assert world.counts.rate_limited == world.workspace.rate_limited == 0


@pytest.mark.parametrize(("mode", "sent"), [(Mode.ASYNC, "async"), (Mode.SYNC, "sync")])
def test_the_mode_is_always_named(tmp_path: Path, mode, sent):
    """Left out, it would mean sync (5.5)."""
    world = world_of(tmp_path, "constant:3", mode)
    lived(world, companies(10))
    assert modes_sent(world) == [sent] * 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("most", [1, 7])
def test_no_more_runs_are_under_way_than_asked_for(tmp_path: Path, mode, most):
    world = world_of(tmp_path, "uniform:4:20", mode, most_in_flight=most)
    rows = companies(40)
    assert lived(world, rows)[0] is None
    assert runs_of(world) == once_each(rows)
    assert most_at_once(world) == most


@pytest.mark.parametrize("mode", MODES)
def test_runs_of_an_earlier_life_count_as_under_way(tmp_path: Path, mode):
    world = world_of(tmp_path, "constant:60", Mode.ASYNC)
    rows = companies(40)
    lived(world, rows, 4.0)
    before = len(world.workspace.runs)
    assert before > 5
    world.mode, world.most_in_flight = mode, 5
    assert lived(world, rows)[0] is None
    first_new = world.workspace.runs[before].submitted_at
    still_going_on = [run for run in world.workspace.runs[:before] if run.ends_at > first_new]
    assert len(still_going_on) < 5
    assert runs_of(world) == once_each(rows)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_paid_is_looked_at_before_anything_is_bought(tmp_path: Path, mode):
    world = world_of(tmp_path, "constant:60", Mode.ASYNC)
    rows = companies(30)
    lived(world, rows, 4.0)
    paid = {run.request_id for run in world.workspace.runs}
    before = len(world.network.arrived)
    world.mode = mode
    assert lived(world, rows[::-1])[0] is None  # so that new ones are read first
    first = [sent.request for sent in world.network.arrived[before:]][: len(paid)]
    assert {request.path.rpartition("/")[2] for request in first} == paid
    assert runs_of(world) == once_each(rows)


@pytest.mark.parametrize("mode", MODES)
def test_a_refusal_to_a_submission_is_no_doubt(tmp_path: Path, mode):
    world = world_of(tmp_path, "constant:3", mode)
    world.network.script = once(Canned(429, b"{}", (("Retry-After", "3"),)))
    rows = companies(5)
    assert lived(world, rows)[0] is None
    assert states(world, rows) == {State.COMPLETED: 5}
    assert runs_of(world) == once_each(rows)


# --- held -----------------------------------------------------------------------------------------


def test_short_runs_need_one_request_each(tmp_path: Path):
    world = world_of(tmp_path, "uniform:1:20")
    rows = companies(100)
    stop, seconds = lived(world, rows)
    assert stop is None
    assert len(world.network.arrived) == world.counts.submit == 100
    assert (world.counts.poll, world.counts.accepted) == (0, 100)
    assert seconds <= 100 / 5 * 1.1 + 20 + 1


def test_a_failed_run_is_told_by_the_held_answer(tmp_path: Path):
    """In both forms: 200 with the status failed, and 500 RUN_FAILED (5.6)."""
    world = world_of(tmp_path, "constant:3", settings={"fail_rate": 1.0})
    rows = companies(12)
    assert lived(world, rows)[0] is None
    assert states(world, rows) == {State.FAILED: 12}
    assert {record.code for record in world.records(rows)} == {"RUN_FAILED"}
    assert len({bool(record.message) for record in world.records(rows)}) == 2
    assert world.counts.poll == 0


@pytest.mark.parametrize("duration", ["constant:119.9", "constant:120.1", "constant:200"])
def test_runs_are_handed_over_when_they_outlast_the_hold(tmp_path: Path, duration):
    world = world_of(tmp_path, duration)
    rows = companies(15)
    assert lived(world, rows)[0] is None
    assert states(world, rows) == {State.COMPLETED: 15}
    assert runs_of(world) == once_each(rows)
    outlasts = float(duration.partition(":")[2]) > HOLD
    looked_at = {
        sent.request.path for sent in world.network.arrived if not is_submission(sent.request)
    }
    assert len(looked_at) == (15 if outlasts else 0)


def test_a_run_that_was_handed_over_is_not_looked_at_at_once(tmp_path: Path):
    world = world_of(tmp_path, "constant:150")
    assert lived(world, companies(10))[0] is None
    submitted = {run.request_id: run.submitted_at for run in world.workspace.runs}
    looks: dict[str, list[float]] = {}
    for sent in world.network.arrived:
        if not is_submission(sent.request):
            id_ = sent.request.path.rpartition("/")[2]
            looks.setdefault(id_, [submitted[id_] + HOLD]).append(sent.at)
    assert looks.keys() == submitted.keys()
    for times in looks.values():
        assert all(later - sooner >= 2 for sooner, later in itertools.pairwise(times))


def test_the_run_timeout_counts_from_the_submission(tmp_path: Path):
    """Not from the hand-over, two minutes later."""
    world = world_of(tmp_path, "constant:1000", run_timeout=150.0)
    rows = companies(1)
    stop, seconds = lived(world, rows)
    assert stop is None
    record = world.record(rows[0])
    assert (record.state, record.code) == (State.STALLED, "RUN_TIMEOUT")
    assert 150 < seconds < HOLD + 150


@pytest.mark.parametrize(
    "trouble", [Trouble.LOST_AFTER, Trouble.LOST_BEFORE, Trouble.CUT, Trouble.HANG]
)
@pytest.mark.parametrize("duration", ["constant:5", "constant:130"])
def test_a_lost_answer_is_in_doubt_and_never_resent(tmp_path: Path, trouble, duration):
    world = world_of(tmp_path, duration)
    world.network.script = once(trouble)
    rows = companies(5)
    stop, seconds = lived(world, rows)
    assert stop is None
    assert max(runs_of(world).values()) == 1
    assert states(world, rows) == {State.IN_DOUBT: 1, State.COMPLETED: 4}
    if trouble is Trouble.HANG:
        assert seconds >= HOLD + HOLD_GRACE, "the server may answer until then"
    assert lived(world, rows)[0] is None
    assert max(runs_of(world).values()) == 1


def test_a_server_that_hangs_costs_few_doubts(tmp_path: Path):
    """Nothing is known of the runs yet: ten are held, and then one at a time."""
    world = world_of(tmp_path, "constant:5", rate=50, settings={"rate": 50})
    world.network.script = lambda request: Trouble.HANG if is_submission(request) else None
    rows = companies(500)
    assert lived(world, rows)[0].code is StopCode.SERVER_GONE
    assert set(states(world, rows)) == {State.IN_DOUBT}
    assert 10 <= states(world, rows).total() <= 20


# --- stopped --------------------------------------------------------------------------------------


def test_a_stop_waits_for_held_answers_and_keeps_their_results(tmp_path: Path):
    world = world_of(tmp_path, "constant:60")
    rows = companies(30)
    stop, seconds = lived(world, rows, 3.0)
    assert stop == CTRL_C
    assert len(world.workspace.runs) < 30
    assert max(run.submitted_at for run in world.workspace.runs) <= 3.0
    assert states(world, rows) == {State.COMPLETED: len(world.workspace.runs)}
    assert 60 < seconds < 3 + 60 + 1
    (told,) = world.warnings
    assert f"{len(world.workspace.runs)} requests" in told
    assert "135 s" in told
    assert lived(world, rows)[0] is None
    assert runs_of(world) == once_each(rows)


def test_a_run_that_outlasts_the_hold_after_a_stop_keeps_its_id(tmp_path: Path):
    world = world_of(tmp_path, "constant:300")
    rows = companies(30)
    _, seconds = lived(world, rows, 3.0)
    bought = len(world.workspace.runs)
    assert states(world, rows) == {State.RUNNING: bought}
    assert HOLD < seconds < 3 + HOLD + HOLD_GRACE
    assert world.counts.poll == 0
    assert lived(world, rows)[0] is None
    assert states(world, rows) == {State.COMPLETED: 30}
    assert runs_of(world) == once_each(rows)


def test_a_stop_waits_no_longer_than_the_hold_and_its_grace(tmp_path: Path):
    world = world_of(tmp_path, "constant:5")
    world.network.script = lambda request: Trouble.HANG if is_submission(request) else None
    rows = companies(30)
    _, seconds = lived(world, rows, 3.0)
    assert seconds <= 3 + HOLD + HOLD_GRACE
    assert set(states(world, rows)) == {State.IN_DOUBT}


def test_a_stop_waits_only_shortly_for_answers_that_are_not_held(tmp_path: Path):
    world = world_of(tmp_path, "constant:60", Mode.ASYNC)
    world.network.script = lambda request: Trouble.HANG if is_submission(request) else None
    rows = companies(30)
    _, seconds = lived(world, rows, 3.0)
    assert 3 + ANSWER_GRACE <= seconds <= 3 + ANSWER_GRACE + 1
    assert set(states(world, rows)) == {State.IN_DOUBT}
    assert world.warnings == []


def test_a_second_stop_leaves_what_is_held_in_doubt(tmp_path: Path):
    world = world_of(tmp_path, "constant:60")
    rows = companies(30)
    stop, seconds = lived(world, rows, 3.0, 5.0)
    assert stop == CTRL_C
    assert seconds < 5.5
    assert states(world, rows) == {State.IN_DOUBT: len(world.workspace.runs)}
    assert lived(world, rows)[0] is None
    assert runs_of(world) == once_each(rows)


# --- either ---------------------------------------------------------------------------------------


def test_auto_holds_short_runs_once_they_are_known_and_says_so_once(tmp_path: Path):
    world = world_of(tmp_path, "uniform:4:12", Mode.AUTO)
    rows = companies(220)
    stop, seconds = lived(world, rows)
    assert stop is None
    assert runs_of(world) == once_each(rows)
    sent = modes_sent(world)
    held = sent.count("sync")
    assert sent == ["async"] * (220 - held) + ["sync"] * held
    assert held >= 110
    (told,) = world.warnings
    assert "going on in sync mode" in told
    assert "in doubt" in told
    two_requests_each = 2 * 220 / 5
    assert seconds < 0.85 * two_requests_each


@pytest.mark.parametrize(
    ("duration", "rows", "more"),
    [
        ("constant:200", 100, {}),
        ("constant:200", 60, {"most_in_flight": 10}),
        ("uniform:4:12", 60, {}),
        ("constant:20", 100, {"most_in_flight": 5}),
        ("uniform:4:12", 150, {"rate": 1000.0, "settings": {"rate": None}}),
    ],
    ids=["long", "long and few at once", "few left", "few at once", "no limit to speak of"],
)
def test_auto_goes_on_polling_where_holding_gains_nothing(tmp_path: Path, duration, rows, more):
    world = world_of(tmp_path, duration, Mode.AUTO, **more)
    assert lived(world, companies(rows))[0] is None
    assert modes_sent(world) == ["async"] * rows
    assert world.warnings == []


@pytest.mark.parametrize("mode", [Mode.ASYNC, Mode.SYNC])
def test_a_mode_that_was_asked_for_is_kept(tmp_path: Path, mode):
    world = world_of(tmp_path, "uniform:4:12", mode)
    assert lived(world, companies(220))[0] is None
    assert set(modes_sent(world)) == {mode.value}
    assert world.warnings == []


# --- what is told while it works ------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.ASYNC, Mode.SYNC])
def test_what_is_left_is_estimated_well(tmp_path: Path, mode):
    world = world_of(tmp_path, "uniform:5:20", mode)
    rows = companies(220)
    told = []

    def during(engine: Engine) -> None:
        def look() -> None:
            now = asyncio.get_running_loop().time()
            left = 220 - len(world.workspace.runs)
            told.append((now, engine.in_flight, engine.estimate(left)))

        asyncio.get_running_loop().call_later(0.5, look)
        asyncio.get_running_loop().call_later(30.0, look)

    async def life() -> float:
        await world.live(rows, during=during)
        return asyncio.get_running_loop().time()

    ended = virtual.run(life())
    (_, _, early), (now, in_flight, estimate) = told
    assert early is None
    assert in_flight > 10
    assert now + estimate.seconds == pytest.approx(ended, rel=0.15)
    waited = world.engine.median_wait()
    assert waited is not None
    assert abs(waited) < 1e-6 if mode is Mode.SYNC else 0 < waited < 20
