"""OpenAPI 3.1 documents of the three APIs, written from their documents.

Where a document is silent (a 429, a wrong path) and the stand-in has to answer all the same, the
description says so.
"""

from collections.abc import Callable, Mapping

from enricher.simulator.openapi import bitscale, eightbitedge, scale
from enricher.simulator.openapi.parts import Schema
from enricher.simulator.world import Api

_DOCUMENTS: Mapping[Api, Callable[[str], Schema]] = {
    Api.BITSCALE: bitscale.document,
    Api.EIGHTBITEDGE: eightbitedge.document,
    Api.SCALE: scale.document,
}


def document(api: Api) -> Schema:
    """The document of an API as this server has it."""
    return _DOCUMENTS[api](api.prefix)
