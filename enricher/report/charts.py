"""Charts as static SVG: they read without scripts, and take their colours from the page.

Drawn with the extra `report` (altair, and vl-convert, which asks no network); without it there
are none, and the page's tables say the same.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from enricher.report.figures import Durations, Timeline

SUBMITTED, ENDED, LIMIT = "#1b5fae", "#16805a", "#b3541e"
_TEXT, _LINE = "#5b6470", "#dfe3e8"
"""The page's style sheet finds these and puts its own in their place, dark ones in the dark."""

_WIDTH, _HEIGHT = 940, 190
_WORDS = 13


_NOTHING = Markup("")


@dataclass(frozen=True, slots=True)
class Charts:
    """SVG elements; empty where there is nothing to draw."""

    rates: Markup = _NOTHING
    durations: Markup = _NOTHING


def can_draw() -> bool:
    """Whether the extra `report` is installed."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError:
        return False
    return True


def drawn(timeline: Timeline, durations: Durations, limit: float | None) -> Charts:
    """The charts of a page; none of them without the extra `report`.

    Args:
        limit: requests per second, `None` where it is not known.
    """
    if not can_draw():
        return Charts()
    return Charts(
        _svg(_rates(timeline, limit)) if any(timeline.submitted) else _NOTHING,
        _svg(_durations(durations)) if durations.count else _NOTHING,
    )


def _rates(timeline: Timeline, limit: float | None) -> Any:
    import altair as alt

    rows = []
    for number, (start, *counts) in enumerate(timeline.slices()):
        moment = datetime.fromtimestamp(start, UTC).replace(tzinfo=None).isoformat()
        seconds = timeline.seconds_of(number)
        for what, count in zip(("submissions", "results"), counts, strict=True):
            rows.append({"at": moment, "what": what, "rate": count / seconds})
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(domain=["submissions", "results"], range=[SUBMITTED, ENDED]),
        legend=alt.Legend(
            title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, columnPadding=22
        ),
    )
    axis = alt.Axis(title="UTC", format=_clock(timeline), tickCount=8)
    lines = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(interpolate="step-after", strokeWidth=1.8)
        .encode(
            x=alt.X("at:T", axis=axis, scale=alt.Scale(type="utc")),
            y=alt.Y("rate:Q", axis=alt.Axis(title="number a second", tickCount=4)),
            color=colour,
        )
    )
    return alt.layer(lines, *_limit_line(limit)).properties(width=_WIDTH, height=_HEIGHT)


def _limit_line(limit: float | None) -> list[Any]:
    import altair as alt

    if limit is None:
        return []
    data = alt.InlineData(values=[{"limit": limit, "words": f"limit: {limit:g} requests/s"}])
    rule = alt.Chart(data).mark_rule(color=LIMIT, strokeDash=[5, 4]).encode(y="limit:Q")
    words = (
        alt.Chart(data)
        .mark_text(align="right", baseline="bottom", dy=-4, color=LIMIT, fontSize=_WORDS)
        .encode(y="limit:Q", x=alt.value(_WIDTH), text="words:N")
    )
    return [rule, words]


def _clock(timeline: Timeline) -> str:
    """How moments are written: seconds where the whole is short, days where it is long."""
    length = timeline.end - timeline.start
    if length <= 300:
        return "%H:%M:%S"
    return "%H:%M" if length <= 86_400 else "%d %b %H:%M"


def _durations(durations: Durations) -> Any:
    import altair as alt

    most = max(count for _, _, count in durations.steps())
    rows = [
        {"order": number, "took": step_name(low, high), "runs": count}
        for number, (low, high, count) in enumerate(durations.steps())
    ]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(color=SUBMITTED, cornerRadiusEnd=2, size=46)
        .encode(
            x=alt.X(
                "took:N",
                sort=None,
                axis=alt.Axis(
                    title="from submission to result", labelAngle=0, grid=False, ticks=False
                ),
            ),
            y=alt.Y("runs:Q", axis=alt.Axis(title="runs", tickCount=min(4, most), format="d")),
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )


def step_name(low: float, high: float) -> str:
    """`5-10 s`, `2-5 min`, `over 2 h`, as short as an axis needs it."""
    if high == float("inf"):
        return f"over {plain(low)}"
    number, unit = plain(high).split(" ")
    if low == 0:
        return f"under {number} {unit}"
    size = {"s": 1, "min": 60, "h": 3600}[unit]
    return f"{low / size:g}–{number} {unit}" if low >= size else f"{plain(low)}–{number} {unit}"


def plain(seconds: float) -> str:
    """`5 s`, `2 min`, `6 h`: a round duration."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _svg(chart: Any) -> Markup:
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    svg = vl_convert.vegalite_to_svg(
        {**chart.to_dict(), "config": _CONFIG}, vl_version=version, allowed_base_urls=[]
    )
    # What it says stands beside it in words and in a table.
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))  # noqa: S704  # made of numbers and words of ours


_CONFIG = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _TEXT,
        "titleColor": _TEXT,
        "gridColor": _LINE,
        "domainColor": _LINE,
        "tickColor": _LINE,
        "labelFontSize": _WORDS,
        "titleFontSize": _WORDS,
        "titleFontWeight": "normal",
        "labelPadding": 6,
    },
    "axisX": {"grid": False},
    "axisY": {"domain": False, "ticks": False},
    "legend": {"labelColor": _TEXT, "labelFontSize": _WORDS},
}
