"""One request that carries a key: what is the same for every API, whatever its answers mean.

Nobody further on sees the key: what an answer repeats of it is blackened here, in headers, in the
body, and in the words of an error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from enricher.model import Json, OnSent
from enricher.providers.keys import ApiKey, blackened
from enricher.providers.rate import rate_signal
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import KeyRejected, RateSignal, Reply

DEADLINE = 30.0
"""Seconds for one request that is not held."""

REDIRECTED = "the server redirects; redirects are never followed: they may carry the key away"

Carry = Callable[[str], Mapping[str, str]]
"""The headers that carry a key."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A complete answer. `body` is parsed, or `Malformed`; `carried` the key of the request."""

    answer: Answer
    body: Json
    signal: RateSignal
    carried: str = field(repr=False)


class Keyed:
    """Requests with one key over one transport."""

    def __init__(self, transport: Transport, key: ApiKey, carry: Carry) -> None:
        self._transport = transport
        self._key = key
        self._carry = carry

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def send(
        self,
        method: str,
        path: str,
        on_sent: OnSent,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float = DEADLINE,
    ) -> Heard | Reply:
        """The answer; a `Reply` if there is none, or one that no verdict can be made of."""
        carried = self._key.value
        told = {"Accept": "application/json", **self._carry(carried), **(headers or {})}
        if content is not None:
            told["Content-Type"] = "application/json"
        answer = await self._transport.exchange(
            method,
            path,
            headers=told,
            deadline=deadline,
            params=params,
            content=content,
            on_sent=on_sent,
        )
        if not isinstance(answer, Answer):
            return Reply(replace(answer, reason=blackened(answer.reason, carried)))
        answer = replace(answer, headers=blackened(answer.headers, carried))
        body = blackened(answer.json(), carried)
        return Heard(answer, body, rate_signal(answer), carried)

    def rejected(self, heard: Heard, message: str) -> Reply:
        """A 401 counts against the key that this request carried, not against a newer one."""
        renewed = self._key.value != heard.carried or self._key.reload()
        return Reply(KeyRejected(message, renewed), heard.signal)
