"""Caps: where they stop a job, with what code, and how it goes on."""

from collections import Counter
from typing import Any

import pytest

from tests.acceptance.desk import COMPANIES, Desk, cells
from tests.acceptance.proxy import proxy_before

RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json")
FAST = ("--rate", "unlimited")
CHECKPOINT = "out.csv.checkpoint.db"
RESUME = ("resume", CHECKPOINT, "--json", *FAST)
TOTAL = 30


@pytest.fixture
def desk(desk: Desk) -> Desk:
    return with_leads(desk)


def with_leads(desk: Desk) -> Desk:
    rows = (f"{n},Company {n},c{n}.com" for n in range(TOTAL))
    desk.write("leads.csv", ["No.,Company Name,Website", *rows])
    return desk


def stopped(desk: Desk, *words: object, code: int, reason: str) -> dict[str, Any]:
    """A command that a cap stops; its summary counts the rows of the partial output."""
    told: dict[str, Any] = desk.do(*words, exits=code).json
    assert (told["outcome"], told["exit_code"]) == ("stopped", code)
    assert (told["reason_code"], told["error"]) == (reason, None)
    assert told["reason"]
    partial = cells(desk.folder / "out.partial.csv").column("enrichment_status")
    assert not (desk.folder / "out.csv").exists()
    counts = Counter(partial)
    assert counts.total() == TOTAL
    for status in ("completed", "failed", "skipped", "pending", "in_doubt"):
        assert told["rows"][status] == counts[status], status
    return told


def finished(desk: Desk, *words: object) -> None:
    told = desk.do(*words, exits=0).json
    assert told["rows"]["completed"] == TOTAL
    assert not (desk.folder / "out.partial.csv").exists()
    assert set(bought(desk).values()) == {1}
    assert len(desk.bought) == TOTAL


def bought(desk: Desk) -> Counter[str]:
    return Counter(run["company_name"] for run in desk.bought)


def test_max_runs_is_exact_and_given_anew(desk: Desk) -> None:
    command = (*RUN, *FAST, "--max-runs", "8")
    told = stopped(desk, *command, code=4, reason="max_runs")
    assert told["runs"]["submitted"] == told["rows"]["completed"] == len(desk.bought) == 8
    assert told["rows"]["reused"] == 0
    told = stopped(desk, *command, code=4, reason="max_runs")
    assert (told["rows"]["reused"], len(desk.bought)) == (8, 16)
    finished(desk, *RESUME)


def test_max_credits_holds_for_the_pass_and_is_kept_by_resume(desk: Desk) -> None:
    told = stopped(desk, *RUN, *FAST, "--max-credits", "20", code=5, reason="max_credits")
    first = len(desk.bought)
    assert 1 <= first <= 10
    assert told["rows"]["completed"] == first
    stopped(desk, *RESUME, code=5, reason="max_credits")
    assert len(desk.bought) <= 10
    finished(desk, *RESUME, "--max-credits", "1000")


def test_max_failures_stops_and_a_higher_limit_goes_on(new_desk) -> None:
    desk = with_leads(new_desk(fail_rate=1.0))
    told = stopped(
        desk, *RUN, "--rate", "20", "--max-failures", "1", "--max-in-flight", "5",
        code=5, reason="max_failures",
    )  # fmt: skip
    assert told["rows"]["failed"] >= 1
    assert "RUN_FAILED" in told["reason"] or "failed" in told["reason"]
    told = desk.do(*RESUME, "--max-failures", "999", exits=3).json
    assert told["rows"]["failed"] == TOTAL
    assert set(bought(desk).values()) == {1}


def test_stop_after_stops_and_the_same_later_goes_on(desk: Desk) -> None:
    told = stopped(desk, *RUN, "--rate", "2", "--stop-after", "4s", code=4, reason="stop_after")
    assert told["rows"]["pending"] == TOTAL - len(desk.bought) > 0
    finished(desk, *RESUME)


def test_credits_that_are_not_told_cannot_be_capped(desk: Desk) -> None:
    with proxy_before(desk.world.port) as proxy:
        proxy.tells_credits = False
        words = (*RUN, *FAST, "--max-credits", "5")
        said = desk.do(*words, exits=2, env=proxy.env)
        assert "--max-credits needs a provider that tells its credits" in said.err
        assert said.json["error"]["code"] == "usage_error"
        desk.do("plan", *words[1:], exits=2, env=proxy.env)
    assert desk.files() == ["leads.csv"]


WRONG = {
    ("--max-runs", "0"): "x>=1",
    ("--max-runs", "many"): "'many' is not a valid integer",
    ("--max-credits", "0"): "x>0",
    ("--max-credits", "nan"): "--max-credits: Input should be",
    ("--max-failures", "120%"): "'120%' is not a whole number, or a share such as 5%",
    ("--max-failures", "-1"): "'-1' is not a whole number, or a share such as 5%",
    ("--stop-after", "soon"): "'soon' is not a number with a unit",
    ("--max-outage", "5"): "'5' is not a number with a unit",
    ("--in-doubt", "maybe"): "'hold', 'retry', 'fail'",
    ("--refresh-after", "soon"): "'soon' is not a number with a unit",
    ("--max-attempts", "0"): "x>=1",
}


def test_wrong_values_are_told_with_the_form_of_the_option(desk: Desk) -> None:
    for some in (list(WRONG)[:4], list(WRONG)[4:8], list(WRONG)[8:]):
        lives = [desk.start("run", "leads.csv", "--grid", "x", *words) for words in some]
        for words, life in zip(some, lives, strict=True):
            said = life.end(exits=2)
            assert words[0] in said.err
            assert WRONG[words] in said.err
    assert desk.files() == ["leads.csv"]
