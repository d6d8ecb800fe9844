"""The states of an item, and which result serves which request."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.errors import IllegalTransition
from enricher.model import (
    TRANSITIONS,
    WITHDRAWN,
    Item,
    RequestCounts,
    RowStatus,
    State,
    moved,
    sources_of,
)
from enricher.record import covers

S = State
LEGAL = {
    # The table of the design, row by row.
    (WITHDRAWN, S.SUBMITTING),
    *((S.SUBMITTING, to) for to in (S.RUNNING, S.COMPLETED, S.FAILED, S.IN_DOUBT, WITHDRAWN)),
    *((S.RUNNING, to) for to in (S.COMPLETED, S.FAILED, S.STALLED)),
    *((S.STALLED, to) for to in (S.COMPLETED, S.FAILED, S.STALLED, S.SUBMITTING)),
    *((S.IN_DOUBT, to) for to in (S.FAILED, S.SUBMITTING)),
    (S.COMPLETED, S.SUBMITTING),
    (S.FAILED, S.SUBMITTING),
}
EVERY_MOVE = list(itertools.product([WITHDRAWN, *State], repeat=2))


@pytest.mark.parametrize(("old", "new"), EVERY_MOVE)
def test_an_item_moves_only_as_the_table_says(old, new):
    if (old, new) in LEGAL:
        assert moved(old, new) is new
    else:
        with pytest.raises(IllegalTransition, match="→"):
            moved(old, new)


def test_an_illegal_move_is_told_by_name():
    with pytest.raises(IllegalTransition, match=r"^completed → running$"):
        moved(S.COMPLETED, S.RUNNING)
    with pytest.raises(IllegalTransition, match=r"^withdrawn → failed$"):
        moved(WITHDRAWN, S.FAILED)


@pytest.mark.parametrize("new", [WITHDRAWN, *State])
def test_where_a_move_may_come_from(new):
    assert set(sources_of(new)) == {old for old, to in LEGAL if to is new} - {WITHDRAWN}


def test_a_run_with_an_id_is_never_withdrawn_nor_in_doubt():
    """Its id is on disk: it is looked at until it ends."""
    assert not TRANSITIONS[S.RUNNING] & {WITHDRAWN, S.IN_DOUBT, S.SUBMITTING}


def test_every_item_can_come_to_an_end():
    for state in State:
        reached, new = set(), {state}
        while new:
            reached |= new
            new = {to for old in new for to in TRANSITIONS[old] if to} - reached
        assert {S.COMPLETED, S.FAILED} <= reached


def test_the_words_of_the_output_are_those_of_the_contract():
    assert {str(status) for status in RowStatus} == {
        *("completed", "failed", "skipped", "pending", "in_doubt")
    }


def test_the_numbers_of_the_states_never_change():
    """They are on disk."""
    assert {state.name: state.value for state in State} == {
        "SUBMITTING": 1,
        "RUNNING": 2,
        "STALLED": 3,
        "IN_DOUBT": 4,
        "COMPLETED": 5,
        "FAILED": 6,
    }


@pytest.mark.parametrize(
    ("stored", "wanted", "serves"),
    [
        (None, None, True),
        (None, frozenset("a"), True),
        (frozenset("ab"), frozenset("a"), True),
        (frozenset("ab"), frozenset("ab"), True),
        (frozenset("a"), frozenset("ab"), False),
        (frozenset("a"), None, False),
        (frozenset(), None, False),
    ],
)
def test_a_result_serves_requests_for_the_same_or_fewer_columns(stored, wanted, serves):
    assert covers(stored, wanted) is serves


COLUMNS = st.none() | st.frozensets(st.sampled_from("abc"))


@given(COLUMNS, COLUMNS, COLUMNS)
def test_what_serves_a_request_serves_every_smaller_one(a, b, c):
    assert covers(a, a)
    if covers(a, b) and covers(b, c):
        assert covers(a, c)


def test_the_first_attempt_has_number_one():
    assert Item(b"k", {}).attempt == 1
    assert Item(b"k", {}, supersedes=2).attempt == 3


def test_the_total_counts_every_request_that_left_once():
    counts = RequestCounts(submit=5, poll=7, other=3, rate_limited=2, retried=4, accepted=5)
    assert counts.total == 15
