"""Local stand-ins of the provider APIs: pure rules, and one thin web app around them.

Nothing here imports the rest of `enricher`. BitScale stands in this folder, 8bitedge and Scale in
folders of their own, which share what is no vendor's (`limits`, `durations`, `draws`, `messages`).
The rules know no clock, no socket and no event loop: whoever drives them passes the time in.
Only `app` and `server` touch the web stack, so they are imported from where they stand.
"""

from enricher.simulator.durations import Duration, parse_duration
from enricher.simulator.faults import Fault, Faults, parse_faults
from enricher.simulator.grids import GRIDS, Column, Grid
from enricher.simulator.limits import Window
from enricher.simulator.messages import Held, Request, Response, Rules
from enricher.simulator.rules import Workspace
from enricher.simulator.settings import Access, Settings
from enricher.simulator.values import outputs_for
from enricher.simulator.world import Api, World

__all__ = [
    "GRIDS",
    "Access",
    "Api",
    "Column",
    "Duration",
    "Fault",
    "Faults",
    "Grid",
    "Held",
    "Request",
    "Response",
    "Rules",
    "Settings",
    "Window",
    "Workspace",
    "World",
    "outputs_for",
    "parse_duration",
    "parse_faults",
]
