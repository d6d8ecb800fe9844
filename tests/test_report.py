"""What is told of a job: one object for programs, harmless lines for people."""

import dataclasses
import json

import pytest

from enricher.report.summary import (
    CreditTotals,
    ErrorTold,
    JobOutcome,
    Live,
    RequestTotals,
    RowTotals,
    RunTotals,
    Summary,
    utc,
)
from enricher.report.text import Doubt, doubt_lines, duration, second_charge_lines, summary_lines

FULL = Summary(
    job="a1b2c3",
    outcome=JobOutcome.FINISHED_WITH_FAILURES,
    exit_code=3,
    provider="bitscale",
    target="grid-1",
    input="/data/leads.csv",
    output="/data/leads.enriched.csv",
    checkpoint="/data/leads.enriched.csv.checkpoint.db",
    started_at="2026-03-12T14:22:00Z",
    updated_at="2026-03-12T14:24:05Z",
    seconds=125.2,
    rows=RowTotals(total=100, completed=90, failed=4, skipped=3, pending=1, in_doubt=2, reused=30),
    runs=RunTotals(submitted=60, in_flight=0),
    requests=RequestTotals(total=129, submit=62, poll=63, other=4, rate_limited=1, retried=2),
    credits=CreditTotals(before=39_600, after=39_480.5),
)


# --- for programs -----------------------------------------------------------------------------


def test_the_summary_has_the_fields_of_the_contract_in_their_order():
    """Word for word the object of the public contract: a change here breaks scripts."""
    assert json.dumps(FULL.to_json()) == (
        '{"schema": 1, "job": "a1b2c3", "outcome": "finished_with_failures",'
        ' "exit_code": 3, "reason_code": null, "reason": null,'
        ' "error": null,'
        ' "provider": "bitscale", "target": "grid-1", "input": "/data/leads.csv",'
        ' "output": "/data/leads.enriched.csv",'
        ' "checkpoint": "/data/leads.enriched.csv.checkpoint.db",'
        ' "started_at": "2026-03-12T14:22:00Z", "updated_at": "2026-03-12T14:24:05Z",'
        ' "seconds": 125.2, "eta_seconds": null,'
        ' "rows": {"total": 100, "completed": 90, "failed": 4, "skipped": 3, "pending": 1,'
        ' "in_doubt": 2, "reused": 30, "kept_old": 0},'
        ' "runs": {"submitted": 60, "resubmitted_in_doubt": 0, "resubmitted_failed": 0,'
        ' "in_flight": 0},'
        ' "requests": {"total": 129, "submit": 62, "poll": 63, "other": 4, "rate_limited": 1,'
        ' "retried": 2},'
        ' "credits": {"before": 39600, "after": 39480.5}, "steps": []}'
    )


def test_an_error_is_told_as_an_object_with_what_is_known():
    told = Summary(outcome=JobOutcome.ERROR, exit_code=1, error=ErrorTold("input_error", "gone"))
    data = told.to_json()
    assert list(data) == list(FULL.to_json())
    assert data["outcome"] == "error"
    assert data["error"] == {"code": "input_error", "message": "gone"}
    assert data["job"] is None
    assert set(data["rows"].values()) == {0}


def test_the_outcomes_are_those_of_the_contract():
    assert [str(outcome) for outcome in JobOutcome] == [
        "finished",
        "finished_with_failures",
        "stopped",
        "running",
        "interrupted",
        "error",
    ]


@pytest.mark.parametrize(
    "summary",
    [
        FULL,
        Summary(outcome=JobOutcome.RUNNING),
        Summary(outcome=JobOutcome.ERROR, exit_code=2, error=ErrorTold("usage_error", "é")),
        dataclasses.replace(
            FULL, outcome=JobOutcome.STOPPED, reason_code="signal", reason="SIGINT"
        ),
    ],
)
def test_a_summary_is_read_back_as_it_was_written(summary):
    again = Summary.from_json(json.loads(json.dumps(summary.to_json())))
    assert again == summary
    assert isinstance(again.outcome, JobOutcome)


def test_moments_are_iso_8601_in_utc():
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert utc(1_773_325_320.9) == "2026-03-12T14:22:00Z"


# --- for people -------------------------------------------------------------------------------


def test_a_summary_in_lines():
    assert summary_lines(FULL) == [
        "Finished, but not every row has a result.",
        "  rows        100: 90 completed, 4 failed, 3 skipped, 2 in doubt, 1 pending",
        "  runs        60 submitted, 30 rows answered without one",
        "  requests    129, 2.15 a run, 1 refused for the rate",
        "  credits     39,600 before, 39,480.5 now",
        "  time        2 min 5 s",
        "  output      /data/leads.enriched.csv",
        "  checkpoint  /data/leads.enriched.csv.checkpoint.db",
        "Send the failed again with:  enricher resume /data/leads.enriched.csv.checkpoint.db"
        " --retry-failed\n"
        "See the doubts with:  enricher status /data/leads.enriched.csv.checkpoint.db\n"
        "Send them again with:  enricher resume /data/leads.enriched.csv.checkpoint.db"
        " --in-doubt retry",
    ]


def test_who_looks_a_job_up_is_told_that_runs_are_of_its_last_command():
    assert "  runs        60 submitted by the last command, 30 rows answered without one" in (
        summary_lines(FULL, looked_up=True)
    )
    running = dataclasses.replace(FULL, outcome=JobOutcome.RUNNING)
    assert "last command" not in "".join(summary_lines(running, looked_up=True))


def test_doubts_are_submissions_and_the_rows_that_share_them_are_told():
    doubt = Doubt({"name": "Acme"}, "2026-03-12T14:22:00Z", "lost")
    assert doubt_lines([doubt], 1)[0] == (
        "In doubt: 1 submission whose answer was lost. Each may have been paid."
    )
    assert doubt_lines([doubt], 957)[0] == (
        "In doubt: 1 submission whose answer was lost (957 rows in all). Each may have been paid."
    )


def test_a_cap_of_credits_that_is_kept_must_be_raised():
    capped = dataclasses.replace(FULL, outcome=JobOutcome.STOPPED, reason_code="max_credits")
    assert summary_lines(capped)[-1].endswith("checkpoint.db --max-credits N")


def test_what_is_stored_for_watchers_is_not_in_the_object():
    live = Live(2.5, 5.0, 0.9, 100.0, {"RUN_FAILED": 2})
    watched = dataclasses.replace(FULL, outcome=JobOutcome.RUNNING, live=live)
    assert Summary.from_json(json.loads(json.dumps(watched.to_stored()))) == watched
    assert "live" not in watched.to_json()


def test_a_stopped_job_says_why_and_how_to_go_on():
    stopped = Summary(
        outcome=JobOutcome.STOPPED,
        reason="KEY_REVOKED: no\x1b[31m",
        output="out.csv",
        checkpoint="/my data/it's.db",
        rows=RowTotals(total=5, pending=5),
        runs=RunTotals(in_flight=3),
    )
    assert summary_lines(stopped) == [
        "Stopped; everything acknowledged is kept.",
        "  reason      KEY_REVOKED: no�[31m",
        "  rows        5: 5 pending",
        "  runs        0 submitted, 3 in flight",
        "  requests    0, 0 refused for the rate",
        "  so far      out.partial.csv",
        "  checkpoint  /my data/it's.db",
        """Go on with:  enricher resume '/my data/it'"'"'s.db'""",
    ]


def test_a_finished_job_has_nothing_to_type_next():
    finished = dataclasses.replace(FULL, outcome=JobOutcome.FINISHED, rows=RowTotals())
    lines = summary_lines(finished)
    assert lines[0] == "Finished."
    assert "  rows        0: none" in lines
    assert lines[-1].startswith("  checkpoint")


@pytest.mark.parametrize("outcome", JobOutcome)
def test_every_outcome_has_a_headline(outcome):
    headline = summary_lines(dataclasses.replace(FULL, outcome=outcome))[0]
    assert headline.endswith(".")
    assert summary_lines(Summary(outcome=outcome))[0] == headline  # also where nothing is known


def test_credits_are_told_to_the_last_one():
    rich = dataclasses.replace(FULL, credits=CreditTotals(1_234_567, 1_234_565.25))
    assert "  credits     1,234,567 before, 1,234,565.25 now" in summary_lines(rich)


@pytest.mark.parametrize("credits", [CreditTotals(), CreditTotals(5), CreditTotals(None, 5)])
def test_credits_that_nobody_told_are_not_told(credits):
    assert "credits" not in " ".join(summary_lines(dataclasses.replace(FULL, credits=credits)))


def doubt(n=0, **inputs):
    return Doubt(inputs or {"name": f"Acme {n}"}, "2026-03-12T14:22:00Z", "connection reset")


def test_doubts_are_listed_for_a_person_who_decides():
    evil = doubt(name="Acme\n\x1b[2J", site="\u202egnp.exe")
    assert doubt_lines([doubt(), evil]) == [
        "In doubt: 2 submissions whose answer was lost. Each may have been paid.",
        "  2026-03-12T14:22:00Z  name=Acme 0  (connection reset)",
        "  2026-03-12T14:22:00Z  name=Acme��[2J, site=�gnp.exe  (connection reset)",
    ]


def test_every_doubt_is_listed_however_many_there_are():
    for lines_of in (doubt_lines, second_charge_lines):
        lines = lines_of([doubt(n) for n in range(2500)])
        assert len(lines) == 2501
        assert "name=Acme 2499  " in lines[-1]
        assert lines_of([]) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (45.4, "45 s"),
        (59.6, "1 min 0 s"),
        (60, "1 min 0 s"),
        (725, "12 min 5 s"),
        (3599.6, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (86_399.7, "1 d 0 h"),
        (187_200, "2 d 4 h"),
        (86_400 * 400, "400 d 0 h"),
    ],
)
def test_durations_as_people_say_them(seconds, text):
    assert duration(seconds) == text
