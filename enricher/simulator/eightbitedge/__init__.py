"""A stand-in of 8bitedge's batch endpoints, from their document."""

from enricher.simulator.eightbitedge.items import ItemFate, data_of, fate_of
from enricher.simulator.eightbitedge.rules import Batch, BatchService
from enricher.simulator.eightbitedge.settings import PREFIX, Endpoint, Plan, Settings

__all__ = [
    "PREFIX",
    "Batch",
    "BatchService",
    "Endpoint",
    "ItemFate",
    "Plan",
    "Settings",
    "data_of",
    "fate_of",
]
