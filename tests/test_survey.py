"""Going through a checkpoint of any length while it is written."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from enricher.checkpoint import Survey
from enricher.checkpoint.survey import ATTEMPTS_A_QUERY, RESULTS_A_QUERY
from enricher.model import Context, Doubted, Failed, GotId, Intended, State
from tests.support.checkpoints import CONTEXT, begin, completed, item, writing

MANY = ATTEMPTS_A_QUERY + 5
OTHER = Context("bitscale", "https://api.example", "ws", "another grid", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.checkpoint.db"


def bought(*keys):
    for key in keys:
        yield Intended(item(key))
        yield completed(key, a=key)


def test_every_attempt_is_read_once_over_many_transactions(path):
    keys = [f"{number:06}" for number in range(MANY)]
    with writing(path) as store, Survey(path) as survey:
        store.apply(list(bought(*keys)))
        attempts = list(survey.attempts(survey.stretches("job")))
        assert len(attempts) == MANY
        assert {attempt.state for attempt in attempts} == {State.COMPLETED}
        assert all((attempt.ended_at or 0) >= attempt.submitted_at for attempt in attempts)


def test_a_writer_goes_on_while_it_is_read(path):
    with writing(path) as store, Survey(path) as survey:
        store.apply(list(bought(*(f"{number:06}" for number in range(MANY)))))
        attempts = survey.attempts(survey.stretches("job"))
        results = survey.results(CONTEXT)
        next(attempts)
        next(results)
        store.apply(list(bought("zz")))
        # No transaction of a reader is open: the whole log can be written back.
        with closing(sqlite3.connect(path)) as other:
            (busy, *_) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy
        assert len(list(attempts)) == MANY  # and the one that came meanwhile
        assert len(list(results)) == MANY


def test_only_what_the_passes_submitted_is_theirs(path):
    with writing(path) as store:
        store.apply(list(bought("mine")))
        begin(store, "another", context=OTHER)
        store.apply(list(bought("theirs", "too")))
        with Survey(path) as survey:
            counts = {
                job: len(list(survey.attempts(survey.stretches(job)))) for job in ("job", "another")
            }
            assert counts == {"job": 1, "another": 2}
            assert [outputs for _, outputs in survey.results(OTHER)] == [
                {"a": "theirs"},
                {"a": "too"},
            ]


def test_failures_come_with_what_helps_to_understand_them(path):
    with writing(path) as store, Survey(path) as survey:
        long = item("long")
        store.apply(
            [
                *bought("fine"),
                Intended(item("bad")),
                GotId(b"bad", "run-1"),
                Failed(b"bad", "TIMEOUT", "x" * 900),
                Intended(type(long)(b"long", {"name": "y" * 9000})),
                Failed(b"long", "", ""),
            ]
        )
        told = {a.code: a for a in survey.attempts(survey.stretches("job"))}
        assert told["TIMEOUT"].inputs == '{"company_name":"Company bad"}'
        assert told["TIMEOUT"].message == "x" * 500
        fine, failed = (
            next(a for a in survey.attempts(survey.stretches("job")) if a.state is state)
            for state in (State.COMPLETED, State.FAILED)
        )
        assert fine.inputs == ""
        assert failed.state is State.FAILED
        assert "yyy" not in "".join(a.inputs for a in told.values())


def test_superseded_attempts_of_a_pass_are_read_too(path):
    with writing(path) as store, Survey(path) as survey:
        store.apply([Intended(item("a")), Doubted(b"a", "lost")])
        store.apply([Intended(item("a", 1)), completed("a", x=1)])
        (this,) = survey.stretches("job")
        assert [a.state for a in survey.superseded(this)] == [State.IN_DOUBT]
        assert [a.state for a in survey.attempts([this])] == [State.COMPLETED]


def test_results_know_what_was_asked_for(path):
    with writing(path, asked=["a"]) as store, Survey(path) as survey:
        store.apply(list(bought(*(f"{number:04}" for number in range(RESULTS_A_QUERY * 2)))))
        results = list(survey.results(CONTEXT))
        assert len(results) == RESULTS_A_QUERY * 2
        assert {asked for asked, _ in results} == {frozenset({"a"})}
        assert list(survey.results(OTHER)) == []


def test_passes_and_summaries_are_those_of_the_job_oldest_first(path):
    clock = itertools.count(100).__next__
    with writing(path, clock) as store, Survey(path) as survey:
        for number in range(3):
            store.save_summary(begin(store), {"n": number})
        store.finish_pass()
        store.save_summary(begin(store), {"n": 3})
        begin(store, "another", context=OTHER)
        first, second = survey.stretches("job")
        assert first.finished is not None
        assert (second.finished, first.began < second.began) == (None, True)
        told = survey.summaries("job", 3)
        assert [summary["n"] for _, summary in told] == [1, 2, 3]
        assert [in_pass for in_pass, _ in told] == [first.id, first.id, second.id]
