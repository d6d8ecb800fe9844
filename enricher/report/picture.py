"""The picture of a job: all that a page shows of it, before it is drawn. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enricher.report.evidence import Evidence
from enricher.report.figures import Durations, Failures, Fill, Timeline
from enricher.report.summary import Summary
from enricher.report.text import Doubt, duration

_AGES = {"run_timeout", "max_outage", "stop_after", "refresh_after", "retry_lock"}
"""Options in seconds."""

MOST_LISTED = 1000
"""Doubts that a page lists; `status` lists all."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A job as its checkpoint shows it.

    Attributes:
        made_at: ISO 8601 in UTC.
        invocations: the summaries of the last ones, oldest first.
        rate: what `--rate` asked for: requests per second, `auto` or `unlimited`.
        limit: requests per second that were allowed last, `None` where there is no limit, or
            none is known.
        passes: how many there were.
        options: name and value of what the job was told, as text; never a key.
        mapping: label, and what it is fed from.
    """

    made_at: str
    summary: Summary
    doubts: Sequence[Doubt] = ()
    second_charges: Sequence[Doubt] = ()
    evidence: Sequence[Evidence] = ()
    invocations: Sequence[Summary] = ()
    timeline: Timeline = field(default_factory=lambda: Timeline(0, 0))
    durations: Durations = field(default_factory=Durations)
    failures: Failures = field(default_factory=Failures)
    fill: Fill = field(default_factory=lambda: Fill({}))
    rate: float | str = "auto"
    limit: float | None = None
    passes: int = 1
    options: Sequence[tuple[str, str]] = ()
    mapping: Sequence[tuple[str, str]] = ()


def told_options(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a job was told, as text; what was left empty is left out.

    Maps and templates are in the mapping, and there is no key among the options.
    """
    left_out = ("maps", "templates")
    return [
        (name.replace("_", "-"), duration(value) if name in _AGES else _as_text(value))
        for name, value in options.items()
        if name not in left_out and value not in (None, "", [], {}, False)
    ]


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if value is True:
        return "yes"
    return f"{value:g}" if isinstance(value, float) else str(value)


def told_mapping(mapping: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """Label, and in words what feeds it."""
    words = {"column": "column", "template": "template", "value": "always"}
    return [
        (label, f"{words[kind]} {fed[kind]}")
        for label, fed in mapping.items()
        for kind in words
        if kind in fed
    ]
