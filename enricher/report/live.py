"""How a job is going, for people who watch: one line, or a few that fit a terminal. Pure."""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enricher.harmless import printable
from enricher.report.summary import Live, Summary
from enricher.report.text import duration

SEPARATOR = " · "
ERRORS_SHOWN = 4
LONGEST_BAR = 40


class Tone(enum.Enum):
    """What a part of a line is about; a door gives each its colour."""

    PLAIN = enum.auto()
    GOOD = enum.auto()
    BAD = enum.auto()
    DOUBT = enum.auto()
    QUIET = enum.auto()


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    tone: Tone = Tone.PLAIN


Line = Sequence[Part]


def describe(summary: Summary) -> str:
    """`37/41 rows · 36 runs · 4 in flight · 12 s left`."""
    rows, runs = summary.rows, summary.runs
    parts = [f"{rows.total - rows.pending:,}/{rows.total:,} rows", f"{runs.submitted:,} runs"]
    parts += [f"{rows.failed:,} failed"] if rows.failed else []
    parts += [f"{rows.in_doubt:,} in doubt"] if rows.in_doubt else []
    parts += [f"{runs.in_flight:,} in flight"] if runs.in_flight else []
    parts += [f"{duration(summary.eta_seconds)} left"] if summary.eta_seconds else []
    return SEPARATOR.join(parts)


def live_lines(summary: Summary, width: int) -> list[Line]:
    """The picture of a moment in lines of at most `width` characters; the first is the bar."""
    live = summary.live or Live()
    groups = [list(_rows(summary)), [*_pace(summary, live), *_money(summary, live)], _errors(live)]
    return [_bar(summary, width), *(line for group in groups for line in _packed(group, width))]


def _bar(summary: Summary, width: int) -> Line:
    rows = summary.rows
    share = 1 - rows.pending / rows.total if rows.total else 0.0
    caption = f"  {share * 100:.0f} %"
    length = max(4, min(LONGEST_BAR, width - len("  100 %")))
    done = int(length * share)
    return [
        Part("━" * done, Tone.GOOD),
        Part("━" * (length - done), Tone.QUIET),
        Part(caption[:width]),
    ]


def _rows(summary: Summary) -> Iterator[Part]:
    rows = summary.rows
    yield Part(f"{rows.total - rows.pending:,} of {rows.total:,} rows")
    if rows.failed:
        yield Part(f"{rows.failed:,} failed", Tone.BAD)
    if rows.in_doubt:
        yield Part(f"{rows.in_doubt:,} in doubt", Tone.DOUBT)
    if summary.runs.in_flight:
        yield Part(f"{summary.runs.in_flight:,} in flight")


def _pace(summary: Summary, live: Live) -> Iterator[Part]:
    if live.runs_per_second is not None:
        yield Part(f"{live.runs_per_second:.3g} runs/s")
    if live.use is not None and live.rate is not None:
        yield Part(f"{live.use * 100:.0f} % of {live.rate:g} requests/s")
    if summary.eta_seconds:
        yield Part(f"{duration(summary.eta_seconds)} left")


def _money(summary: Summary, live: Live) -> Iterator[Part]:
    if live.credits is not None:
        yield Part(f"{live.credits:,.12g} credits", Tone.QUIET)
    if refused := summary.requests.rate_limited:
        yield Part(f"{refused:,} refused for the rate", Tone.DOUBT)


def _errors(live: Live) -> list[Part]:
    """How often the errors came, the latest first."""
    latest = list(live.errors.items())[: -ERRORS_SHOWN - 1 : -1]
    return [Part(f"{printable(code)} × {times:,}", Tone.BAD) for code, times in latest]


def _packed(parts: Sequence[Part], width: int) -> Iterator[Line]:
    """Parts in as few lines as `width` allows; one that is longer than a line is cut."""
    line: list[Part] = []
    used = 0
    for part in parts:
        text = part.text if len(part.text) <= width else part.text[: width - 1] + "…"
        if line and used + len(SEPARATOR) + len(text) > width:
            yield line
            line, used = [], 0
        if line:
            line.append(Part(SEPARATOR, Tone.QUIET))
            used += len(SEPARATOR)
        line.append(Part(text, part.tone))
        used += len(text)
    if line:
        yield line
