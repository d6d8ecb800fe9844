"""What a door hears of a running job."""

from collections.abc import Callable
from dataclasses import dataclass

from enricher.api.planning import Plan
from enricher.model import Stop, Warn
from enricher.report.summary import Summary


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a door wants to hear of a running job.

    `warn` gets one line for a person, `detail` one for who wants to know everything; `progress` the
    summary of this moment, every second; `ready` a function that stops the job, once there is
    something to stop. `consent` says whether to go on before more than `ASK_ABOVE` new runs;
    `None` goes on.
    """

    warn: Warn = lambda _: None
    detail: Warn = lambda _: None
    consent: Callable[[Plan], bool] | None = None
    progress: Callable[[Summary], None] = lambda _: None
    ready: Callable[[Callable[[Stop], None]], None] = lambda _: None
