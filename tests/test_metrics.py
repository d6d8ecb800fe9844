"""Metrics, read back by the parser of Prometheus's own library."""

import dataclasses

import pytest
from prometheus_client.parser import text_string_to_metric_families

from enricher.report.metrics import MOST_CODES, metrics_text
from enricher.report.summary import (
    CreditTotals,
    JobOutcome,
    Live,
    RequestTotals,
    RowTotals,
    RunTotals,
    Summary,
)

RUNNING = Summary(
    job="a1b2c3",
    outcome=JobOutcome.RUNNING,
    provider="bitscale",
    target="grid-1",
    input="/data/leads.csv",
    checkpoint="/data/leads.db",
    started_at="2026-03-12T14:22:00Z",
    updated_at="2026-03-12T14:24:05Z",
    seconds=125.2,
    eta_seconds=60.5,
    rows=RowTotals(total=100, completed=90, failed=4, skipped=3, pending=1, in_doubt=2, reused=30),
    runs=RunTotals(submitted=60, resubmitted_failed=2, in_flight=7),
    requests=RequestTotals(total=129, submit=62, poll=63, other=4, rate_limited=1, retried=2),
    credits=CreditTotals(before=39_600),
    live=Live(runs_per_second=2.5, rate=5, use=0.97, credits=39_480, errors={"TIMEOUT": 3}),
)
ENDED = dataclasses.replace(
    RUNNING,
    outcome=JobOutcome.FINISHED,
    exit_code=0,
    eta_seconds=None,
    credits=CreditTotals(before=39_600, after=39_470),
)


def samples(summary):
    """Name and labels without the job, to value; every sample has the job."""
    found = {}
    for family in text_string_to_metric_families(metrics_text(summary)):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("job") == (summary.job or "")
            key = (sample.name, *sorted(labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = sample.value
    return found


def test_the_names_and_labels_are_those_that_dashboards_use():
    """A name that changes here breaks dashboards and alerts; see docs/report.md."""
    found = samples(RUNNING)
    assert {name for name, *_ in found} == {
        *("enricher_info", "enricher_outcome", "enricher_started_timestamp_seconds"),
        *("enricher_updated_timestamp_seconds", "enricher_elapsed_seconds"),
        *("enricher_remaining_seconds", "enricher_rows", "enricher_rows_reused"),
        *("enricher_rows_kept_old", "enricher_runs_in_flight", "enricher_runs_submitted_total"),
        *("enricher_runs_resubmitted_total", "enricher_requests_total"),
        *("enricher_requests_rate_limited_total", "enricher_requests_retried_total"),
        *("enricher_credits_remaining", "enricher_rate_limit", "enricher_rate_used_ratio"),
        *("enricher_runs_per_second", "enricher_errors_total"),
    }
    assert found["enricher_rows", ("status", "in_doubt")] == 2
    assert sum(v for (name, *_), v in found.items() if name == "enricher_rows") == 100
    assert found["enricher_requests_total", ("kind", "poll")] == 63
    assert found["enricher_runs_resubmitted_total", ("cause", "failed")] == 2
    assert found["enricher_outcome", ("outcome", "running")] == 1
    assert sum(v for (name, *_), v in found.items() if name == "enricher_outcome") == 1
    assert found["enricher_started_timestamp_seconds",] == 1_773_325_320
    assert found["enricher_errors_total", ("code", "TIMEOUT")] == 3
    assert found["enricher_credits_remaining",] == 39_480


def test_an_end_has_its_code_and_no_pace():
    found = samples(ENDED)
    names = {name for name, *_ in found}
    assert found["enricher_exit_code",] == 0
    assert found["enricher_credits_remaining",] == 39_470
    assert "enricher_rate_limit" in names
    assert not names & {
        *("enricher_remaining_seconds", "enricher_runs_per_second", "enricher_rate_used_ratio"),
    }


def test_what_is_not_known_is_left_out():
    names = {name for name, *_ in samples(Summary(outcome=JobOutcome.ERROR, exit_code=1))}
    assert "enricher_exit_code" in names
    assert not names & {"enricher_credits_remaining", "enricher_started_timestamp_seconds"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ('a"b\\c', 'a"b\\c'),
        ('x"} 1\nenricher_rows{job="evil"} 9', 'x"} 1�enricher_rows{job="evil"} 9'),
        ("\x1b[2J\u202egnp", "�[2J�gnp"),
        ("half \ud83d of a pair", "half � of a pair"),
        ("トヨタ", "トヨタ"),
    ],
)
def test_foreign_words_stay_within_their_label(words, shown):
    evil = dataclasses.replace(
        RUNNING, input=words, live=Live(errors={words: 5}, rate=None, use=None)
    )
    found = samples(evil)
    assert found["enricher_errors_total", ("code", shown)] == 5
    assert shown in {dict(labels).get("input") for name, *labels in found if "info" in name}


def test_a_server_with_a_code_for_every_run_makes_few_series():
    many = Live(errors={f"E{number:03}": 100 - number for number in range(100)})
    found = samples(dataclasses.replace(RUNNING, live=many))
    codes = {dict(labels)["code"]: v for (name, *labels), v in found.items() if "errors" in name}
    assert len(codes) == MOST_CODES + 1
    assert sum(codes.values()) == sum(many.errors.values())
    assert codes["E000"] == 100
