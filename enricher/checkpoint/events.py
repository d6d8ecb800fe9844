"""Events as JSON, for who writes them down elsewhere: as much of each as the store needs."""

from base64 import b64decode, b64encode
from typing import Any, cast

from enricher.model import (
    Batch,
    BatchEnded,
    BatchFormed,
    Completed,
    Doubted,
    End,
    Event,
    Failed,
    GotId,
    Intended,
    Item,
    Stalled,
    Withdrew,
)


def encoded(event: Event) -> list[Any]:
    """The event as a JSON array, its kind first."""
    match event:
        case Intended(item, batched):
            return ["intended", item.key.hex(), dict(item.inputs), item.supersedes, batched]
        case Withdrew(key):
            return ["withdrew", key.hex()]
        case GotId(key, run_id):
            return ["got_id", key.hex(), run_id]
        case Completed(key, outputs, names, provisional):
            return ["completed", key.hex(), dict(outputs), dict(names), provisional]
        case Failed(key, code, message):
            return ["failed", key.hex(), code, message]
        case Stalled(key, code, message):
            return ["stalled", key.hex(), code, message]
        case Doubted(key, reason, again):
            return ["doubted", key.hex(), reason, again]
        case BatchFormed(Batch(id_, items, body)):
            return ["batch_formed", id_, [item.key.hex() for item in items], _text(body)]
        case BatchEnded(id_, events):
            return ["batch_ended", id_, [encoded(each) for each in events]]


def decoded(told: list[Any]) -> Event:
    """The event that `encoded` told.

    Raises:
        ValueError: it tells none.
    """
    match told:
        case ["intended", key, inputs, supersedes, batched]:
            return Intended(Item(_key(key), inputs, supersedes), batched)
        case ["withdrew", key]:
            return Withdrew(_key(key))
        case ["got_id", key, run_id]:
            return GotId(_key(key), run_id)
        case ["completed", key, outputs, names, provisional]:
            return Completed(_key(key), outputs, names, provisional)
        case ["failed", key, code, message]:
            return Failed(_key(key), code, message)
        case ["stalled", key, code, message]:
            return Stalled(_key(key), code, message)
        case ["doubted", key, reason, again]:
            return Doubted(_key(key), reason, again)
        case ["batch_formed", id_, keys, body]:
            items = tuple(Item(_key(key), {}) for key in keys)
            return BatchFormed(Batch(id_, items, b64decode(body)))
        case ["batch_ended", id_, events]:
            return BatchEnded(id_, tuple(cast("End", decoded(each)) for each in events))
    raise ValueError(f"no event: {told!r}")


def _key(text: str) -> bytes:
    return bytes.fromhex(text)


def _text(body: bytes) -> str:
    return b64encode(body).decode()
