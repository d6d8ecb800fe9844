"""What BitScale's free answers say of a workspace and a grid (API v1, 5.1, 5.3 and 5.4). Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from enricher.errors import ProviderRefused
from enricher.harmless import printable
from enricher.model import Credits, OutputColumn
from enricher.providers.base import objects_in, text_in
from enricher.providers.ids import SAFE_ID

_RUNNABLE = frozenset({"enrichment", "formula", "merge"})

_API_SOURCE = "api"
"""The type of source that runs can be sent to; others are imports and the like (5.3)."""


def outputs_of(grid: Mapping[str, Any]) -> tuple[OutputColumn, ...]:
    return tuple(
        OutputColumn(column["id"], text_in(column, "name") or column["id"])
        for column in objects_in(grid.get("columns"))
        if isinstance(column.get("id"), str) and str(column.get("type")) in _RUNNABLE
    )


_MAKES_ANSWERS = ("id", "name", "type", "dependencies")
"""What 5.2 and 5.3 tell of a column that changes what a run gives."""


def revision_of(grid: Mapping[str, Any]) -> str:
    """A digest of the grid's columns, whatever their order: another one, other answers."""
    columns = sorted(
        json.dumps([column.get(field) for field in _MAKES_ANSWERS])
        for column in objects_in(grid.get("columns"))
    )
    return hashlib.blake2b(json.dumps(columns).encode(), digest_size=8).hexdigest()


def resolve(wanted: Sequence[str], announced: Sequence[OutputColumn]) -> tuple[str, ...] | None:
    """Ids of the wanted outputs (names or ids), in the grid's own order; `None` for all.

    Raises:
        ProviderRefused: one is no output of the grid, or a name that two outputs share.
    """
    if not wanted:
        return None
    chosen: set[str] = set()
    for word in wanted:
        ids = [o.id for o in announced if o.id == word] or [
            o.id for o in announced if o.name == word
        ]
        if len(ids) != 1:
            listing = "\n".join(f"  {printable(o.name)}  ({printable(o.id)})" for o in announced)
            problem = "is no output of the grid" if not ids else "names several outputs"
            raise ProviderRefused(
                f"--output-column {word!r} {problem}. It has:\n{listing}",
                mend="Name one of these, by its id if two share a name.",
                code="INVALID_OUTPUT_COLUMN",
            )
        chosen.add(ids[0])
    return tuple(o.id for o in announced if o.id in chosen)


def labels_of(contract: Mapping[str, Any]) -> tuple[str, ...]:
    body = contract.get("request_body")
    inputs = body.get("inputs") if isinstance(body, dict) else None
    return tuple(inputs) if isinstance(inputs, dict) else ()


def check_source(source: str, grid: Mapping[str, Any]) -> None:
    listed = objects_in(grid.get("sources"))
    sources = [s for s in listed if s.get("type", _API_SOURCE) == _API_SOURCE]
    if source and source not in [s.get("id") for s in sources]:
        words = (f"{s.get('id')}  {s.get('display_name')}" for s in sources)
        listing = "\n".join(f"  {printable(line)}" for line in words)
        raise ProviderRefused(
            f"--source-id {source!r} is no source of this grid for runs. It has:\n{listing}",
            mend="Name one of these, or leave the option out for the first.",
            code="INVALID_SOURCE",
        )


def credits_of(workspace: Mapping[str, Any]) -> Credits | None:
    credits = workspace.get("credits")
    if not isinstance(credits, dict):
        return None
    amounts: list[Any] = [credits.get("remaining"), credits.get("used")]
    if all(type(amount) in (int, float) and abs(amount) < 1e15 for amount in amounts):
        return Credits(*amounts)
    return None


def rows_of(grid: Mapping[str, Any]) -> int | None:
    rows = grid.get("row_count")
    return rows if isinstance(rows, int) and not isinstance(rows, bool) else None


def remarks_of(grid: Mapping[str, Any]) -> tuple[str, ...]:
    settings = grid.get("settings")
    if isinstance(settings, dict) and settings.get("auto_dedupe"):
        return (
            "The grid removes duplicate rows by itself (auto_dedupe): a run submitted twice may"
            " leave one row there, and may still be charged twice.",
        )
    return ()


def safe(id_: str, what: str) -> str:
    if not SAFE_ID.fullmatch(id_):
        raise ProviderRefused(
            f"--{what} {id_!r} is not the form of an id.",
            mend="Copy it from the address of the grid: app.bitscale.ai/grid/ID.",
            code="GRID_NOT_FOUND",
        )
    return id_
