"""A local stand-in of the BitScale External API v1: pure rules and a thin web app around them.

Nothing here imports the rest of `enricher`. The rules (`rules`, `grids`, `values`, `limits`,
`durations`) know no clock, no socket and no event loop: whoever drives them passes the time in.
Only `app` and `server` touch the web stack, so they are imported from where they stand.
"""

from enricher.simulator.durations import Duration, parse_duration
from enricher.simulator.grids import GRIDS, Column, Grid
from enricher.simulator.limits import Window
from enricher.simulator.messages import Held, Request, Response
from enricher.simulator.rules import Workspace
from enricher.simulator.settings import Access, Settings
from enricher.simulator.values import outputs_for

__all__ = [
    "GRIDS",
    "Access",
    "Column",
    "Duration",
    "Grid",
    "Held",
    "Request",
    "Response",
    "Settings",
    "Window",
    "Workspace",
    "outputs_for",
    "parse_duration",
]
