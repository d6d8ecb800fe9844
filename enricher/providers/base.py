"""What the engine and the preflight need of a provider; nothing else of a vendor leaves its file.

A provider does one request a call and *returns* what the answer means, as a `Verdict`; it never
waits, repeats or paces. What follows from a verdict is the engine's business.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from enricher.model import Credits, Inputs, Json, OnSent, OutputColumn
from enricher.verdicts import Reply

Ask = Callable[[Callable[[OnSent], Awaitable[Reply]]], Awaitable[Mapping[str, Any]]]
"""Sends one free request, patiently and within the limit, and gives the facts it brought.

Raises:
    ProviderRefused: the answer says no.
    ServerGone: no usable answer came for too long.
"""


@dataclass(frozen=True, slots=True)
class Briefing:
    """What can be known of a target before anything is paid.

    Attributes:
        account: the id of the account that pays; part of every content key. Empty if not told.
        labels: the inputs that the target takes, whatever outputs are asked for; empty if it
            announces none, and the user's mapping names them.
        optional: those of them that the asked outputs do not need.
        outputs: the columns it gives back, in its own order; empty if it announces none.
        asked: the ids of the outputs to ask for, `None` for all.
        title: the target's name for people.
        credits: the balance, or `None` where the provider does not tell.
        rows: how many rows the target has, or `None` where it has none.
        remarks: what a person should know before paying, one line each.
        revision: a digest of all that is told of what makes its answers; empty if not told.
    """

    account: str
    labels: tuple[str, ...]
    outputs: tuple[OutputColumn, ...]
    asked: tuple[str, ...] | None
    title: str
    credits: Credits | None
    remarks: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    rows: int | None = None
    revision: str = ""


class Hold(enum.Enum):
    """Which request can be held open until a run has ended."""

    NONE = "none: runs are looked at until they end"
    SUBMIT = "the submission: it is in doubt until it is answered"
    COLLECT = "a look after the submission: the id is known, and nothing is exposed"
    ALWAYS = "every submission: its answer is the run's end, whatever is asked for"


class Target(Protocol):
    """What a provider runs, reached with one key: all that is free to ask about it."""

    name: str
    holds: Hold

    async def brief(self, ask: Ask) -> Briefing:
        """Learn everything that costs nothing, through `ask`.

        Raises:
            ProviderRefused: the key, the target, the source or an output column is not valid.
            ServerGone: the server did not answer.
        """

    async def balance(self, ask: Ask) -> Credits | None:
        """The balance now, or `None` where the provider does not tell."""

    async def rows(self, ask: Ask) -> int | None:
        """How many rows the target has now, or `None` where it has none."""

    async def probe(self, on_sent: OnSent) -> Reply:
        """Ask something cheap, to see whether the server is there."""

    async def aclose(self) -> None:
        """Close its connections."""


class Provider(Target, Protocol):
    """A target that takes one run a request, and is asked about each until it ends."""

    hold: float
    """Seconds for which the request that `holds` names can be held open; 0 if none can."""

    async def submit(self, inputs: Inputs, on_sent: OnSent, *, hold: bool = False) -> Reply:
        """Ask for one paid run. Of all methods the only one that may cost money.

        Args:
            hold: have the request that can be held wait for the run's end.
        """

    async def look(self, run_id: str, on_sent: OnSent, *, stage: str = "") -> Reply:
        """Ask how the run stands; with the `stage` of an earlier verdict, what that one asks."""


@runtime_checkable
class BatchProvider(Target, Protocol):
    """A target that takes many items a request, and answers with all their results.

    A request whose answer was lost is repeated with the same id and bytes, and processed once.
    """

    max_batch: int
    """Items of a request, as long as the provider has not told another number."""

    remembers: float
    """Seconds for which a request is certain to be recognised."""

    stand_in: str
    """What to tell a person, once, of provisional answers."""

    def pack(self, items: Sequence[Inputs]) -> bytes:
        """The body of a request."""

    async def submit_batch(self, batch_id: str, body: bytes, count: int, on_sent: OnSent) -> Reply:
        """Submit `count` items, or ask for the answer to the same request once more."""


_LONGEST_CODE, _LONGEST_MESSAGE = 100, 2000
"""Characters of the server's words that are kept; a message of megabytes tells nobody anything."""


def parsed_error(body: Json) -> tuple[str, str]:
    """`(code, message)` of a documented error object, each empty if absent.

    Takes both shapes of the three APIs: an object under `error`, or text under it.
    """
    if not isinstance(body, dict):
        return "", ""
    error = body.get("error")
    if isinstance(error, dict):
        return _text(error.get("code"), _LONGEST_CODE), message_of(error)
    return "", _text(error, _LONGEST_MESSAGE) or message_of(body)


def message_of(body: Mapping[str, Any]) -> str:
    """The text under `message`, empty if there is none."""
    return _text(body.get("message"), _LONGEST_MESSAGE)


def text_in(facts: Mapping[str, Any], field: str) -> str:
    """The text under `field`; empty if there is none, or something else."""
    value = facts.get(field)
    return value if isinstance(value, str) else ""


def objects_in(value: Json) -> list[dict[str, Any]]:
    """The objects of a list; nothing of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Json, longest: int) -> str:
    if not isinstance(value, str):
        return ""
    return value if len(value) <= longest else value[: longest - 1] + "…"
