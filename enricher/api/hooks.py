"""What a door hears of a running job."""

from collections.abc import Callable
from dataclasses import dataclass

from enricher.model import Stop, Warn
from enricher.report.summary import Summary


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a door wants to hear of a running job.

    `warn` gets one line for a person; `progress` the summary of this moment, every second; `ready`
    gets a function that stops the job, once there is something to stop.
    """

    warn: Warn = lambda _: None
    progress: Callable[[Summary], None] = lambda _: None
    ready: Callable[[Callable[[Stop], None]], None] = lambda _: None
