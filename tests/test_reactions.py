"""What follows from an answer: the whole table of request × verdict."""

import dataclasses
import typing

import pytest

from enricher.model import Completed, Doubted, Failed, GotId, Stalled, Stop, StopCode, Withdrew
from enricher.reactions import Again, Reaction, Refusals, after_look, after_submission
from enricher.verdicts import (
    Accepted,
    Alive,
    BatchAnswered,
    BatchRejected,
    BatchTooLarge,
    Done,
    Facts,
    InProgress,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    Ready,
    Refused,
    RowRejected,
    RunFailed,
    StillRunning,
    Verdict,
)

KEY = b"k" * 16
OUTPUTS, NAMES = {"col-1": ["x"]}, {"col-1": "Tags"}

ACCEPTED = Accepted("run-1")
DONE = Done(OUTPUTS, NAMES)
RUN_FAILED = RunFailed("RUN_FAILED", "no data")
STILL_RUNNING = StillRunning()
READY = Ready("result")
ODD_STATUS = StillRunning("unknown status 'queued'")
REFUSED = Refused()
NOT_SENT = NotSent("connection refused")
MAYBE_SENT = MaybeSent("connection reset")
MALFORMED = Malformed("the answer has no status")
BAD_INPUTS = RowRejected("INVALID_INPUTS", "no")
SUSPICIOUS = RowRejected("HTTP_413", "too large", suspicious=True)
NOT_FOUND = RowRejected("REQUEST_NOT_FOUND", "none")
KEY_REFUSED = KeyRejected("Missing or invalid", renewed=False)
KEY_RENEWED = KeyRejected("Missing or invalid", renewed=True)
JOB_STOPS = JobStops("MISSING_SOURCE", "no source", "Add one.")
NO_CREDITS = JobStops("OUT_OF_CREDITS", "0 left")
ALIVE, FACTS = Alive(), Facts({})

COMPLETED = Completed(KEY, OUTPUTS, NAMES)
FAILED = Failed(KEY, "RUN_FAILED", "no data")
AT_ONCE, LATER = Again.AT_ONCE, Again.AFTER_BACKOFF
REVOKED = Stop(StopCode.KEY_REVOKED, "INVALID_API_KEY: Missing or invalid")
NO_SOURCE = Stop(StopCode.REFUSED, "MISSING_SOURCE: no source (Add one.)")
GOING_ON = "the key was refused; the key file holds another one, going on with it"

SUBMISSION = {
    ACCEPTED: Reaction(GotId(KEY, "run-1")),
    Accepted("run-1", "wait"): Reaction(GotId(KEY, "run-1"), stage="wait"),
    RUN_FAILED: Reaction(FAILED),
    REFUSED: Reaction(Withdrew(KEY), AT_ONCE),
    NOT_SENT: Reaction(Withdrew(KEY), LATER),
    MAYBE_SENT: Reaction(Doubted(KEY, "connection reset")),
    MALFORMED: Reaction(Doubted(KEY, "the answer has no status")),
    BAD_INPUTS: Reaction(Failed(KEY, "INVALID_INPUTS", "no")),
    SUSPICIOUS: Reaction(Failed(KEY, "HTTP_413", "too large")),
    KEY_REFUSED: Reaction(Withdrew(KEY), AT_ONCE, REVOKED),
    KEY_RENEWED: Reaction(Withdrew(KEY), AT_ONCE, note=GOING_ON),
    JOB_STOPS: Reaction(Withdrew(KEY), AT_ONCE, NO_SOURCE),
    NO_CREDITS: Reaction(Withdrew(KEY), AT_ONCE, Stop(StopCode.REFUSED, "OUT_OF_CREDITS: 0 left")),
}
LOOK = {
    RUN_FAILED: Reaction(FAILED),
    STILL_RUNNING: Reaction(),
    READY: Reaction(stage="result"),
    ODD_STATUS: Reaction(
        note="the server answered with an unknown status 'queued'; taken as still running"
    ),
    REFUSED: Reaction(again=AT_ONCE),
    NOT_SENT: Reaction(again=LATER),
    MAYBE_SENT: Reaction(again=LATER),
    MALFORMED: Reaction(again=LATER),
    NOT_FOUND: Reaction(again=LATER),
    KEY_REFUSED: Reaction(again=AT_ONCE, stop=REVOKED),
    KEY_RENEWED: Reaction(again=AT_ONCE, note=GOING_ON),
    JOB_STOPS: Reaction(again=AT_ONCE, stop=NO_SOURCE),
}
NO_ANSWER_TO_A_SUBMISSION = (STILL_RUNNING, READY, ALIVE, FACTS)
NO_ANSWER_TO_A_LOOK = (ACCEPTED, ALIVE, FACTS)


def submitted(verdict, refusals=None):
    return after_submission(KEY, verdict, refusals or Refusals(answered=True))


def looked(verdict, faults=0, too_old=False, last_look=False):
    return after_look(KEY, verdict, faults=faults, too_old=too_old, last_look=last_look)


@pytest.mark.parametrize("verdict", SUBMISSION, ids=str)
def test_what_an_answer_to_a_submission_leads_to(verdict):
    assert submitted(verdict) == SUBMISSION[verdict]


@pytest.mark.parametrize("verdict", LOOK, ids=str)
def test_what_an_answer_to_a_look_leads_to(verdict):
    assert looked(verdict) == LOOK[verdict]


def test_a_run_that_is_complete_is_complete_whoever_asks():
    assert submitted(DONE) == looked(DONE) == Reaction(COMPLETED)
    assert looked(DONE, faults=99, too_old=True, last_look=True) == Reaction(COMPLETED)


@pytest.mark.parametrize("verdict", NO_ANSWER_TO_A_SUBMISSION, ids=str)
def test_what_no_submission_can_be_answered_with_is_a_bug(verdict):
    with pytest.raises(TypeError, match="no answer to a submission"):
        submitted(verdict)


@pytest.mark.parametrize("verdict", NO_ANSWER_TO_A_LOOK, ids=str)
def test_what_no_look_can_be_answered_with_is_a_bug(verdict):
    with pytest.raises(TypeError, match="no answer to a look"):
        looked(verdict)


OF_BATCHES = (BatchAnswered, BatchRejected, BatchTooLarge, InProgress)
"""Whole jobs in test_batches.py tell what follows from these."""


def test_every_verdict_stands_in_both_tables():
    every = set(typing.get_args(Verdict)) - set(OF_BATCHES)
    assert {type(v) for v in (*SUBMISSION, DONE, *NO_ANSWER_TO_A_SUBMISSION)} == every
    assert {type(v) for v in (*LOOK, DONE, *NO_ANSWER_TO_A_LOOK)} == every


def test_a_submission_is_repeated_only_if_it_reached_nobody_or_was_refused():
    """Whatever is repeated is withdrawn first, and nothing that may have been processed is."""
    for verdict in SUBMISSION:
        reaction = submitted(verdict)
        assert (reaction.again is not None) == isinstance(reaction.event, Withdrew)
        if isinstance(verdict, MaybeSent | Malformed | Accepted | RunFailed):
            assert reaction.again is None


# --- runs that are given up ------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"too_old": True}, {"last_look": True}])
@pytest.mark.parametrize("verdict", [STILL_RUNNING, ODD_STATUS])
def test_a_run_still_running_after_its_time_is_given_up_and_its_id_kept(verdict, limits):
    event = looked(verdict, **limits).event
    assert isinstance(event, Stalled)
    assert event.code == "RUN_TIMEOUT"
    assert "the id is kept" in event.message


def test_a_run_that_the_server_does_not_know_is_given_up_after_a_few_looks():
    reactions = [looked(NOT_FOUND, faults=faults) for faults in range(4)]
    assert reactions[:3] == [Reaction(again=LATER)] * 3
    event = Stalled(KEY, "REQUEST_NOT_FOUND", "none; it may have been charged")
    assert reactions[3] == Reaction(event)
    assert looked(NOT_FOUND, last_look=True) == Reaction(event)


@pytest.mark.parametrize("limits", [{}, {"too_old": True}, {"last_look": True}])
def test_an_answer_that_stays_senseless_is_given_up_at_last(limits):
    reactions = [looked(MALFORMED, faults=faults, **limits) for faults in range(8)]
    assert reactions[:7] == [Reaction(again=LATER)] * 7
    assert isinstance(reactions[7].event, Stalled)
    assert reactions[7].event.code == "MALFORMED_ANSWER"


@pytest.mark.parametrize("verdict", [NOT_SENT, MAYBE_SENT])
def test_a_run_is_asked_for_until_its_time_is_over_while_no_answer_comes(verdict):
    assert looked(verdict, faults=1000) == Reaction(again=LATER)
    assert looked(verdict, faults=6, too_old=True) == Reaction(again=LATER)
    for limits in ({"too_old": True}, {"last_look": True}):
        event = looked(verdict, faults=7, **limits).event
        assert isinstance(event, Stalled)
        assert event.code == "RUN_TIMEOUT"
        assert verdict.reason in event.message


@pytest.mark.parametrize("verdict", LOOK, ids=str)
def test_no_look_sends_anything_again_that_costs(verdict):
    for faults in (0, 100):
        for too_old in (False, True):
            event = looked(verdict, faults, too_old, last_look=too_old).event
            assert event is None or isinstance(event, Failed | Stalled)


# --- refused rows ----------------------------------------------------------------------------


def fates(verdicts, *, answered):
    """For each answer in a row: "fails", "stops" (and whether the row fails), or "goes on"."""
    refusals = Refusals(answered=answered)
    words = []
    for verdict in verdicts:
        reaction = submitted(verdict, refusals)
        failed = "fails" if isinstance(reaction.event, Failed) else "goes on"
        words.append(f"{failed}, stops" if reaction.stop else failed)
    return words


def test_a_suspicious_refusal_as_the_first_answer_of_a_pass_stops_the_job_and_fails_no_row():
    reaction = submitted(SUSPICIOUS, Refusals(answered=False))
    stop = Stop(StopCode.REFUSED, "HTTP_413: too large")
    assert reaction == Reaction(Withdrew(KEY), AT_ONCE, stop)


def test_the_answers_that_follow_such_a_first_one_fail_no_row_either():
    assert fates([SUSPICIOUS] * 3, answered=False) == ["goes on, stops"] * 3


@pytest.mark.parametrize("first", [ACCEPTED, DONE, RUN_FAILED, BAD_INPUTS], ids=str)
def test_after_an_answer_a_suspicious_refusal_is_one_poison_row(first):
    assert fates([first, SUSPICIOUS], answered=False)[1] == "fails"


@pytest.mark.parametrize(
    "no_answer", [NOT_SENT, REFUSED, MAYBE_SENT, MALFORMED, KEY_RENEWED], ids=str
)
def test_what_is_no_answer_does_not_make_a_refusal_a_poison_row(no_answer):
    assert fates([no_answer, SUSPICIOUS], answered=False)[1] == "goes on, stops"


def test_an_earlier_invocation_of_the_pass_counts():
    assert fates([SUSPICIOUS], answered=True) == ["fails"]


def test_five_different_rows_in_a_row_stop_the_job():
    expected = ["fails"] * 4 + ["fails, stops"] * 2
    assert fates([SUSPICIOUS] * 6, answered=True) == expected
    other = dataclasses.replace(SUSPICIOUS, code="HTTP_422")
    assert fates([SUSPICIOUS, other] * 3, answered=True) == expected


@pytest.mark.parametrize("good", [ACCEPTED, DONE, RUN_FAILED, BAD_INPUTS], ids=str)
def test_a_good_answer_in_between_starts_the_count_anew(good):
    words = fates([SUSPICIOUS] * 4 + [good] + [SUSPICIOUS] * 4, answered=True)
    assert "stops" not in " ".join(words)


@pytest.mark.parametrize("no_answer", [NOT_SENT, REFUSED, MAYBE_SENT, MALFORMED], ids=str)
def test_what_is_no_answer_leaves_the_count_as_it_is(no_answer):
    words = fates([SUSPICIOUS] * 4 + [no_answer, SUSPICIOUS], answered=True)
    assert words[-1] == "fails, stops"


def test_inputs_that_a_document_says_are_refused_never_stop_the_job():
    assert fates([BAD_INPUTS] * 100, answered=False) == ["fails"] * 100
