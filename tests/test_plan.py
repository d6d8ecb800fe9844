"""What is to be done about a row, for every record that a checkpoint can hold."""

import itertools
import math

import pytest

from enricher.model import Mode, RowStatus, State
from enricher.plan import Buy, Ended, UnderWay, estimate, fate_of, outcome_of, requests_per_run
from enricher.record import Outcome, Record, Wanted

Columns = frozenset[str]
ALL, A, AB, NONE = None, Columns("a"), Columns("ab"), Columns()
COMPLETED, FAILED, IN_DOUBT, PENDING = (
    Ended(RowStatus.COMPLETED),
    Ended(RowStatus.FAILED),
    Ended(RowStatus.IN_DOUBT),
    UnderWay(),
)


def record(state, asked=ALL, result="none", attempt=1, **more):
    """A record whose newest completed attempt asked for `result`; "none" is no such attempt."""
    has = result != "none"
    return Record(
        state, attempt, asked, has_outputs=has, outputs_asked=result if has else None, **more
    )


@pytest.mark.parametrize("wanted", [ALL, A, AB, NONE])
def test_what_nobody_asked_for_yet_is_bought(wanted):
    assert fate_of(None, Wanted(wanted)) == Buy(supersedes=0)


@pytest.mark.parametrize(
    ("held", "wanted", "fate"),
    [
        # A result serves requests for the same or fewer columns; more are a new run.
        (record(State.COMPLETED, ALL, ALL), ALL, COMPLETED),
        (record(State.COMPLETED, ALL, ALL), A, COMPLETED),
        (record(State.COMPLETED, AB, AB), AB, COMPLETED),
        (record(State.COMPLETED, AB, AB), A, COMPLETED),
        (record(State.COMPLETED, A, A), AB, Buy(1)),
        (record(State.COMPLETED, AB, AB, attempt=3), ALL, Buy(3)),
        # Failed is an answer too, to what was asked.
        (record(State.FAILED, AB), AB, FAILED),
        (record(State.FAILED, ALL), A, FAILED),
        (record(State.FAILED, A, attempt=2), AB, Buy(2)),
        # Never submitted again while it may be running or done.
        (record(State.SUBMITTING), ALL, PENDING),
        (record(State.RUNNING), ALL, PENDING),
        (record(State.RUNNING, A), AB, PENDING),
        (record(State.STALLED), ALL, UnderWay(stalled=True)),
        (record(State.STALLED, A), AB, UnderWay(stalled=True)),
        (record(State.IN_DOUBT), ALL, IN_DOUBT),
        (record(State.IN_DOUBT, A), AB, IN_DOUBT),
        # An older result stands until a newer one is complete, however the newer attempt fares.
        (record(State.SUBMITTING, ALL, AB), A, COMPLETED),
        (record(State.RUNNING, ALL, A), A, COMPLETED),
        (record(State.STALLED, ALL, A), A, COMPLETED),
        (record(State.IN_DOUBT, ALL, A), A, COMPLETED),
        (record(State.FAILED, ALL, A), A, COMPLETED),
        (record(State.STALLED, ALL, A), ALL, UnderWay(stalled=True)),
        (record(State.IN_DOUBT, ALL, A), ALL, IN_DOUBT),
        (record(State.FAILED, ALL, A), ALL, FAILED),
        (record(State.FAILED, AB, A, attempt=2), ALL, Buy(2)),
    ],
)
def test_the_fate_of_a_row_with_a_record(held, wanted, fate):
    assert fate_of(held, Wanted(wanted)) == fate


EVERY_RECORD = [
    record(state, asked, outputs, attempt=2)
    for state, asked, outputs in itertools.product(
        State, (ALL, A, AB, NONE), ("none", ALL, A, AB, NONE)
    )
]


def is_within(wanted, asked):
    return asked is ALL or (wanted is not ALL and wanted <= asked)


@pytest.mark.parametrize("wanted", [ALL, A, AB, NONE])
def test_a_row_is_bought_again_only_for_columns_that_nobody_asked_for(wanted):
    for held in EVERY_RECORD:
        answered = held.has_outputs and is_within(wanted, held.outputs_asked)
        failed = held.state is State.FAILED and is_within(wanted, held.asked)
        open_ = held.state not in (State.COMPLETED, State.FAILED)
        bought = not (answered or failed or open_)
        assert (fate_of(held, Wanted(wanted)) == Buy(supersedes=2)) is bought


@pytest.mark.parametrize("wanted", [ALL, A, AB, NONE])
def test_what_the_output_shows_is_what_becomes_of_the_row(wanted):
    for held in [None, *EVERY_RECORD]:
        match fate_of(held, Wanted(wanted)):
            case Ended(status):
                expected = status
            case UnderWay(stalled=True):
                expected = RowStatus.FAILED
            case _:
                expected = RowStatus.PENDING
        assert outcome_of(held, Wanted(wanted)).status is expected


@pytest.mark.parametrize(
    ("held", "outcome"),
    [
        (None, Outcome(RowStatus.PENDING)),
        (record(State.RUNNING), Outcome(RowStatus.PENDING)),
        (
            record(State.COMPLETED, ALL, ALL, outputs={"a": 1}),
            Outcome(RowStatus.COMPLETED, outputs={"a": 1}),
        ),
        (
            record(State.FAILED, code="RUN_FAILED", message="no data"),
            Outcome(RowStatus.FAILED, "RUN_FAILED: no data"),
        ),
        (record(State.FAILED, code="HTTP_413"), Outcome(RowStatus.FAILED, "HTTP_413")),
        (record(State.FAILED), Outcome(RowStatus.FAILED, "RUN_FAILED")),
        (record(State.FAILED, message="m"), Outcome(RowStatus.FAILED, "RUN_FAILED: m")),
        (
            record(State.STALLED, code="RUN_TIMEOUT", message="still running"),
            Outcome(RowStatus.FAILED, "RUN_TIMEOUT: still running"),
        ),
        (
            record(State.IN_DOUBT, message="the connection broke"),
            Outcome(RowStatus.IN_DOUBT, "IN_DOUBT: the connection broke"),
        ),
    ],
)
def test_what_the_output_says_of_a_row(held, outcome):
    assert outcome_of(held, Wanted(ALL)) == outcome


def test_an_estimate_counts_a_submission_and_about_one_look_for_each_run():
    assert estimate(0, 5).requests == 3
    assert estimate(1000, 5).requests == 2103
    assert estimate(1000, 5).seconds == pytest.approx(2103 / 5 / 0.97, abs=0.1)


@pytest.mark.parametrize(("rate", "per_second"), [(0.5, 0.5), (1.5, 1), (7.5, 7), (50, 50)])
def test_an_estimate_is_of_what_the_gate_lets_through(rate, per_second):
    assert estimate(1000, rate).seconds == pytest.approx(2103 / per_second / 0.97, abs=0.1)


def test_without_a_limit_no_time_is_needed():
    assert estimate(1000, math.inf).seconds == 0


@pytest.mark.parametrize(
    ("mode", "least", "most"), [(Mode.ASYNC, 2, 2.2), (Mode.AUTO, 2, 2.2), (Mode.SYNC, 1, 1.1)]
)
def test_runs_of_which_nothing_is_known_need_about_a_look_unless_they_are_held(mode, least, most):
    assert least < requests_per_run(mode) < most


@pytest.mark.parametrize("mode", Mode)
def test_an_invocation_with_a_dozen_submissions_tells_what_the_next_one_needs(mode):
    usual = requests_per_run(mode)
    assert requests_per_run(mode, submitted=12, requests=60) == 5
    assert requests_per_run(mode, submitted=11, requests=55) == usual
    assert requests_per_run(mode, submitted=0, requests=100) == usual


@pytest.mark.parametrize("per_run", [1.0, 2.1, 5.0])
def test_an_estimate_follows_what_a_run_needs(per_run):
    """And counts, for runs that are submitted already, all but the submission."""
    assert estimate(1000, 5, per_run=per_run).requests == 3 + 1000 * per_run
    assert estimate(0, 5, in_flight=100, per_run=per_run).requests == 3 + round(100 * (per_run - 1))
