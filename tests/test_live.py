"""How a running job is shown: the picture's lines, the pulse behind it, lines in between."""

import math

import pytest

from enricher.api.pulse import Pulse
from enricher.cli.progress import LINE_INTERVAL, Lines
from enricher.model import Completed, Doubted, Failed
from enricher.report.live import describe, live_lines
from enricher.report.summary import (
    JobOutcome,
    Live,
    RequestTotals,
    RowTotals,
    RunTotals,
    Summary,
)

BUSY = Summary(
    outcome=JobOutcome.RUNNING,
    eta_seconds=245.0,
    rows=RowTotals(total=1_000_000, completed=400_000, failed=12_345, in_doubt=1, pending=587_654),
    runs=RunTotals(submitted=9, in_flight=1000),
    requests=RequestTotals(rate_limited=12),
    live=Live(2.42, 5.0, 0.97, 38120.0, {"OLD": 1, "A": 1, "B": 2, "C": 3, "LONG_" * 30: 4}),
)


def texts(summary: Summary, width: int) -> list[str]:
    return ["".join(part.text for part in line) for line in live_lines(summary, width)]


@pytest.mark.parametrize("width", [12, 20, 39, 59, 99, 300])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    lines = texts(BUSY, width)
    assert max(map(len, lines)) <= width
    told = "\n".join(lines)
    assert "41 %" in lines[0]
    if width >= 39:
        for words in ("12,345 failed", "1 in doubt", "2.42 runs/s", "97 % of 5 requests/s"):
            assert words in told
        assert told.index("LONG_") < told.index("C × 3") < told.index("A × 1")
        assert "OLD" not in told


def test_a_wide_terminal_takes_four_lines() -> None:
    assert texts(BUSY, 200)[1:3] == [
        "412,346 of 1,000,000 rows · 12,345 failed · 1 in doubt · 1,000 in flight",
        "2.42 runs/s · 97 % of 5 requests/s · 4 min 5 s left · 38,120 credits"
        " · 12 refused for the rate",
    ]


def test_what_is_not_known_is_not_shown() -> None:
    bare = Summary(outcome=JobOutcome.RUNNING)
    assert texts(bare, 80)[1:] == ["0 of 0 rows"]
    assert describe(bare) == "0/0 rows · 0 runs"


def test_the_pulse_looks_back_half_a_minute() -> None:
    pulse = Pulse()
    assert pulse.live(0.0, 0, 5.0, None) == Live(rate=5.0)
    for n in range(10):
        pulse.hear(Completed(bytes([n]), {}, {}))
    assert pulse.hear(Failed(b"f", "A", "")) == "a run failed: A"
    pulse.hear(Failed(b"g", "B", "why"))
    pulse.hear(Failed(b"h", "A", ""))
    pulse.hear(Doubted(b"d", "lost"))
    live = pulse.live(10.0, 40, 5.0, 7.0)
    assert (live.runs_per_second, live.use, live.credits) == (1.3, 0.8, 7.0)
    assert list(live.errors.items()) == [("B", 1), ("A", 2), ("IN_DOUBT", 1)]
    later = pulse.live(40.0, 40, math.inf, None)
    assert (later.runs_per_second, later.rate, later.use) == (0.0, None, None)


def test_without_a_terminal_there_is_a_line_every_30_seconds(capsys) -> None:
    now = 0.0
    lines = Lines(lambda: now)
    for now in range(0, 95, 5):  # noqa: B007  # the clock above reads it
        lines.show(BUSY)
    said = capsys.readouterr().err.splitlines()
    assert said == [describe(BUSY)] * int(90 / LINE_INTERVAL)
