"""So many fuzz cases in CI, of fixed seeds; `python -m tests.fuzz` runs any others."""

import pytest

from tests.fuzz.__main__ import report

SLICES = [
    *(("answers", range(start, start + 250)) for start in range(0, 1000, 250)),
    *(("tables", range(start, start + 250)) for start in range(500, 1000, 250)),
]
"""Cut so that two cores share them. Among the tables is 713, of which polars gives a part and says
nothing of the rest."""


@pytest.mark.parametrize(
    ("kind", "seeds"), SLICES, ids=[f"{kind}-{seeds.start}" for kind, seeds in SLICES]
)
def test_no_answer_and_no_file_does_harm(kind, seeds, capsys):
    findings = report(kind, seeds)
    assert findings == 0, capsys.readouterr().out
