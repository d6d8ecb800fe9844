"""Batches that are not answered: their exact bytes, and which items they hold in which order."""

import sqlite3
from collections.abc import Iterator

from enricher.model import KEY_SIZE, Batch, State


def insert(connection: sqlite3.Connection, batch: Batch, context: int, now: float) -> None:
    """Keep `batch` until it is answered; `now` in seconds since 1970."""
    keys = b"".join(item.key for item in batch.items)
    connection.execute(
        "INSERT INTO batches (id, context, formed_at, keys, body) VALUES (?, ?, ?, ?, ?)",
        (batch.id, context, now, keys, batch.body),
    )


def waiting(connection: sqlite3.Connection) -> list[bytes]:
    """The keys of items that were to be part of a batch, and are of none."""
    sent = {
        key
        for (keys,) in connection.execute("SELECT keys FROM batches")
        for key in split_keys(keys)
    }
    rows = connection.execute(
        "SELECT key FROM items WHERE state = ? AND batched", (State.SUBMITTING,)
    )
    return [key for (key,) in rows if key not in sent]


def split_keys(keys: bytes) -> Iterator[bytes]:
    """The content keys of a batch, in the order of its items."""
    return (keys[start : start + KEY_SIZE] for start in range(0, len(keys), KEY_SIZE))
