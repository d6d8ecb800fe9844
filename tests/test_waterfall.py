"""Several steps over the same rows: which go on, and what they show together."""

from collections.abc import Callable

import pytest

from enricher.api import Hooks, Stop, StopCode
from enricher.api.steps import Relay
from enricher.job import Job, make_job, waterfall_of
from enricher.model import OutputColumn, RowStatus
from enricher.record import Outcome
from enricher.waterfall import STEP, Merged, Step, is_empty


def columns(*names):
    return tuple(OutputColumn(f"c{number}", name) for number, name in enumerate(names))


FIRST = Step("1 a", frozenset({"c0"}), columns("Email", "Size"))
SECOND = Step("2 b", frozenset({"c1"}), columns("Name", "Email"))
THIRD = Step("3 c", None, columns("Email"))
MERGED = Merged([FIRST, SECOND, THIRD], "x")


def done(*values, **more):
    outputs = {f"c{number}": value for number, value in enumerate(values)}
    return Outcome(RowStatus.COMPLETED, outputs=outputs, **more)


FAILED = Outcome(RowStatus.FAILED, "NO: no")
PENDING, DOUBT = Outcome(RowStatus.PENDING), Outcome(RowStatus.IN_DOUBT, "IN_DOUBT")
SKIPPED = Outcome(RowStatus.SKIPPED)
ALL = {"Email": "e", "Size": 5, "Name": "n"}
BY_1, BY_2, BY_3 = ({"x_step": name} for name in ("1 a", "2 b", "3 c"))


def shown(*outcomes):
    """Status, and the values by the names of their columns, of three steps' outcomes."""
    row = MERGED.folded(outcomes)
    names = {column.id: column.name for column in MERGED.columns}
    return row.status, {names[id_]: value for id_, value in (row.outputs or {}).items()}


def test_columns_of_one_name_are_one_and_the_last_says_who_answered():
    assert [column.name for column in MERGED.columns] == ["Email", "Size", "Name", "x_step"]
    steps = [Step("1", None, columns("A", "A")), Step("2", None, columns("A", "B", "A"))]
    twice = Merged(steps, "x")
    assert [column.name for column in twice.columns] == ["A", "A", "B", "x_step"]
    row = twice.folded([FAILED, done("one", "b", "two")])
    assert row.outputs
    assert [row.outputs[column.id] for column in twice.columns] == ["one", "two", "b", "2"]


@pytest.mark.parametrize(
    ("outcomes", "status", "values"),
    [
        ((done("e", 5), done("n", "no"), FAILED), "completed", {"Email": "e", "Size": 5, **BY_1}),
        ((FAILED, done("n", "e"), done("no")), "completed", {"Name": "n", "Email": "e", **BY_2}),
        ((FAILED, FAILED, done("e")), "completed", {"Email": "e", **BY_3}),
        ((FAILED, FAILED, FAILED), "failed", {}),
        ((done(" ", 5), FAILED, FAILED), "failed", {"Email": " ", "Size": 5}),
        ((done(None, 5), done("n", []), done("e")), "completed", {**ALL, **BY_3}),
        ((done(None, 5), done("n", "e"), PENDING), "completed", {**ALL, **BY_2}),
        ((DOUBT, done("n", "e"), done("e")), "in_doubt", {}),
        ((FAILED, DOUBT, done("e")), "in_doubt", {}),
        ((FAILED, PENDING, done("e")), "pending", {}),
        ((PENDING, done("n", "e"), done("e")), "pending", {}),
        ((SKIPPED, done("n", "e"), done("e")), "skipped", {}),
        ((FAILED, SKIPPED, done("e")), "failed", {}),
    ],
)  # fmt: skip
def test_the_step_that_answers_tells_and_what_was_paid_stays(outcomes, status, values):
    assert shown(*outcomes) == (status, values)


def test_rows_that_are_left_out_show_what_is_there_and_stay_out():
    out = Outcome(RowStatus.FAILED, "NO: no", left_out=True)
    row = MERGED.folded([out, done("n", "e"), PENDING])
    assert row.outputs
    assert (row.status, row.left_out, row.outputs[STEP]) == ("completed", True, "2 b")
    row = MERGED.folded([out, PENDING, PENDING])
    assert (row.status, row.error, row.left_out) == ("failed", "NO: no", True)
    assert not FIRST.goes_on(out)


@pytest.mark.parametrize(
    ("outcome", "goes", "may"),
    [
        (FAILED, True, True),
        (done("", 1), True, True),
        (done("e"), False, False),
        (PENDING, False, True),
        (DOUBT, False, False),
        (SKIPPED, False, False),
    ],
)
def test_what_ended_without_an_answer_goes_on(outcome, goes, may):
    assert (FIRST.goes_on(outcome), FIRST.may_go_on(outcome)) == (goes, may)


def test_one_wanted_output_is_enough_and_without_any_every_result_is_an_answer():
    either = Step("1", frozenset({"c0", "c1"}))
    assert either.answers(done(None, "e"))
    assert not either.answers(done(None, None))
    assert THIRD.answers(done(None))


@pytest.mark.parametrize("value", [None, "", " \n", [], {}, [None, ""], {"a": [{}]}])
def test_empty_values(value):
    assert is_empty(value)


@pytest.mark.parametrize("value", [0, False, "x", [0], {"a": [None, 1]}])
def test_values_that_are_none_of_that(value):
    assert not is_empty(value)


# --- jobs and stops -------------------------------------------------------------------------------


def step(**more) -> Job:
    base = {"input": "/a.csv", "provider": "p", "target": "t", "base_url": "https://x.example/v1"}
    return make_job({**base, "maps": {"a": "A"}, **more})


def test_every_step_knows_the_whole_chain():
    first = waterfall_of([step(max_runs=5, wanted=("E",)), step(target="u"), step()])
    chain = first.chain()
    assert [(job.step, job.target, job.max_runs) for job in chain] == [
        (0, "t", 5),
        (1, "u", None),
        (2, "t", None),
    ]
    assert chain[0] == first
    for job in chain:
        assert make_job(job.model_dump(mode="json")).chain() == chain
    assert len({*(job.id for job in chain), step().id}) == 4
    other = waterfall_of([step(target="v"), step(target="u"), step()])
    assert [a.id == b.id for a, b in zip(chain, other.chain(), strict=True)] == [False] * 3


def test_a_stop_between_two_steps_is_remembered():
    heard: list[tuple[str, Stop]] = []
    stops: list[Callable[[Stop], None]] = []
    relay = Relay(Hooks(ready=stops.append))
    relay.hooks.ready(lambda stop: heard.append(("first", stop)))
    stop = Stop(StopCode.SIGNAL, "stopped by SIGTERM", 15)
    stops[0](stop)
    relay.hooks.ready(lambda stop: heard.append(("second", stop)))
    assert heard == [("first", stop), ("second", stop)]
    assert len(stops) == 1, "the door is told once"
