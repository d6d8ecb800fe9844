"""What runs do: time, holding, failures, rows, credits, keys (BitScale API v1, 5.5 to 6)."""

from collections import Counter

import pytest

from enricher.simulator import Held, Settings
from enricher.simulator.durations import Constant, Uniform
from enricher.simulator.grids import COMPANIES, PEOPLE, WEBSITES
from enricher.simulator.routes import Endpoint
from enricher.simulator.runs import Fate, Mode, fate_of, seconds_of
from tests.simulator.driving import ACME, Driver


def company(number: int) -> dict[str, str]:
    return {"company_name": f"Company {number}", "website": f"c{number}.example"}


def hold(driver: Driver, **fields: object) -> Held:
    held = driver.send("POST", f"/grids/{COMPANIES.id}/run", {"inputs": ACME, **fields})
    assert isinstance(held, Held)
    return held


@pytest.mark.parametrize("fields", [{}, {"mode": "sync"}, {"mode": None}])
def test_a_sync_run_is_held_until_it_ends(fields) -> None:
    driver = Driver(duration=Constant(7))
    assert hold(driver, **fields).until == driver.now + 7


def test_a_sync_run_that_ends_at_the_deadline_is_answered_with_outputs() -> None:
    driver = Driver(duration=Constant(120))
    begun = driver.now
    assert driver.run().body["status"] == "completed"
    assert driver.now == begun + 120


def test_a_slow_sync_run_is_handed_over_after_120_seconds() -> None:
    driver = Driver(duration=Constant(121))
    begun = driver.now
    body = driver.run().body
    assert driver.now == begun + 120
    assert (body["mode"], body["status"]) == ("async", "running"), "the document says async here"
    assert body["poll_url"].endswith(body["request_id"])

    assert driver.status(body["request_id"]).body == {
        "mode": "sync",
        "status": "running",
        "grid_id": COMPANIES.id,
    }
    driver.now = begun + 121
    assert driver.status(body["request_id"]).body["status"] == "completed"


def test_a_run_goes_on_when_nobody_waits_for_it() -> None:
    driver = Driver()
    request_id = hold(driver).request_id
    driver.now += 3
    assert driver.status(request_id).body["status"] == "completed"


def test_a_held_request_that_does_not_exist() -> None:
    assert Driver().workspace.finish_held("nonsense", 0).status == 404


def test_a_run_ends_exactly_when_its_duration_is_over() -> None:
    driver = Driver(duration=Constant(3))
    request_id = driver.start()
    driver.now += 2.999
    assert driver.status(request_id).body["status"] == "running"
    driver.now += 0.001
    assert driver.status(request_id).body["status"] == "completed"


def test_polling_a_finished_run_again_changes_nothing() -> None:
    driver = Driver()
    request_id = driver.start()
    driver.now += 3
    first = driver.status(request_id)
    driver.now += 10_000
    assert driver.status(request_id) == first


def test_every_run_appends_a_row_and_spends_credits() -> None:
    driver = Driver(credits_per_run=2)
    before = driver.get("/workspace").body["credits"]
    for number in range(3):
        driver.start(company(number % 2))  # equal inputs count too
    after = driver.get("/workspace").body["credits"]
    assert (after["used"] - before["used"], before["remaining"] - after["remaining"]) == (6, 6)
    assert driver.get(f"/grids/{COMPANIES.id}").body["row_count"] == COMPANIES.row_count + 3
    listed = driver.get("/grids", search=COMPANIES.name).body["grids"][0]
    assert listed["row_count"] == COMPANIES.row_count + 3
    assert driver.workspace.row_count(WEBSITES) == WEBSITES.row_count


def test_credits_never_fall_below_nothing() -> None:
    driver = Driver(credits_per_run=1_000_000)
    driver.start()
    assert driver.get("/workspace").body["credits"]["remaining"] == 0


def test_the_runs_are_there_to_be_looked_at() -> None:
    driver = Driver()
    first = driver.start(company(1), output_columns=[COMPANIES.outputs[0].id])
    second = driver.start(company(2))
    runs = driver.workspace.runs
    assert [run.request_id for run in runs] == [first, second]
    assert [run.inputs for run in runs] == [company(1), company(2)]
    assert (runs[0].grid_id, runs[0].mode, runs[0].fate) == (
        *(COMPANIES.id, Mode.ASYNC, Fate.COMPLETED),
    )
    assert (runs[0].submitted_at, runs[0].ends_at) == (1000.0, 1003.0)
    driver.status(first)
    driver.get("/nowhere")
    assert driver.workspace.requests == Counter({Endpoint.RUN: 2, Endpoint.STATUS: 1})
    assert driver.workspace.accepted_at == (1000.0,) * 4


def test_request_ids_follow_from_the_seed() -> None:
    one, same, other = (Driver(seed=seed) for seed in (1, 1, 2))
    ids = [one.start() for _ in range(50)]
    assert ids == [same.start() for _ in range(50)]
    assert not set(ids) & {other.start() for _ in range(50)}
    assert len(set(ids)) == 50


def test_durations_follow_from_seed_and_inputs() -> None:
    settings = Settings(duration=Uniform(1, 5), seed=3)
    seconds = [seconds_of(settings, COMPANIES, company(n)) for n in range(200)]
    assert seconds == [seconds_of(settings, COMPANIES, company(n)) for n in range(200)]
    assert all(1 <= value <= 5 for value in seconds)
    assert max(seconds) - min(seconds) > 3.5
    backwards = dict(reversed(ACME.items()))
    assert seconds_of(settings, COMPANIES, ACME) == seconds_of(settings, COMPANIES, backwards)
    assert seconds != [seconds_of(Settings(seed=4), COMPANIES, company(n)) for n in range(200)]


def test_the_people_grid_is_fast() -> None:
    assert seconds_of(Settings(duration=Constant(10)), PEOPLE, {}) == 2


def test_the_share_of_failures_is_the_fail_rate() -> None:
    settings = Settings(fail_rate=0.2)
    fates = Counter(fate_of(settings, COMPANIES, company(n)) for n in range(4000))
    assert 0.17 < 1 - fates[Fate.COMPLETED] / 4000 < 0.23
    assert 0.8 < fates[Fate.FAILED] / fates[Fate.FAILED_AS_ERROR] < 1.25


@pytest.mark.parametrize(
    ("rate", "fates"), [(0, {Fate.COMPLETED}), (1, {*Fate} - {Fate.COMPLETED})]
)
def test_nothing_or_everything_fails(rate, fates) -> None:
    settings = Settings(fail_rate=rate)
    assert {fate_of(settings, COMPANIES, company(n)) for n in range(100)} == fates


def failing(driver: Driver, fate: Fate) -> dict[str, str]:
    found = (company(n) for n in range(100))
    return next(row for row in found if fate_of(driver.settings, COMPANIES, row) is fate)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_failed_run_may_say_so_with_200(mode) -> None:
    driver = Driver(fail_rate=0.5)
    row = failing(driver, Fate.FAILED)
    if mode == "sync":
        assert driver.run(row).body == {"mode": "sync", "status": "failed"}
        return
    request_id = driver.start(row)
    assert driver.status(request_id).body["status"] == "running", "it fails at its end"
    driver.now += 3
    assert driver.status(request_id).body == {
        "mode": "async",
        "status": "failed",
        "grid_id": COMPANIES.id,
    }


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_failed_run_may_say_so_with_500(mode) -> None:
    driver = Driver(fail_rate=0.5)
    row = failing(driver, Fate.FAILED_AS_ERROR)
    answer = driver.run(row, mode=mode)
    if mode == "async":
        request_id = answer.body["request_id"]
        assert driver.status(request_id).body["status"] == "running"
        driver.now += 3
        answer = driver.status(request_id)
        assert driver.status(request_id) == answer, "it stays failed"
    assert (answer.status, answer.code) == (500, "RUN_FAILED")
    assert any(column.name in answer.body["error"]["message"] for column in COMPANIES.outputs)


def test_a_rotated_key_replaces_the_old_one_at_once() -> None:
    driver = Driver()
    request_id = driver.start()
    body = driver.post("/api-key/rotate").body
    assert set(body) == {"api_key"}
    assert body["api_key"].startswith("sk-sim-")
    assert driver.get("/workspace").code == "INVALID_API_KEY"

    driver.key = body["api_key"]
    assert driver.workspace.api_key == driver.key
    assert driver.status(request_id).status == 200, "runs outlive their key"
    assert driver.post("/api-key/rotate").body["api_key"] not in {
        *(body["api_key"], driver.settings.api_key),
    }


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0}, {"rate": -1}, {"rate": float("inf")}, {"fail_rate": 1.5}, {"api_key": ""}],
)
def test_settings_that_make_no_sense(wrong) -> None:
    with pytest.raises(ValueError, match="must"):
        Settings(**wrong)


def test_after_a_restart_an_id_of_before_is_nobody_elses() -> None:
    """The same in the same order is the same world; anything else has other ids."""
    before, again, other = Driver(), Driver(), Driver()
    ids = [before.start(company(number)) for number in range(3)]
    assert [again.start(company(number)) for number in range(3)] == ids
    assert other.start(company(2)) not in ids
    assert other.status(ids[0]).status == 404
