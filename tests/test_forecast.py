"""What is to be done about a row, for every record that a checkpoint can hold."""

import itertools
import math
from dataclasses import replace

import pytest

from enricher.forecast import (
    Buy,
    Ended,
    UnderWay,
    estimate,
    fate_of,
    fate_of_doubt,
    is_kept_broad,
    outcome_of,
    requests_per_run,
)
from enricher.model import Cause, Mode, RowStatus, State
from enricher.record import InDoubt, Outcome, Record, Wanted

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


# --- again and again ----------------------------------------------------------------------------

PASS, BEGAN = 7, 1000.0
BEFORE, DURING = BEGAN - 1, BEGAN + 1
RETRY = {"retry_failed": True}
DOUBTS = {"in_doubt": InDoubt.RETRY}
CLOSE = {"in_doubt": InDoubt.FAIL}
OLD = {"refresh_before": BEGAN}


def wants(asked=ALL, **more):
    """What an invocation of the pass wants."""
    return Wanted(asked, PASS, BEGAN, **more)


def failed(code="RUN_FAILED", ended_at=BEFORE, **more):
    return record(State.FAILED, code=code, ended_at=ended_at, **more)


def old_result(state=State.COMPLETED, result=ALL, asked=ALL, **more):
    return record(state, asked, result, outputs_at=BEFORE, **{"tried_in": 1, **more})


@pytest.mark.parametrize(
    ("held", "fate"),
    [
        (failed(), Buy(1, Cause.FAILED)),
        (failed(attempt=2), Buy(2, Cause.FAILED)),
        (failed(attempt=3), FAILED),
        (failed(ended_at=DURING), FAILED),
        (failed(ended_at=BEGAN), FAILED),
        (failed(tried_in=PASS), FAILED),
        (failed(code="IN_DOUBT"), FAILED),
        (failed(code="REQUEST_NOT_FOUND"), FAILED),
        (record(State.STALLED, code="RUN_TIMEOUT"), UnderWay(stalled=True)),
        (record(State.STALLED, code="REQUEST_NOT_FOUND"), UnderWay(stalled=True)),
        (record(State.IN_DOUBT), IN_DOUBT),
        (record(State.RUNNING, attempt=2, before=State.FAILED), PENDING),
    ],
)
def test_only_what_failed_before_the_pass_is_sent_again_and_not_too_often(held, fate):
    assert fate_of(held, wants(**RETRY)) == fate


def test_without_being_asked_nothing_that_failed_is_sent_again():
    for held in (failed(), failed(attempt=2), failed(code="IN_DOUBT")):
        assert fate_of(held, wants()) == FAILED
        assert fate_of_doubt(held, wants(**DOUBTS)) is None


def test_the_number_of_attempts_can_be_chosen():
    assert fate_of(failed(attempt=3), wants(**RETRY, max_attempts=4)) == Buy(3, Cause.FAILED)
    assert fate_of(failed(), wants(**RETRY, max_attempts=1)) == FAILED


def test_what_waits_to_be_sent_again_still_shows_how_it_failed():
    shown = outcome_of(failed(message="no data"), wants(**RETRY))
    assert shown == Outcome(RowStatus.FAILED, "RUN_FAILED: no data")


AGAIN = Cause.IN_DOUBT


@pytest.mark.parametrize(
    ("held", "wanted", "fate"),
    [
        (record(State.IN_DOUBT), {}, None),
        (record(State.IN_DOUBT), RETRY, None),
        (record(State.IN_DOUBT), DOUBTS, Buy(1, AGAIN)),
        (record(State.IN_DOUBT), CLOSE, FAILED),
        # Once in a pass, and not too often.
        (record(State.IN_DOUBT, tried_in=PASS), DOUBTS, Buy(1, AGAIN)),
        (record(State.IN_DOUBT, attempt=2, tried_in=PASS, before=State.IN_DOUBT), DOUBTS, None),
        (record(State.IN_DOUBT, attempt=2, tried_in=PASS, before=State.STALLED), DOUBTS, None),
        (
            record(State.IN_DOUBT, attempt=2, tried_in=6, before=State.IN_DOUBT),
            DOUBTS,
            Buy(2, AGAIN),
        ),
        (
            record(State.IN_DOUBT, attempt=2, tried_in=PASS, before=State.FAILED),
            DOUBTS,
            Buy(2, AGAIN),
        ),
        (record(State.IN_DOUBT, attempt=3), DOUBTS, None),
        # A run that nobody knows any more is a doubt; one that still runs never is.
        (record(State.STALLED, code="REQUEST_NOT_FOUND"), DOUBTS, Buy(1, AGAIN)),
        (record(State.STALLED, code="REQUEST_NOT_FOUND"), RETRY, None),
        (record(State.STALLED, code="REQUEST_NOT_FOUND"), CLOSE, None),
        (record(State.STALLED, code="RUN_TIMEOUT"), DOUBTS | RETRY, None),
        (record(State.RUNNING), DOUBTS | RETRY, None),
        (record(State.SUBMITTING), DOUBTS | RETRY, None),
        # One that was closed as failed takes both options, and only in a later pass.
        (failed("IN_DOUBT"), DOUBTS, None),
        (failed("IN_DOUBT"), RETRY, None),
        (failed("IN_DOUBT"), DOUBTS | RETRY, Buy(1, AGAIN)),
        (failed("IN_DOUBT", ended_at=DURING), DOUBTS | RETRY, None),
        (failed("IN_DOUBT", attempt=3), DOUBTS | RETRY, None),
        # Nothing else is a doubt.
        (None, DOUBTS, None),
        (failed(), DOUBTS | RETRY, None),
        (record(State.COMPLETED, ALL, ALL), DOUBTS, None),
        # Inputs with a result that nobody wants refreshed are not bought for a doubt's sake.
        (record(State.IN_DOUBT, ALL, ALL, attempt=2), DOUBTS, None),
        (record(State.IN_DOUBT, ALL, ALL, attempt=2), CLOSE, FAILED),
        (old_result(State.IN_DOUBT, attempt=2), DOUBTS | OLD, Buy(2, AGAIN)),
        (old_result(State.IN_DOUBT, attempt=2, asked=AB, result=AB), DOUBTS | OLD, Buy(2, AGAIN)),
        (record(State.IN_DOUBT, ALL, A, attempt=2), DOUBTS, Buy(2, AGAIN)),
    ],
)
def test_what_becomes_of_a_doubt_after_all_other_work(held, wanted, fate):
    assert fate_of_doubt(held, wants(**wanted)) == fate


@pytest.mark.parametrize("wanted", [DOUBTS, CLOSE, DOUBTS | RETRY])
def test_during_the_other_work_a_doubt_stays_one(wanted):
    assert fate_of(record(State.IN_DOUBT), wants(**wanted)) == IN_DOUBT


KEPT = Ended(RowStatus.COMPLETED, kept_old=True)


@pytest.mark.parametrize(
    ("held", "fate"),
    [
        (old_result(), Buy(1, Cause.REFRESH)),
        (old_result(attempt=9), Buy(9, Cause.REFRESH)),
        (record(State.COMPLETED, ALL, ALL, outputs_at=BEGAN), COMPLETED),
        (record(State.COMPLETED, ALL, ALL, outputs_at=DURING, tried_in=PASS), COMPLETED),
        # Once in a pass; the old result stands.
        (old_result(State.FAILED, tried_in=PASS, attempt=2), KEPT),
        (old_result(State.IN_DOUBT, tried_in=PASS, attempt=2), KEPT),
        (old_result(State.STALLED, tried_in=PASS, attempt=2), KEPT),
        # Of an earlier pass: what failed is tried again, what may have been paid is not.
        (old_result(State.FAILED, attempt=2), Buy(2, Cause.REFRESH)),
        (old_result(State.IN_DOUBT, attempt=2), KEPT),
        (old_result(State.STALLED, attempt=2), UnderWay(stalled=True, refresh=True)),
        (old_result(State.RUNNING, attempt=2), UnderWay(refresh=True)),
        (old_result(State.SUBMITTING, attempt=2), UnderWay(refresh=True)),
        # A result that does not serve is none.
        (old_result(result=A, asked=A), Buy(1)),
        (record(State.FAILED, ALL, ended_at=BEFORE), FAILED),
    ],
)
def test_an_old_result_is_refreshed_once_in_a_pass(held, fate):
    assert fate_of(held, wants(**OLD)) == fate


@pytest.mark.parametrize(
    ("held", "kept"),
    [
        (old_result(), False),
        (old_result(State.RUNNING, attempt=2), False),
        (old_result(State.FAILED, tried_in=PASS, attempt=2), True),
        (old_result(State.IN_DOUBT, tried_in=PASS, attempt=2), True),
        (old_result(State.STALLED, attempt=2), True),
    ],
)
def test_the_old_result_is_shown_until_there_is_a_new_one(held, kept):
    held = replace(held, outputs={"a": 1})
    shown = outcome_of(held, wants(**OLD))
    assert shown == Outcome(RowStatus.COMPLETED, outputs={"a": 1}, kept_old=kept)


@pytest.mark.parametrize("stored", [ALL, AB])
def test_a_broad_result_is_not_replaced_by_a_narrower_one(stored):
    held = old_result(result=stored, asked=stored)
    assert fate_of(held, wants(A, **OLD)) == COMPLETED
    assert is_kept_broad(held, wants(A, **OLD))
    assert not is_kept_broad(held, wants(stored, **OLD))
    assert not is_kept_broad(held, wants(A))


def test_a_result_that_does_not_serve_is_not_kept_for_its_breadth():
    held = old_result(State.RUNNING, result=AB, asked=Columns("c"))
    assert not is_kept_broad(held, wants(Columns("c"), **OLD))


@pytest.mark.parametrize("wanted", [{}, RETRY, DOUBTS, CLOSE, OLD, RETRY | DOUBTS | OLD])
def test_what_may_be_running_is_never_bought_again(wanted):
    for held in EVERY_RECORD:
        if held.state in (State.SUBMITTING, State.RUNNING):
            for asked in (ALL, A, AB, NONE):
                assert not isinstance(fate_of(held, wants(asked, **wanted)), Buy)
                assert fate_of_doubt(held, wants(asked, **wanted)) is None
