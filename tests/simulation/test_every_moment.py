"""A job of 12 rows, killed at its moments; `--every-moment` of the command plays all of them."""

import pytest

from tests.simulation.campaign import played
from tests.simulation.every_moment import SMALL, awaits, commits, commits_of_recovery, life_of

SHARE_OF_AWAITS, SHARE_OF_RECOVERIES = 16, 40
"""One moment in so many, so that it does not take minutes."""


def test_the_job_has_moments_to_be_killed_at():
    life = life_of(SMALL)
    assert life.is_finished
    assert life.works > 40
    assert life.steps > 500


@pytest.mark.parametrize(
    "disasters",
    [
        pytest.param(commits, id="every commit"),
        pytest.param(lambda: awaits(every=SHARE_OF_AWAITS, first=5), id="awaits"),
        pytest.param(
            lambda: commits_of_recovery(every=SHARE_OF_RECOVERIES, first=20), id="recoveries"
        ),
    ],
)
def test_killed_at_any_moment_it_goes_on_as_if_nothing_had_happened(disasters):
    reports = {disaster.ends: played(disaster) for disaster in disasters()}
    assert len(reports) > 30
    broken = {ends: report.violations for ends, report in reports.items() if report.violations}
    assert not broken
