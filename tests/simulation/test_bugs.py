"""The harness is tested: each seeded bug is caught within ten seeds."""

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.campaign import play_seed

SEEDS = (57, 11, 53, 48, 60, 2, 3, 38, 15, 45)
"""Ten in which much happens: keys change, servers are gone, stops come twice, rows are equal."""


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_caught(name: str) -> None:
    with BUGS[name].switch():
        assert any(play_seed(seed).violations for seed in SEEDS), BUGS[name].says


def test_without_a_bug_nothing_is_caught() -> None:
    assert [play_seed(seed).violations for seed in SEEDS] == [()] * len(SEEDS)
