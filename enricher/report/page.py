"""The picture of a job as one HTML page: no scripts, nothing from elsewhere. Pure.

Everything that is put into the page is escaped, and characters that hide or turn text are
replaced, in one place: `_shown`.
"""

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from enricher.harmless import printable_lines
from enricher.report.charts import Charts, plain, step_name
from enricher.report.evidence import evidence_lines
from enricher.report.picture import MOST_LISTED, Picture
from enricher.report.summary import JobOutcome, Summary
from enricher.report.text import duration, headline, next_steps

BEGINS = "<!doctype html>\n<!-- a report of enricher -->"
"""How a report begins: what begins otherwise is never replaced by one."""

_TONES = {
    JobOutcome.FINISHED: "good",
    JobOutcome.FINISHED_WITH_FAILURES: "doubt",
    JobOutcome.STOPPED: "doubt",
    JobOutcome.RUNNING: "running",
    JobOutcome.INTERRUPTED: "doubt",
    JobOutcome.ERROR: "bad",
}


def report_page(picture: Picture, charts: Charts) -> str:
    """A file of its own: the style in it is the only one that its policy allows."""
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;"
    policy += " base-uri 'none'; form-action 'none'"
    return _page("report.html", picture, charts, style=Markup(style), policy=policy)  # noqa: S704


def live_page(picture: Picture, charts: Charts) -> str:
    """The page that `serve` gives: style and script stand beside it."""
    return _page("live.html", picture, charts)


def live_part(picture: Picture, charts: Charts) -> str:
    """What of the live page changes."""
    return _page("body.html", picture, charts)


def style_sheet() -> str:
    return _asset("page.css")


def live_script() -> str:
    return _asset("live.js")


@cache
def _asset(name: str) -> str:
    return (files("enricher.report") / "templates" / name).read_text(encoding="utf-8")


def _page(template: str, picture: Picture, charts: Charts, **more: Any) -> str:
    return (
        _templates()
        .get_template(template)
        .render(
            p=picture,
            s=picture.summary,
            charts=charts,
            tone=_TONES[picture.summary.outcome],
            headline=headline(picture.summary),
            steps=next_steps(picture.summary),
            rows=_row_parts(picture.summary),
            evidence=[line for one in picture.evidence[-1:] for line in evidence_lines(one)],
            most_listed=MOST_LISTED,
            **more,
        )
    )


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("enricher.report", "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "duration": duration,
        "number": _number,
        "plain": plain,
        "moment": _moment,
        "clock": lambda seconds: _moment(seconds, "%d %b %H:%M:%S"),
        "name": lambda path: PurePath(path or "").name,
    }
    templates.globals |= {"step_name": step_name}
    return templates


def _shown(value: Any) -> Any:
    """What stands in the page for a value; markup is ours, and all else is harmless text."""
    return value if isinstance(value, Markup) else printable_lines(str(value))


def _number(value: float) -> str:
    return f"{value:,.12g}"


def _moment(at: str | float | None, form: str = "%d %B %Y, %H:%M:%S") -> str:
    """A moment for people, in UTC, of an ISO text or of seconds since 1970."""
    if at is None:
        return ""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at, UTC)
    return moment.strftime(form).removeprefix("0")


def _row_parts(summary: Summary) -> list[tuple[str, int, str, float, float]]:
    """Of the bar of rows: words, count, tone, where it begins and how long it is (of 100)."""
    rows = summary.rows
    parts = [
        ("completed", rows.completed, "good"),
        ("failed", rows.failed, "bad"),
        ("in doubt", rows.in_doubt, "doubt"),
        ("skipped", rows.skipped, "quiet"),
        ("pending", rows.pending, "pending"),
    ]
    total = max(1, sum(count for _, count, _ in parts))
    told, begin = [], 0.0
    for words, count, tone in parts:
        if count:
            told.append((words, count, tone, begin, 100 * count / total))
            begin += 100 * count / total
    return told
