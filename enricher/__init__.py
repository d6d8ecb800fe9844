"""Enrich the rows of a table through a provider's API: resumable, and nothing is paid twice.

    import enricher

    summary = enricher.run("leads.csv", grid="a1b2c3d4-…", output="out.csv")

Whatever is named here is imported when it is first used.
"""

TYPE_CHECKING = False  # the name that type checkers know; `typing` itself takes longer than we do
if TYPE_CHECKING:
    from typing import Any

    from enricher import errors
    from enricher.library import (
        Changes,
        Event,
        EventName,
        Job,
        JobOutcome,
        Options,
        Plan,
        Status,
        Summary,
        aplan,
        aresume,
        arun,
        export,
        jobs,
        plan,
        resume,
        run,
        status,
        stream,
    )

__all__ = [
    "Changes",
    "Event",
    "EventName",
    "Job",
    "JobOutcome",
    "Options",
    "Plan",
    "Status",
    "Summary",
    "aplan",
    "aresume",
    "arun",
    "errors",
    "export",
    "jobs",
    "plan",
    "resume",
    "run",
    "status",
    "stream",
]


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name == "errors":
        return import_module("enricher.errors")
    if name not in __all__:
        raise AttributeError(f"module 'enricher' has no attribute {name!r}")
    return getattr(import_module("enricher.library"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
