"""Items: reading them from a body, and what each is answered with."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from enricher.simulator import draws
from enricher.simulator.eightbitedge.refusals import Code, Refused
from enricher.simulator.eightbitedge.settings import Endpoint, Settings
from enricher.simulator.messages import Json, JsonObject, json_text

_INDUSTRIES = ("Software", "Retail", "Health care", "Energy", "Finance")
_SIGNALS = ("hiring", "funding", "new office", "leadership change")


@dataclass(frozen=True)
class Item:
    """One item of `requests`; `text` is its one canonical form."""

    fields: JsonObject
    text: str


class ItemFate(Enum):
    """How an item ends. An error of an item has the shape of all errors, and its own status."""

    SUCCEEDED = 200
    REJECTED = 422
    BROKEN = 500


def read_items(body: bytes, most: int, poison: Collection[str]) -> tuple[Item, ...]:
    """The items of a body, or the documented refusal ("Request shape", "Batch size limits")."""
    try:
        envelope = json.loads(body, parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise Refused(Code.VALIDATION_FAILED, {"body": "is no JSON"}) from None
    requests = envelope.get("requests") if isinstance(envelope, dict) else None
    if not isinstance(requests, list) or not requests:
        raise Refused(Code.VALIDATION_FAILED, {"requests": "one or more items are needed"})
    if len(requests) > most:
        raise Refused(Code.BATCH_TOO_LARGE, {"max_items": most, "received": len(requests)})
    return tuple(_item(place, value, poison) for place, value in enumerate(requests))


def _item(place: int, value: Json, poison: Collection[str]) -> Item:
    where = f"requests.{place}"
    if not isinstance(value, dict):
        raise Refused(Code.VALIDATION_FAILED, {where: "must be an object"})
    try:
        text = json_text(value)
        # A lone surrogate and 1e999 can be read as JSON, and cannot be written again.
        text.encode()
    except (ValueError, RecursionError):
        raise Refused(Code.VALIDATION_FAILED, {where: "cannot be written as JSON"}) from None
    if any(isinstance(part, str) and part in poison for part in value.values()):
        raise Refused(Code.VALIDATION_FAILED, {where: "is not valid"})
    return Item(value, text)


def _not_json(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def fate_of(settings: Settings, endpoint: Endpoint, text: str, times: int) -> ItemFate:
    """How an item ends that was processed `times` before; only a rejection is for good."""
    about = (settings.seed, endpoint, text)
    if draws.fraction("rejected", *about) < settings.fail_rate / 2:
        return ItemFate.REJECTED
    if draws.fraction("broken", times, *about) < settings.fail_rate / 2:
        return ItemFate.BROKEN
    return ItemFate.SUCCEEDED


def outcome(settings: Settings, endpoint: Endpoint, item: Item, times: int) -> JsonObject:
    """The element of `data` for an item."""
    fate = fate_of(settings, endpoint, item.text, times)
    if fate is ItemFate.REJECTED:
        return {"status": 422, "error": Code.VALIDATION_FAILED.body({})}
    if fate is ItemFate.BROKEN:
        return {"status": 500, "error": Code.INTERNAL_ERROR.body({})}
    if settings.stub:
        return {"status": 200, "data": {"echo": item.fields, "note": "stub"}}
    return {"status": 200, "data": data_of(endpoint, item.text)}


def data_of(endpoint: Endpoint, text: str) -> JsonObject:
    """Made-up data for an item's canonical text: the real shapes are not documented."""
    match endpoint:
        case Endpoint.ENRICHMENT:
            return {
                "industry": draws.pick(_INDUSTRIES, "industry", text),
                "employees": draws.number(1, 90_000, "employees", text),
            }
        case Endpoint.SIGNALS:
            return {
                "signal": draws.pick(_SIGNALS, "signal", text),
                "strength": draws.number(0, 100, "strength", text) / 100,
            }
        case Endpoint.INTELLIGENCE:
            return {
                "score": draws.number(0, 100, "score", text),
                "competitors": [draws.pick(_INDUSTRIES, "competitor", text)],
            }
