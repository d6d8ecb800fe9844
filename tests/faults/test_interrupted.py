"""Killed and stopped at random moments; `python -m tests.faults` does it any number of times."""

import pytest

from tests.faults.__main__ import KINDS, report


@pytest.mark.parametrize(("kind", "first"), [("kills", 0), ("kills", 1), ("stops", 0)])
def test_nothing_is_lost_and_nothing_is_paid_twice_in_silence(kind, first, capsys):
    """An even seed ends with its doubts held, an odd one sends them again."""
    findings = report(kind, KINDS[kind], wanted=1, first=first, jobs=1)
    assert findings == 0, capsys.readouterr().out
