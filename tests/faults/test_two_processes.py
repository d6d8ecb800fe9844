"""Two processes want one checkpoint: one works, the other waits where it was asked to.

That it leaves with code 4 where it was not is told in `acceptance/test_look.py`.
"""

import signal
import threading
from collections import Counter

import pytest

from tests.acceptance.desk import COMPANIES, Desk, Life, cells, until

TOTAL = 40
ROWS = ["No.,Company Name,Website", *(f"{n},Company {n},c{n}.com" for n in range(TOTAL))]
CHECKPOINT = "out.csv.checkpoint.db"
RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json", "--rate", 10)
IN_USE = "is in use by another enricher process"


@pytest.fixture
def at_work(desk: Desk) -> Life:
    """A job in its midst."""
    desk.write("leads.csv", ROWS)
    life = desk.start(*RUN)
    until(lambda: len(desk.bought) >= 4, "four submissions")
    return life


def check_bought_once(desk: Desk) -> None:
    assert set(Counter(run["company_name"] for run in desk.bought).values()) == {1}
    assert len(desk.bought) == TOTAL
    assert set(cells(desk.folder / "out.csv").column("enrichment_status")) == {"completed"}


def test_those_who_wait_find_everything_done(desk: Desk, at_work: Life) -> None:
    commands = [RUN, ("resume", CHECKPOINT, "--json")]
    waiting = [desk.start(*command, "--retry-lock", "1m") for command in commands]
    for life in waiting:
        assert f"{IN_USE}. Waiting up to 1 min 0 s" in life.line_on_stderr()
    at_work.end(exits=0)
    for life in waiting:
        told = life.end(exits=0).json
        assert (told["outcome"], told["runs"]["submitted"]) == ("finished", 0)
    check_bought_once(desk)


def test_the_second_goes_on_where_the_first_was_killed(desk: Desk, at_work: Life) -> None:
    second = desk.start(*RUN, "--retry-lock", "1m")
    assert "Waiting" in second.line_on_stderr()
    at_work.process.kill()
    at_work.end(exits=-signal.SIGKILL)
    told = second.end().json
    assert told["runs"]["submitted"] > 0
    names = Counter(run["company_name"] for run in desk.bought)
    assert set(names.values()) == {1}
    assert told["rows"]["completed"] == TOTAL - told["rows"]["in_doubt"]


def test_who_has_waited_long_enough_leaves(desk: Desk, at_work: Life) -> None:
    at_work.process.send_signal(signal.SIGSTOP)
    second = desk.do(*RUN, "--retry-lock", "1s", exits=4)
    assert second.err.count(IN_USE) == 2, "told when it began to wait, and when it left"
    at_work.process.send_signal(signal.SIGCONT)
    at_work.end(exits=0)
    check_bought_once(desk)


def test_who_waits_can_be_stopped(desk: Desk, at_work: Life) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    waiting = [desk.start(*RUN, "--retry-lock", "1h") for _ in numbers]
    for number, life in zip(numbers, waiting, strict=True):
        assert "Waiting" in life.line_on_stderr()
        life.process.send_signal(number)
    for number, life in zip(numbers, waiting, strict=True):
        told = life.end(exits=128 + number).json
        assert (told["outcome"], told["reason_code"]) == ("stopped", "signal")
    at_work.end(exits=0)
    check_bought_once(desk)


def test_of_two_that_begin_at_once_one_begins_and_the_other_finds_its_work_done(desk: Desk) -> None:
    """Neither finds a checkpoint; whoever comes second has to look again at all that it read."""
    desk.write("leads.csv", ROWS)
    gate = threading.Barrier(2)
    ends = []

    def live() -> None:
        gate.wait()
        ends.append(desk.start(*RUN, "--retry-lock", "1m").end(exits=0).json)

    both = [threading.Thread(target=live) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(told["runs"]["submitted"] for told in ends) == [0, TOTAL]
    check_bought_once(desk)
