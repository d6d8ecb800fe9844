"""The three passes over the input, against a count of rows that a child could do."""

from collections import Counter
from dataclasses import dataclass

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from enricher.feed import RowFlow
from enricher.forecast import Census
from enricher.mapping import KeyMaker, resolve
from enricher.model import (
    Context,
    Item,
    RowStatus,
    State,
)
from enricher.record import Outcome, Record, Wanted

CONTEXT = Context("bitscale", "https://api.bitscale.ai", "ws-1", "grid-1")
COLUMNS = ("name", "site", "unused")
AB, A = frozenset("ab"), frozenset("a")


@dataclass
class Rows:
    """A table in memory, in batches of `size` rows."""

    rows: list
    size: int = 2
    blank_lines: int = 0
    ragged_lines: int = 0

    def batches(self):
        for start in range(0, len(self.rows), self.size):
            part = self.rows[start : start + self.size]
            yield pl.DataFrame(
                {
                    str(n): pl.Series([row[n] for row in part], dtype=pl.String)
                    for n in range(len(COLUMNS))
                }
            )


def flow_of(rows, asked=None):
    mapping = resolve(["name", "site"], COLUMNS, {}, {})
    return RowFlow(rows, mapping, KeyMaker(CONTEXT, mapping.labels), Wanted(asked))


def key(name, site):
    return KeyMaker(CONTEXT, ["name", "site"]).key({"name": name, "site": site})


def lookup_in(records):
    """A lookup as the checkpoint gives it: only what it holds."""
    return lambda keys: {key: records[key] for key in keys if key in records}


def completed(outputs_asked=None, attempt=1, **more):
    return Record(
        State.COMPLETED, attempt, outputs_asked, outputs_asked=outputs_asked, has_outputs=True,
        **more,
    )  # fmt: skip


TABLE = [
    ("Acme", "acme.com", "1"),
    ("Beta", "", "2"),
    ("", " ", "3"),
    ("Acme", "acme.com", "4"),
    ("Gamma", "g.com", "5"),
    ("Delta", None, "6"),
    ("Beta", None, "7"),
    ("Eps", "e.com", "8"),
    ("Zeta", "z.com", "9"),
]
RECORDS = {
    key("Beta", ""): completed(outputs={"a": 1}),
    key("Gamma", "g.com"): Record(State.RUNNING, 1, None),
    key("Delta", ""): Record(State.STALLED, 1, None, "RUN_TIMEOUT", "still running"),
    key("Eps", "e.com"): Record(State.IN_DOUBT, 1, None, message="no answer"),
    key("Zeta", "z.com"): Record(State.FAILED, 1, None, "RUN_FAILED", "none"),
}


def test_a_census_counts_rows_and_what_is_to_be_bought():
    census = flow_of(Rows(TABLE, blank_lines=4)).census(lookup_in(RECORDS))
    assert census == Census(
        total=9, skipped=1, reused=6, new_rows=2, new_runs=1, bought_before=0, blank_lines=4,
        left_out={"nothing to send": 1},
    )  # fmt: skip


def test_a_census_tells_what_was_bought_before_with_fewer_columns():
    records = {key("Acme", "acme.com"): completed(A)}
    census = flow_of(Rows(TABLE), asked=AB).census(lookup_in(records))
    assert (census.new_runs, census.bought_before, census.new_rows) == (6, 1, 8)


def test_a_table_without_rows_has_nothing_to_do():
    census = flow_of(Rows([])).census(lookup_in({}))
    assert census == Census(
        total=0, skipped=0, reused=0, new_rows=0, new_runs=0, bought_before=0, blank_lines=0
    )
    assert list(flow_of(Rows([])).feed(lookup_in({}))) == []


def test_the_engine_is_fed_what_is_to_be_bought_once_a_batch():
    fed = list(flow_of(Rows(TABLE, size=5)).feed(lookup_in(RECORDS)))
    acme = {"name": "Acme", "site": "acme.com"}
    assert [batch.items for batch in fed] == [[Item(key("Acme", "acme.com"), acme)], []]
    first, second = (batch.seen for batch in fed)
    assert first.ended == {RowStatus.COMPLETED: 1, RowStatus.SKIPPED: 1}
    assert list(first.waiting) == [key(*row) for row in [("Acme", "acme.com")] * 2] + [
        key("Gamma", "g.com")
    ]
    assert second.ended == {RowStatus.COMPLETED: 1, RowStatus.IN_DOUBT: 1, RowStatus.FAILED: 1}
    assert list(second.stalled) == [key("Delta", "")]


def test_a_result_of_fewer_columns_is_superseded():
    records = {key("Acme", "acme.com"): completed(A, attempt=3)}
    [fed] = flow_of(Rows(TABLE[:1]), asked=AB).feed(lookup_in(records))
    assert [item.supersedes for item in fed.items] == [3]
    assert [item.attempt for item in fed.items] == [4]


def test_the_output_has_one_outcome_a_row_in_the_order_of_the_rows():
    shown = [
        (row, outcome)
        for batch, outcomes in flow_of(Rows(TABLE)).outcomes(lookup_in(RECORDS))
        for row, outcome in zip(batch.rows(), outcomes, strict=True)
    ]
    assert [row for row, _ in shown] == TABLE
    beta = Outcome(RowStatus.COMPLETED, outputs={"a": 1})
    assert [outcome for _, outcome in shown] == [
        Outcome(RowStatus.PENDING),
        beta,
        Outcome(RowStatus.SKIPPED),
        Outcome(RowStatus.PENDING),
        Outcome(RowStatus.PENDING),
        Outcome(RowStatus.FAILED, "RUN_TIMEOUT: still running"),
        beta,
        Outcome(RowStatus.IN_DOUBT, "IN_DOUBT: no answer"),
        Outcome(RowStatus.FAILED, "RUN_FAILED: none"),
    ]


def test_samples_are_of_the_first_rows_that_are_sent():
    assert flow_of(Rows([("", "", "x"), *TABLE])).samples(2) == [
        {"name": "Acme", "site": "acme.com"},
        {"name": "Beta", "site": ""},
    ]
    assert flow_of(Rows([])).samples(2) == []


# --- against a naive count -------------------------------------------------------------------

CELLS = st.sampled_from(["", " ", None, "a", "b", "B"])
HELD = st.sampled_from(
    [
        completed(),
        completed(AB),
        completed(A, attempt=2),
        Record(State.RUNNING, 1, A),
        Record(State.STALLED, 1, None),
        Record(State.IN_DOUBT, 1, AB),
        Record(State.FAILED, 1, None),
        Record(State.FAILED, 2, A),
    ]
)
PAIRS = [(name, site) for name in ("", " ", "a", "b", "B") for site in ("", " ", "a", "b", "B")]


def serves(record, wanted):
    """Whether nothing is to be bought for a row with this record."""
    if record.state in (State.COMPLETED, State.FAILED):
        return record.asked is None or (wanted is not None and wanted <= record.asked)
    return True


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=30),
    held=st.dictionaries(st.sampled_from(PAIRS), HELD),
    size=st.integers(1, 7),
    wanted=st.sampled_from([None, A, AB]),
)
def test_what_is_counted_fed_and_shown_agrees_with_a_naive_count(rows, held, size, wanted):
    lookup = lookup_in({key(*pair): record for pair, record in held.items()})
    flow = flow_of(Rows(rows, size), wanted)
    pairs = [(name or "", site or "") for name, site, _ in rows]
    sent = [pair for pair in pairs if pair[0].strip() or pair[1].strip()]
    new = [pair for pair in sent if pair not in held or not serves(held[pair], wanted)]
    unheld = [pair for pair in new if pair not in held]
    blank = {
        label: sum(not pair[place].strip() for pair in unheld)
        for place, label in enumerate(("name", "site"))
    }

    assert flow.census(lookup) == Census(
        total=len(rows),
        skipped=len(rows) - len(sent),
        reused=len(sent) - len(new),
        new_rows=len(new),
        new_runs=len(set(new)),
        bought_before=len(set(new) & set(held)),
        blank_lines=0,
        left_out={"nothing to send": len(rows) - len(sent)} if len(rows) > len(sent) else {},
        blank={label: n for label, n in blank.items() if n},
    )

    fed = list(flow.feed(lookup))
    items = {item.key: item for batch in fed for item in batch.items}
    assert {(i.inputs["name"], i.inputs["site"]) for i in items.values()} == set(new)
    assert all(
        item.supersedes == (held[pair].attempt if pair in held else 0)
        for pair, item in ((pair, items[key(*pair)]) for pair in new)
    )
    seen = sum(sum(b.seen.ended.values()) + len(b.seen.waiting) + len(b.seen.stalled) for b in fed)
    assert seen == len(rows)

    shown = Counter(o.status for _, outcomes in flow.outcomes(lookup) for o in outcomes)
    assert shown[RowStatus.SKIPPED] == len(rows) - len(sent)
    running = [p for p in sent if p in held and held[p].state is State.RUNNING]
    assert shown[RowStatus.PENDING] == len(new) + len(running)
