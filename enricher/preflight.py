"""Everything that can be asked for free, before the first run is paid."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from enricher.errors import ProviderRefused, ServerGone
from enricher.harmless import printable
from enricher.model import OnSent, RequestCounts, Warn
from enricher.notice import EventName, Notice
from enricher.pace import Permits, patiently
from enricher.providers.base import Ask
from enricher.verdicts import (
    Facts,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    Refused,
    Reply,
)


def asker(
    gate: Permits, patience: float, counts: RequestCounts, warn: Warn, address: str = "the server"
) -> Ask:
    """How a provider asks its free questions: within the limit, and for `patience` seconds."""
    told: set[str] = set()

    def on_fault(reply: Reply) -> None:
        counts.retried += 1
        reason = _reason(reply)
        if reason and reason not in told:
            told.add(reason)
            trying = f"trying for {_spoken(patience)}"
            told_of = EventName.SERVER_UNREACHABLE
            warn(Notice(told_of, f"{address} does not answer ({reason}); {trying}"))

    async def ask(request: Callable[[OnSent], Awaitable[Reply]]) -> Mapping[str, Any]:
        async def counted(on_sent: OnSent) -> Reply:
            reply = await request(on_sent)
            counts.other += not isinstance(reply.verdict, NotSent)
            counts.rate_limited += reply.signal.limited
            return reply

        while True:
            reply = await patiently(gate, counted, patience=patience, on_fault=on_fault)
            if not (isinstance(reply.verdict, KeyRejected) and reply.verdict.renewed):
                return _facts(reply)

    return ask


def _facts(reply: Reply) -> Mapping[str, Any]:
    match reply.verdict:
        case Facts(data):
            return data
        case KeyRejected(message):
            raise ProviderRefused(
                f"The API key was refused: {printable(message)}.",
                mend="Copy the key again from the provider's settings; a rotated key is void.",
                code="INVALID_API_KEY",
            )
        case JobStops(code, message, mend):
            raise ProviderRefused(printable(f"{code}: {message}"), mend=mend, code=code)
        case _:
            raise ServerGone(
                f"The server gave no usable answer: {_reason(reply) or 'it asked to wait'}.",
                mend="Check the base URL and the network, and ask the provider's support if it"
                " stays so; the same command later goes on.",
            )


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _reason(reply: Reply) -> str:
    verdict = reply.verdict
    if isinstance(verdict, NotSent | MaybeSent | Malformed):
        return printable(verdict.reason)
    return "it asked to wait" if isinstance(verdict, Refused) and not reply.signal.limited else ""
