"""What a program hears of a job."""

from collections.abc import Callable
from dataclasses import dataclass

from enricher.api import EventName, Summary


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job.

    Attributes:
        name: what, by the stable names of the log, such as `progress`, `run_failed` or `ended`.
        text: the same for a person, in one line.
        summary: with `progress`, which comes every second, and with `ended`: the counts of that
            moment, times in seconds.

    Raises:
        TypeError: it has no field of that name.

    Example:
        >>> def heard(event: enricher.Event) -> None:
        ...     if event.name == enricher.EventName.ENDED:
        ...         print(event.summary.rows.completed)
        >>> summary = enricher.run("companies.csv", grid=GRID, on_event=heard)
        39
    """

    name: EventName
    text: str
    summary: Summary | None = None


Hear = Callable[[Event], None]
