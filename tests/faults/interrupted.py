"""One job, interrupted by a signal at random moments until it is finished; then looked through.

The seed gives the job's list, its pace and the moments. Real time gives what the moments hit: the
same seed is the same job, interrupted somewhere near.
"""

import json
import random
import re
import signal
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.acceptance.desk import (
    COMPANIES,
    STATUS,
    Desk,
    Life,
    Said,
    answers,
    assert_reads_as,
    cells,
    desk_in,
    items,
    until,
)

CHECKPOINT = "out.csv.checkpoint.db"
MOST_LIVES = 40
"""A job that is not finished by then will never be."""

POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Plan:
    """What a seed says of a job.

    Attributes:
        signals: drawn from for each life; all may be SIGKILL.
        longest: seconds a life may last once its first request came in.
        sends_doubts_again: whether what is in doubt at the end is sent again then.
    """

    seed: int
    signals: Sequence[int] = (signal.SIGKILL,)

    @property
    def rows(self) -> int:
        return random.Random(f"rows {self.seed}").randint(30, 90)

    @property
    def distinct(self) -> int:
        return self.rows - self.rows // 6

    @property
    def rate(self) -> int:
        return random.Random(f"rate {self.seed}").choice([20, 40, 80])

    @property
    def longest(self) -> float:
        return self.distinct / self.rate

    @property
    def mode(self) -> str:
        return random.Random(f"mode {self.seed}").choice(["async", "async", "sync"])

    @property
    def sends_doubts_again(self) -> bool:
        return self.seed % 2 == 1

    @property
    def command(self) -> tuple[str, ...]:
        where = ("run", "leads.csv", "--grid", COMPANIES.id, "-o", "out.csv", "--json")
        return (*where, "--rate", f"{self.rate}", "--mode", self.mode)

    def leads(self) -> list[str]:
        """Some rows are equal; the last has nothing to send."""
        numbers = range(self.rows)
        rows = (f"{n:03},Company {n % self.distinct},c{n % self.distinct}.com" for n in numbers)
        return ["No.,Company Name,Website", *rows, f"{self.rows:03},,"]


@dataclass
class Played:
    """What became of a job. `known`: the run ids by company that any life left on the disk."""

    plan: Plan
    hits: Counter[int] = field(default_factory=Counter)
    lives: int = 0
    known: dict[str, str] = field(default_factory=dict)
    doubts: int = 0
    sent_again: int = 0
    submissions: int = 0


def play(plan: Plan, folder: Path) -> Played:
    """Interrupt the job until it is finished; AssertionError tells what does not hold."""
    with desk_in(folder, duration="uniform:0:1.5") as desk:
        desk.write("leads.csv", plan.leads())
        played = Played(plan)
        last = interrupted_until_finished(desk, played)
        check_finished(desk, played, last)
        if plan.sends_doubts_again:
            check_sent_again(desk, played)
    return played


# --- the lives ------------------------------------------------------------------------------------


def interrupted_until_finished(desk: Desk, played: Played) -> Said:
    chance = random.Random(played.plan.seed)
    for _ in range(MOST_LIVES):
        played.lives += 1
        life = desk.start(*played.plan.command)
        number = chance.choice(played.plan.signals)
        before = desk.requests
        # Longer from life to life: on a busy machine the first ones may get nowhere.
        longest = played.plan.longest * (1 + played.lives / 4)
        wait_for_a_moment(desk, life, chance, longest)
        life.process.send_signal(number)
        said = life.end()
        remember(desk, played)
        if said.code in (0, 3):
            return said
        played.hits[number] += 1
        check_stopped(said, number, began=desk.requests > before)
    raise AssertionError(f"not finished after {MOST_LIVES} lives")


def wait_for_a_moment(desk: Desk, life: Life, chance: random.Random, longest: float) -> None:
    """One in eight lives ends while it starts, the others when something was asked already."""
    if chance.random() < 1 / 8:
        threading.Event().wait(chance.uniform(0, 1))
        return
    before = desk.requests
    until(lambda: desk.requests > before or life.is_over(), "a request")
    threading.Event().wait(chance.uniform(0, longest))


def check_stopped(said: Said, number: int, *, began: bool) -> None:
    """A polite signal is answered by the code of a stop; once anything was asked, in words too.

    The very first instants belong to the interpreter, which ends as the system would have it.
    """
    expected = {-number} if number == signal.SIGKILL else {128 + number}
    if not began:
        expected.add(-number)
    assert said.code in expected, f"code {said.code}\n{said.err}"
    if began and said.code > 0:
        assert said.json["reason_code"] == "signal", said


def remember(desk: Desk, played: Played) -> None:
    """What is on disk between two lives; no id that ever stood there may change or go."""
    found = {company_of(item): item["run_id"] for item in items(desk.folder / CHECKPOINT)}
    for company, run_id in played.known.items():
        assert found.get(company) == run_id, f"{company} had {run_id}, now {found.get(company)}"
    played.known |= {company: run_id for company, run_id in found.items() if run_id}


def company_of(item: dict) -> str:
    name: str = json.loads(item["inputs"])["company_name"]
    return name


# --- what must hold -------------------------------------------------------------------------------


def check_finished(desk: Desk, played: Played, last: Said) -> None:
    plan = played.plan
    held = {company_of(item): item for item in items(desk.folder / CHECKPOINT)}
    states = Counter(item["state"] for item in held.values())
    doubts = {name for name, item in held.items() if item["state"] == "in_doubt"}
    bought = Counter(run["company_name"] for run in desk.bought)
    played.doubts, played.submissions = len(doubts), bought.total()
    assert set(states) <= {"completed", "in_doubt"}, states
    assert states.total() == plan.distinct, "an input without a record"
    assert set(bought.values()) == {1}, f"bought again: {bought.most_common(3)}"
    assert bought.keys() <= held.keys(), "bought, and on no record"
    ids = {run.request_id for run in desk.world.workspace.runs}
    assert {item["run_id"] for item in held.values() if item["run_id"]} <= ids
    assert last.code == (3 if doubts else 0)
    if plan.mode == "async" and signal.SIGKILL not in plan.signals:
        assert not doubts, "a clean stop waits for the answers"
    check_output(desk, doubts)
    check_listed(desk, doubts)


def check_output(desk: Desk, doubts: set[str]) -> None:
    """Every row once, in order, with the answers of an uninterrupted job, doubts apart."""
    leads, out = cells(desk.folder / "leads.csv"), cells(desk.folder / "out.csv")
    assert [row[:3] for row in out.rows] == leads.rows, "rows lost, or in another order"
    assert out.header[-2:] == [*STATUS]
    for (_, name, website), row in zip(leads.rows, out.rows, strict=True):
        *answered, status, error = row[3:]
        if name in doubts:
            assert (status, set(answered)) == ("in_doubt", {""})
            assert error.startswith("IN_DOUBT: ")
        elif not name:
            assert (status, set(answered)) == ("skipped", {""})
        else:
            assert (status, error) == ("completed", "")
            right = answers(COMPANIES, {"company_name": name, "website": website})
            for cell, value in zip(answered, right, strict=True):
                assert_reads_as(cell, value)
    assert not (desk.folder / "out.partial.csv").exists()


def check_listed(desk: Desk, doubts: set[str]) -> None:
    told = desk.do("status", CHECKPOINT).out
    listed = set(re.findall(r"company_name=(Company \d+)", told))
    assert listed == doubts


def check_sent_again(desk: Desk, played: Played) -> None:
    """Sent again on demand: no run whose id was ever recorded, and each stays listed."""
    ids_before = dict(played.known)
    submissions = len(desk.bought)
    desk.do(*played.plan.command, "--in-doubt", "retry")
    again = {run["company_name"] for run in desk.bought[submissions:]}
    assert not again & ids_before.keys(), "submitted again although its id was on record"
    twice = Counter(run["company_name"] for run in desk.bought)
    told = desk.do("status", CHECKPOINT).out
    listed = set(re.findall(r"company_name=(Company \d+)", told))
    assert {name for name, times in twice.items() if times > 1} <= listed
    assert max(twice.values()) <= 2
    check_output(desk, set())
    played.sent_again = len(again)


# --- a campaign -----------------------------------------------------------------------------------


@contextmanager
def somewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        yield Path(folder)


def play_somewhere(plan: Plan) -> Played | str:
    """The job played in a folder of its own, or what does not hold."""
    with somewhere() as folder:
        try:
            return play(plan, folder)
        except Exception:  # noqa: BLE001  # whatever it is, it is a finding
            return traceback.format_exc()


killed = partial(Plan, signals=(signal.SIGKILL,))
stopped = partial(Plan, signals=POLITE)
