"""What one server holds: the chosen APIs with their settings, and the faults of all of them."""

from dataclasses import dataclass, field
from enum import StrEnum

from enricher.simulator import eightbitedge as edge
from enricher.simulator import scale as gp
from enricher.simulator.faults import Faults
from enricher.simulator.settings import Settings


class Api(StrEnum):
    """The APIs there are stand-ins of, by the names of their providers."""

    BITSCALE = "bitscale"
    EIGHTBITEDGE = "8bitedge"
    SCALE = "scale"

    @property
    def prefix(self) -> str:
        """What stands before every documented path."""
        return _PREFIXES[self]


_PREFIXES = {
    Api.BITSCALE: "/api/v1",
    Api.EIGHTBITEDGE: edge.PREFIX,
    Api.SCALE: gp.PREFIX,
}


@dataclass(frozen=True)
class World:
    """Everything that is chosen before the start."""

    apis: tuple[Api, ...] = (Api.BITSCALE,)
    bitscale: Settings = field(default_factory=Settings)
    others: tuple[Settings, ...] = ()
    """More workspaces of BitScale, each with a key of its own."""

    eightbitedge: edge.Settings = field(default_factory=edge.Settings)
    scale: gp.Settings = field(default_factory=gp.Settings)
    faults: Faults = field(default_factory=Faults)
