"""Which shard a row is in: by what it sends alone. And which key goes with which target."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.api.pairing import paired
from enricher.feed import RowFlow
from enricher.mapping import KeyMaker, placing, resolve
from enricher.model import Context
from enricher.record import Wanted
from enricher.shard import Shard, number_of
from tests.test_feed import Rows

COLUMNS = ("name", "site", "unused")
CONTEXTS = (
    Context("bitscale", "https://api.bitscale.ai", "ws-1", "grid-1"),
    Context("bitscale", "https://api.bitscale.ai", "ws-2", "grid-2", "source"),
)
cells = st.sampled_from(["", " ", "a", "b", "1:a,", "ä", "x" * 40])
tables = st.lists(st.tuples(cells, cells, st.just("")), max_size=30)


def flow_of(rows, context, shard):
    mapping = resolve(["name", "site"], COLUMNS, {}, {})
    keys = KeyMaker(context, mapping.labels)
    return RowFlow(Rows(rows, 3), mapping, keys, Wanted(None), shard=shard)


def sent_by(rows, count, contexts):
    """The rows of each shard: what the shard's job shows of the table."""
    shown = []
    for index in range(count):
        flow = flow_of(rows, contexts[index % len(contexts)], Shard(index, count))
        shown.append([row for batch, _ in flow.outcomes(lambda _: {}) for row in batch.iter_rows()])
    return shown


@given(tables, st.integers(1, 5))
def test_each_row_is_in_one_shard_whoever_runs_it(rows, count):
    of_one, of_two = (sent_by(rows, count, contexts) for contexts in (CONTEXTS[:1], CONTEXTS))
    assert of_one == of_two
    assert Counter(row for shard in of_one for row in shard) == Counter(rows)


@given(tables, st.integers(1, 5))
def test_equal_inputs_meet_in_one_shard(rows, count):
    homes: dict[tuple[str, ...], int] = {}
    for index, shown in enumerate(sent_by(rows, count, CONTEXTS)):
        for row in shown:
            blank = not any(cell.strip() for cell in row[:2])
            assert homes.setdefault(row[:2], index) == index
            assert not blank or index == 0, "rows that send nothing belong to the first"


@pytest.mark.parametrize("count", [2, 3, 16])
def test_shards_are_about_equally_large(count):
    place = placing(["name"])
    found = Counter(number_of(place.key({"name": f"n{n}"}), count) for n in range(8000))
    assert all(abs(found[index] - 8000 / count) < 0.2 * 8000 / count for index in range(count))


def test_the_choice_is_frozen():
    """Another one would put rows of running jobs into other shards, and pay them again there."""
    assert placing(["b", "a"]).key({"a": "1", "b": "ü"}).hex() == FROZEN
    assert placing(["a", "b"]).key({"a": "1", "b": "ü"}).hex() == FROZEN


FROZEN = "4b901f08c267464b5b58abdd3e2a1b67"


def test_a_key_is_that_of_its_content():
    keys = KeyMaker(replace(CONTEXTS[0]), ["a"])
    for occurrence in (0, 3):
        content = placing(["a"]).content({"a": "x"}, occurrence)
        assert keys.key({"a": "x"}, occurrence) == keys.key_of(content)


# --- pairs -----------------------------------------------------------------------------------


def pairs_of(**options):
    each, wrong = paired(options, "grid")
    assert wrong == {}
    return [(one.get("api_key_file"), one.get("grid")) for one in each]


def test_keys_and_targets_are_paired_in_their_order():
    assert pairs_of() == [(None, None)]
    assert pairs_of(grid="g") == [(None, "g")]
    assert pairs_of(grid=["g"], api_key_file=["a"]) == [("a", "g")]
    assert pairs_of(grid="g", api_key_file=["a", "b"]) == [("a", "g"), ("b", "g")]
    assert pairs_of(grid=["g", "h"], api_key_file=["a", "b"]) == [("a", "g"), ("b", "h")]


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"grid": ["g", "h"]}, "grid"),
        ({"grid": ["g", "h"], "api_key_file": "a"}, "grid"),
        ({"grid": ["g", "h"], "api_key_file": ["a", "b", "c"]}, "grid"),
        ({"api_key_file": ["a", "./a"]}, "api_key_file"),
        ({"grid": ["g", "h"], "api_key_file": ["a", "b"], "source_id": "s"}, "source_id"),
    ],
)
def test_what_cannot_be_paired_is_told_by_its_option(options, option):
    each, wrong = paired(options, "grid")
    assert list(wrong) == [option]
    assert len(each) == 1
