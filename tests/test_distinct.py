"""Counting distinct digests: exactly, in bounded memory, leaving nothing behind."""

import hashlib
import itertools
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.distinct import DIGEST_SIZE, DistinctCounter, Occurrences

DIGESTS = st.lists(
    st.integers(0, 400).map(lambda n: hashlib.blake2b(str(n).encode(), digest_size=16).digest())
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def digests(start, stop):
    return [hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in range(start, stop)]


@given(st.lists(DIGESTS), st.integers(0, 50))
def test_it_counts_as_a_set_does(groups, in_memory):
    with DistinctCounter(in_memory) as counter:
        for group in groups:
            counter.add(group)
        assert counter.count() == len(set().union(*groups))


def test_beyond_its_memory_it_counts_over_files_as_often_as_it_is_asked(folder):
    with DistinctCounter(in_memory=1000) as counter:
        counter.add(digests(0, 900))
        assert list(folder.iterdir()) == []
        for start in range(0, 20_000, 500):
            counter.add(digests(start, start + 1000))
        assert counter.count() == 20_500
        written = sum(file.stat().st_size for file in folder.glob("*/*"))
        assert 20_500 * 16 <= written <= 41_000 * 16  # none is written twice for one time added
        counter.add(digests(20_000, 21_000))
        counter.add(digests(0, 10))
        assert counter.count() == counter.count() == 21_000
    assert list(folder.iterdir()) == []


def test_a_failure_leaves_no_files_behind(folder):
    def fail_half_way():
        with DistinctCounter(in_memory=10) as counter:
            counter.add(digests(0, 1000))
            assert list(folder.iterdir()) != []
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert list(folder.iterdir()) == []


def test_nothing_is_nothing():
    with DistinctCounter() as counter:
        assert counter.count() == 0
        counter.add([])
        assert counter.count() == 0


@given(st.lists(st.binary(min_size=1, max_size=1), max_size=60))
def test_occurrences_number_equal_digests_in_order(parts):
    digests = [part * DIGEST_SIZE for part in parts]
    with Occurrences() as occurrences:
        occurrences.add(digests[:7])
        occurrences.add(digests[7:])
        occurrences.finish()
        expected = [digests[:n].count(digest) for n, digest in enumerate(digests)]
        for _ in range(2):
            assert list(itertools.islice(occurrences.numbers(), len(digests))) == expected


def test_occurrences_of_more_rows_than_a_block():
    rows = 1_100_000
    digests = [bytes([n % 3]) * DIGEST_SIZE for n in range(3)]
    with Occurrences() as occurrences:
        occurrences.add(digests[n % 3] for n in range(rows))
        occurrences.finish()
        numbers = list(itertools.islice(occurrences.numbers(), rows))
    assert numbers == [n // 3 for n in range(rows)]
